"""Which limits a request of a client meets, in which order."""

from typing import Final

from aiohttp import web

from issuer.clients import Client
from issuer.endpoints.admin import SCOPES
from issuer.endpoints.asker import address_of
from issuer.endpoints.services import SERVICES
from issuer.limits.request_limits import Limit

_OPERATORS: Final = frozenset(SCOPES)
"""Who may have one of these is an operator, and is not held back by what others do at the same address."""


def count_address(request: web.Request, client: Client | None) -> None:
    """Count a request by its address, once it is known whether an operator sends it.

    Args:
        request: that came.
        client: who has authenticated; ``None`` where that failed, as its ``client_id`` is only claimed.

    Raises:
        OAuthError: 429.
    """
    is_operator = client is not None and not client.public and not _OPERATORS.isdisjoint(client.scopes)
    if not is_operator:
        request.app[SERVICES].limits.address(address_of(request).key)


def count_call(request: web.Request, client: Client, limit: Limit) -> None:
    """Count a call of one endpoint by its client: by a public one, which anybody can say to be, at its address.

    Raises:
        OAuthError: 429.
    """
    asker = client.client_id
    if client.public:
        asker += f" at {address_of(request).key}"
    request.app[SERVICES].limits.client(limit, asker)
