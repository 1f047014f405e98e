"""Who may use the admin API: tokens of ours, for our own audience, with the scope that a call needs."""

import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from issuer.endpoints import bearer
from issuer.endpoints.services import SERVICES
from issuer.errors import invalid_request

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
BodyT = TypeVar("BodyT")

READ: Final = "tocsin:read"
REVOKE: Final = "tocsin:revoke"
KEYS: Final = "tocsin:keys"
SCOPES: Final = (READ, REVOKE, KEYS)

_WAIT: Final = re.compile(r"\s*wait\s*=\s*\"?([0-9]+)\"?\s*(?:;.*)?", re.IGNORECASE)
_KEY: Final = re.compile(r"\"?([!#-~]{1,128})\"?")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")

ACTOR = web.RequestKey("actor", str)
"""Who calls, for the audit trail."""


def needs(scope: str) -> Callable[[Handler], Handler]:
    """Let a handler be called only with a bearer token that has ``scope`` (RFC 6750)."""

    def wrap(handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            request[ACTOR] = authorized(request, scope)
            return await handler(request)

        return guarded

    return wrap


def authorized(request: web.Request, scope: str) -> str:
    """Who calls, by a bearer token of ours, for ourselves, that has ``scope`` and is good now.

    Raises:
        OAuthError: there is none, or it does not allow this, or cannot be judged.
    """
    issuer = request.app[SERVICES].settings.issuer
    claims = bearer.judged(request, bearer.in_header(request), audience=issuer, scope=scope)
    return f"{claims.sub} by {claims.client_id}" if claims.sub != claims.client_id else f"client {claims.client_id}"


async def read_body(request: web.Request, kind: type[BodyT], *, most_bytes: int | None = None) -> BodyT:
    """The JSON body as ``kind``; ``most_bytes`` where it may be larger than those of other calls.

    Raises:
        OAuthError: ``invalid_request``, with the member and what it should be.
    """
    if request.content_type != "application/json":
        raise invalid_request("the body must be application/json")
    if most_bytes is not None:
        request = request.clone(client_max_size=most_bytes)
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise invalid_request(f"the body is not what this call takes: {error}") from error


def wait_seconds(request: web.Request) -> float:
    """How long the caller is ready to wait, by ``Prefer: wait=n`` (RFC 7240 section 4.3); at most 30, 0 by default."""
    for preference in ",".join(request.headers.getall("Prefer", [])).split(","):
        if found := _WAIT.fullmatch(preference):
            return min(float(found[1]), 30.0)
    return 0.0


def idempotency_key(request: web.Request) -> str | None:
    """By what the caller will know this call again (draft-ietf-httpapi-idempotency-key-header), if it may repeat it.

    Raises:
        OAuthError: ``invalid_request``.
    """
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return None
    if not (key := _KEY.fullmatch(given)):
        raise invalid_request("Idempotency-Key must be 1 to 128 visible characters of ASCII")
    return key[1]


def query_number(request: web.Request, name: str, default: int, *, most: int) -> int:
    """A whole number from 1 to ``most`` in the query.

    Raises:
        OAuthError: ``invalid_request``.
    """
    text = request.query.get(name, str(default))
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= most:
        raise invalid_request(f"{name} must be a number from 1 to {most}")
    return int(text)
