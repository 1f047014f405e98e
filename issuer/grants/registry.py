"""Grants by type, from the entry point group ``tocsin.grants``: ours, and an application's own."""

from importlib.metadata import entry_points
from typing import Final

from issuer.grants.grant import Grant
from issuer.settings import IssuerSettings

GROUP: Final = "tocsin.grants"


def load_grants(settings: IssuerSettings) -> dict[str, Grant]:
    """Every installed grant, made with the issuer's settings.

    Raises:
        ValueError: two have the same ``grant_type``.
    """
    grants: dict[str, Grant] = {}
    for entry in entry_points(group=GROUP):
        grant: Grant = entry.load()(settings)
        if grant.grant_type in grants:
            raise ValueError(f"entry point {entry.name!r} in {GROUP} brings a second grant {grant.grant_type!r}")
        grants[grant.grant_type] = grant
    return grants
