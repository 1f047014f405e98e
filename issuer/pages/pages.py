"""Renders pages with the headers that they all need."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HERE: Final = Path(__file__).parent
_STYLESHEET: Final = "style.css"

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # for browsers older than frame-ancestors
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Pages:
    """Every template, read when the issuer starts, and the stylesheet.

    Attributes:
        stylesheet: its content.
        stylesheet_name: the file name that it is served under, with the hash of its content.
    """

    def __init__(self, issuer: str) -> None:
        """Read everything; ``issuer`` is the issuer's URL, whose path all addresses begin with."""
        environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.stylesheet = (_HERE / _STYLESHEET).read_bytes()
        self.stylesheet_name = f"style-{hashlib.sha256(self.stylesheet).hexdigest()[:16]}.css"
        self._root = urlsplit(issuer).path
        environment.globals |= {"root": self._root, "stylesheet": f"{self._root}/oauth2/pages/{self.stylesheet_name}"}
        self._templates = {name: environment.get_template(name) for name in environment.list_templates()}

    def address(self, path: str) -> str:
        """The path of one of our own addresses as browsers must ask for it."""
        return self._root + path

    def answer(self, name: str, *, status: int = 200, form_targets: Sequence[str] = (), **values: Any) -> web.Response:
        """The page ``name``.

        Args:
            name: of the template, without its ending.
            status: of the answer.
            form_targets: CSP sources, beside ourselves, to which the answer to a form of the page may redirect;
                Chromium holds ``form-action`` against redirects too.
            values: what the template shows.
        """
        text = self._templates[f"{name}.html"].render(values)
        headers = HEADERS | {"Content-Security-Policy": _policy(form_targets)}
        return web.Response(text=text, status=status, content_type="text/html", charset="utf-8", headers=headers)

    def redirect(self, location: str) -> web.Response:
        """Go on elsewhere by GET, whatever the method was (RFC 9700 section 4.12)."""
        return web.Response(status=303, headers=HEADERS | {"Location": location})


def _policy(form_targets: Sequence[str]) -> str:
    actions = " ".join(["'self'", *form_targets])
    return f"default-src 'none'; style-src 'self'; form-action {actions}; frame-ancestors 'none'; base-uri 'none'"
