"""The two cookies: of the session, and of the browser before there is one."""

import re
import secrets
from typing import Final

from aiohttp import web

from verifier_agent import Secret

BROWSER_BYTES: Final = 16
_HELD: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
"""What we give out; anything else was not given by us."""


class Cookies:
    """Reads and sets them: ``HttpOnly``, ``SameSite=Lax``, ``Path=/``.

    With an https issuer they are ``Secure`` and named ``__Host-…``, which no other host of the domain can set (RFC
    6265bis section 4.1.3.2). Browsers differ on such cookies over http, so an issuer on http, which is on loopback,
    has plain ones.
    """

    def __init__(self, issuer: str) -> None:
        self._secure = issuer.startswith("https:")
        prefix = "__Host-tocsin" if self._secure else "tocsin"
        self.session_name = f"{prefix}-session"
        self.browser_name = f"{prefix}-browser"

    def session(self, request: web.Request) -> str | None:
        """What the session's cookie holds."""
        return self._read(request, self.session_name)

    def browser(self, request: web.Request) -> str | None:
        """What the browser's cookie holds: forms are good only in the browser that they were made for."""
        return self._read(request, self.browser_name)

    def set_session(self, response: web.StreamResponse, held: Secret) -> None:
        """Let the browser have the session, until it is closed or the session ends here."""
        self._set(response, self.session_name, held.reveal())

    def forget_session(self, response: web.StreamResponse) -> None:
        """Take the session's cookie away."""
        response.del_cookie(self.session_name, path="/", secure=self._secure or None, httponly=True, samesite="Lax")

    def new_browser(self) -> str:
        """A name for a browser that has none."""
        return secrets.token_urlsafe(BROWSER_BYTES)

    def set_browser(self, response: web.StreamResponse, name: str) -> None:
        """Let the browser have its name, until it is closed."""
        self._set(response, self.browser_name, name)

    def _set(self, response: web.StreamResponse, name: str, value: str) -> None:
        response.set_cookie(name, value, path="/", secure=self._secure or None, httponly=True, samesite="Lax")

    def _read(self, request: web.Request, name: str) -> str | None:
        held = request.cookies.get(name, "")
        return held if _HELD.fullmatch(held) else None
