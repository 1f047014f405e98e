"""Bearer tokens (RFC 6750), of ours, judged by the issuer's own agent: what has been revoked is refused at once."""

from aiohttp import web

from issuer.endpoints.asker import CLIENT_ID
from issuer.endpoints.services import SERVICES
from issuer.errors import OAuthError
from verifier_agent import Claims, TokenRejected, VerificationUnavailable


def in_header(request: web.Request) -> str | None:
    """The bearer token in the ``Authorization`` header (section 2.1), if there is one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def judged(request: web.Request, token: str | None, *, audience: str | None, scope: str) -> Claims:
    """What a presented token says.

    Args:
        request: that it came with.
        token: ``None``, where there was none.
        audience: whom it must be for; ``None`` for anybody.
        scope: what it must allow.

    Raises:
        OAuthError: there is none, or it does not allow this (section 3.1), or it cannot be judged.
    """
    if token is None:
        raise OAuthError("invalid_token", "a bearer token is needed", status=401, challenge="Bearer")
    try:
        claims = request.app[SERVICES].tokens.read(token, audience=audience, scope=scope)
    except TokenRejected as error:
        raise refused(error.error, error.description, status=error.status, scope=scope) from error
    except VerificationUnavailable as error:
        raise OAuthError("temporarily_unavailable", "the token cannot be judged now", status=503) from error
    request[CLIENT_ID] = claims.client_id or ""
    return claims


def refused(error: str, description: str, *, status: int, scope: str | None = None) -> OAuthError:
    """An error answer with its challenge (section 3)."""
    challenge = f'Bearer error="{error}", error_description="{description}"'
    return OAuthError(
        error, description, status=status, challenge=challenge if scope is None else f'{challenge}, scope="{scope}"'
    )
