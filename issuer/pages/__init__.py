"""Pages for people: rendered here, without scripts, and forms that are good in one browser alone."""

from issuer.pages.form_seal import FormSeal
from issuer.pages.pages import Pages

__all__ = ["FormSeal", "Pages"]
