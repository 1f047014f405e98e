"""What the endpoints are given, and where in the application they find it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from issuer.authorization.consents import ConsentStore
from issuer.client_assertions import ClientAssertions
from issuer.clients import ClientStore
from issuer.families import FamilyStore, Standing
from issuer.feed.feed import Feed
from issuer.fleet import Fleet
from issuer.grants import Grant
from issuer.keys.holders import KekHolders
from issuer.keys.key_service import KeyService
from issuer.keys.listed_keys import ListedKeys
from issuer.leadership import Leadership
from issuer.limits.request_limits import RequestLimits
from issuer.lookups import Kind, Lookups
from issuer.outbox.own_agent import OwnAgent
from issuer.outbox.relay import Relay
from issuer.outbox.snapshots import Snapshots
from issuer.pages import FormSeal, Pages
from issuer.parts import Parts
from issuer.proxies import Proxies
from issuer.revocations import RevocationService
from issuer.self_service import SelfService
from issuer.sessions import Cookies
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from issuer.tokens import TokenService
from issuer.users import LoginThrottle, UserStore
from verifier_agent.hot.following import Following


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything that was built at start; what strategies are made with too is in ``parts``.

    Attributes:
        followed: what keeps the settings up to date, if anything does.
    """

    followed: Following | None
    database: Database
    clients: ClientStore
    lookups: Mapping[Kind, Lookups[Any]]
    assertions: ClientAssertions
    parts: Parts
    standing: Standing
    grants: Mapping[str, Grant]
    tokens: TokenService
    keys: KeyService
    listed_keys: ListedKeys
    revocations: RevocationService
    own_agent: OwnAgent
    leadership: Leadership
    relay: Relay
    feed: Feed
    fleet: Fleet
    kek_holders: KekHolders
    snapshots: Snapshots
    pages: Pages
    seal: FormSeal
    cookies: Cookies
    consents: ConsentStore
    self_service: SelfService
    limits: RequestLimits
    throttle: LoginThrottle
    proxies: Proxies

    @property
    def settings(self) -> IssuerSettings:
        """Of the parts."""
        return self.parts.settings

    @property
    def users(self) -> UserStore:
        """Of the parts."""
        return self.parts.users

    @property
    def families(self) -> FamilyStore:
        """Of the parts."""
        return self.parts.families


SERVICES = web.AppKey("services", Services)
