"""Client authentication: by secret (RFC 6749 section 2.3.1) or by signed assertion (RFC 7523)."""

import base64
import binascii
from typing import Final
from urllib.parse import unquote_plus

from aiohttp import web

from issuer.client_assertions import METHOD, ClientAssertions
from issuer.clients import Client, ClientStore
from issuer.endpoints.asker import CLIENT_ID
from issuer.endpoints.form import required
from issuer.endpoints.limits import count_address
from issuer.endpoints.services import SERVICES
from issuer.errors import OAuthError, invalid_client, invalid_request

PROOFS: Final = ("client_secret_basic", "client_secret_post", METHOD)
METHODS: Final = (*PROOFS, "none")
ASSERTION: Final = ("client_assertion", "client_assertion_type")


async def authenticated_client(request: web.Request, form: dict[str, str]) -> Client:
    """The client that the request proves to come from, or a public client, which proves nothing; counted by address.

    Raises:
        OAuthError: ``invalid_client``, ``invalid_request`` when it uses two methods at once, or 429.
    """
    try:
        client = await _authenticated(request, form)
    except OAuthError:
        count_address(request, None)
        raise
    request[CLIENT_ID] = client.client_id
    count_address(request, client)
    return client


async def _authenticated(request: web.Request, form: dict[str, str]) -> Client:
    services = request.app[SERVICES]
    clients, header = services.clients, request.headers.get("Authorization")
    if not form.keys().isdisjoint(ASSERTION):
        return await _by_assertion(form, services.assertions, header)
    if header is None:
        client = await _by_form(form, clients)
    elif "client_secret" in form:
        raise invalid_request("a client authenticates by one method at a time (RFC 6749 section 2.3)")
    else:
        client_id, secret = _basic(header)
        if form.get("client_id", client_id) != client_id:
            raise invalid_request("client_id differs from the one in the Authorization header")
        client = await clients.authenticate(client_id, secret)
    if client is None:
        raise invalid_client("client authentication failed", basic=header is not None)
    return client


async def confidential_client(request: web.Request, form: dict[str, str]) -> Client:
    """As ``authenticated_client``, but not without a proof.

    Raises:
        OAuthError: as there, and ``invalid_client`` for a public client.
    """
    client = await authenticated_client(request, form)
    if client.public:
        raise invalid_client("a public client may not ask this: anybody can say that they are one")
    return client


async def _by_assertion(form: dict[str, str], assertions: ClientAssertions, header: str | None) -> Client:
    if header is not None or "client_secret" in form:
        raise invalid_request("a client authenticates by one method at a time (RFC 6749 section 2.3)")
    client = await assertions.authenticate(*(required(form, name) for name in reversed(ASSERTION)))
    if form.get("client_id", client.client_id) != client.client_id:
        raise invalid_client("client_id differs from the one in the client assertion")
    return client


async def _by_form(form: dict[str, str], clients: ClientStore) -> Client | None:
    if "client_id" in form and "client_secret" in form:
        return await clients.authenticate(form["client_id"], form["client_secret"])
    public = await clients.find(form["client_id"]) if "client_id" in form else None
    if public is None or not public.public:
        raise invalid_client("the client did not authenticate", basic=True)
    return public


def _basic(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError("another scheme")
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        if not colon:
            raise ValueError("no colon")
        return unquote_plus(user, errors="strict"), unquote_plus(password, errors="strict")
    except (ValueError, binascii.Error) as error:
        raise invalid_client("the Authorization header is not that of HTTP Basic", basic=True) from error
