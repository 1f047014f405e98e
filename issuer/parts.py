"""What strategies are made with: grants and enhancers, ours and an application's own."""

from dataclasses import dataclass

from issuer.authorization.codes import CodeStore
from issuer.devices import DeviceStore
from issuer.families import FamilyStore
from issuer.outbox.own_agent import OwnAgent
from issuer.sessions import SessionStore
from issuer.settings import IssuerSettings
from issuer.users import UserStore
from verifier_agent.clocks import Clock
from verifier_agent.hot import Live


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Services of the issuer.

    Attributes:
        live: the settings of this process, some of which change while it runs.
        clock: of this machine.
        users: to find users, and to tell whether a password is theirs.
        families: to keep what a user has agreed to.
        own_agent: to verify tokens of ours.
        sessions: of users who logged in in a browser.
        codes: that were given to browsers.
        devices: that wait to be let in.
    """

    live: Live[IssuerSettings]
    clock: Clock
    users: UserStore
    families: FamilyStore
    own_agent: OwnAgent
    sessions: SessionStore
    codes: CodeStore
    devices: DeviceStore

    @property
    def settings(self) -> IssuerSettings:
        """As they are now; who keeps one of them misses its changes."""
        return self.live.now
