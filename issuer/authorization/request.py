"""What a client asks of a user, checked (RFC 6749 section 4.1.1, OpenID Connect Core section 3.1.2.1)."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from issuer.clients import Client
from issuer.errors import invalid_request

MAX_QUERY: Final = 4096
"""Characters. The request comes along in addresses of ours, which must fit into a line."""
MAX_FIELDS: Final = 50


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters as they came, unverified.

    Attributes:
        once: each by name, empty ones left out (RFC 6749 section 3.1); of a repeated one, the first.
        resources: ``resource`` may come several times (RFC 8707 section 2).
        repeated: names of those that did and must not.
    """

    once: Mapping[str, str]
    resources: tuple[str, ...]
    repeated: frozenset[str]

    def get(self, name: str) -> str | None:
        """One of them."""
        return self.once.get(name)


class AuthorizationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request of which every parameter is good.

    Attributes:
        client: who asks.
        redirect_uri: where the answer goes.
        state: goes back with it.
        scope: what is asked for.
        audience: for which services, the first by default.
        code_challenge: see ``pkce``.
        nonce: goes into the ID token.
        prompt: what the user must be asked whatever is known: ``none``, or any of ``login`` and ``consent``.
        max_age: seconds since the user authenticated, at most.
        login_hint: who it may be.
    """

    client: Client
    redirect_uri: str
    state: str | None
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    code_challenge: str
    nonce: str | None
    prompt: frozenset[str]
    max_age: int | None
    login_hint: str


def read_parameters(query: str) -> Parameters:
    """Take a query string apart.

    Raises:
        OAuthError: ``invalid_request``: it is too long, or no form in UTF-8.
    """
    if len(query) > MAX_QUERY:
        raise invalid_request(f"the request is longer than {MAX_QUERY} characters")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise invalid_request("the request is no form in UTF-8") from error
    names = [name for name, _ in pairs]
    return Parameters(
        once={name: value for name, value in reversed(pairs) if value},
        resources=tuple(dict.fromkeys(value for name, value in pairs if name == "resource" and value)),
        repeated=frozenset(name for name in names if name != "resource" and names.count(name) > 1),
    )
