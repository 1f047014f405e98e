"""What goes back to the client through the browser (RFC 6749 section 4.1.2, RFC 9207)."""

from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from issuer.authorization.checks import Recipient
from issuer.authorization.request import AuthorizationRequest
from issuer.errors import OAuthError


def address(redirect_uri: str, values: Mapping[str, str | None]) -> str:
    """The redirect URI with these parameters, behind those that it has itself (RFC 6749 section 3.1.2)."""
    parts = urlsplit(redirect_uri)
    added = urlencode({name: value for name, value in values.items() if value is not None})
    # Put together by hand where there is no query: what urlsplit takes apart it does not always put together the same.
    if "?" not in redirect_uri:
        return f"{redirect_uri}?{added}"
    return f"{redirect_uri}&{added}" if parts.query else f"{redirect_uri}{added}"


def granted(asked: AuthorizationRequest, issuer: str, code: str) -> str:
    """Where the browser goes with a code. ``iss`` tells the client whose it is (RFC 9207 section 2)."""
    return address(asked.redirect_uri, {"code": code, "state": asked.state, "iss": issuer})


def refused(to: Recipient | AuthorizationRequest, issuer: str, error: OAuthError) -> str:
    """Where the browser goes with an error (RFC 6749 section 4.1.2.1, RFC 9207 section 2)."""
    said = {"error": error.error, "error_description": error.description, "state": to.state, "iss": issuer}
    return address(to.redirect_uri, said)
