"""How often a client, and an address, may ask this process."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from issuer.errors import too_many
from issuer.limits.buckets import Buckets
from issuer.limits.rate import Rate
from issuer.settings import IssuerSettings
from verifier_agent.clocks import Clock


class Limit(StrEnum):
    """What is counted by itself."""

    TOKEN = "token"  # noqa: S105 - the endpoint
    REVOCATION = "revocation"
    INTROSPECTION = "introspection"
    ADDRESS = "address"


_OF_CLIENTS: Final = "too many requests of this client"
_OF_ADDRESSES: Final = "too many requests from this address"


class RequestLimits:
    """Holds back who asks too often. Clients are counted when they have authenticated: nobody uses up another's.

    Attributes:
        refused: how often each limit has refused somebody.
    """

    def __init__(self, settings: IssuerSettings, clock: Clock) -> None:
        self._clock = clock
        rates: Mapping[Limit, str] = {
            Limit.TOKEN: settings.client_token_rate,
            Limit.REVOCATION: settings.client_revocation_rate,
            Limit.INTROSPECTION: settings.client_introspection_rate,
            Limit.ADDRESS: settings.address_rate,
        }
        parsed = {limit: Rate.parse(text) for limit, text in rates.items()}
        self._buckets = {limit: Buckets(rate) for limit, rate in parsed.items() if rate is not None}
        self.refused: Counter[Limit] = Counter(dict.fromkeys(Limit, 0))

    def client(self, limit: Limit, client_id: str) -> None:
        """Count a request of a client that has authenticated.

        Raises:
            OAuthError: 429, with when to come again.
        """
        self._take(limit, client_id, _OF_CLIENTS)

    def address(self, key: str | None) -> None:
        """Count a request from an address; ``None`` where it says nothing about who asks.

        Raises:
            OAuthError: 429, with when to come again.
        """
        if key is not None:
            self._take(Limit.ADDRESS, key, _OF_ADDRESSES)

    def _take(self, limit: Limit, key: str, words: str) -> None:
        buckets = self._buckets.get(limit)
        if buckets is not None and (seconds := buckets.take(key, self._clock.boot())):
            self.refused[limit] += 1
            raise too_many(words, seconds)
