"""What is to follow a change of the keys, or of the list of them in configuration, at once in each replica.

After a change of the keys the one that signs now is opened, and a next standby made. Neither is part of the decision:
an emergency must wait for no key to be made, and for nothing that holds a key-encryption key. The list is put into
force by the replica that leads, and looked after until the key signs that is to sign.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from events import SignedEvent, Stream
from issuer.errors import IssuerError, StoreUnavailable, StoreUninitialised, WrapperUnavailable
from issuer.keys.key_list import ListedKey, read_list
from issuer.keys.key_service import KeyService
from issuer.keys.listed_keys import ListedKeys
from issuer.leadership import Leadership, LeadershipLost
from issuer.outbox.own_agent import OwnAgent
from issuer.settings import IssuerSettings
from verifier_agent import SettingInvalid
from verifier_agent.hot import Live
from verifier_agent.hot.following import Following

log = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 0.25
"""Between a decision and the standby that it takes: agents are to hear of the decision, and do nothing else, first."""
WAITING_SECONDS: Final = 0.2
"""Between the first two looks at a key that is to sign by the list and waits for others; doubled each time."""
IDLE_SECONDS: Final = 1.0
"""Longest time between two looks, such as at whether this replica has come to lead."""


class KeyUpkeep:
    """Follows what is decided here and elsewhere; a ``Hearer`` of the relay.

    Attributes:
        refused: why the list of configuration is not in force, in words, or ``None``.
    """

    def __init__(
        self,
        keys: KeyService,
        own_agent: OwnAgent,
        listed_keys: ListedKeys,
        live: Live[IssuerSettings],
        leadership: Leadership,
        advance: Callable[[], Awaitable[None]],
        tell: Callable[[SignedEvent | None], None],
        followed: Following | None = None,
    ) -> None:
        """Set up.

        Args:
            keys: the token keys.
            own_agent: knows the newest key set.
            listed_keys: those of configuration.
            live: has the list.
            leadership: whether this replica puts it into force.
            advance: does what is due in the life of the keys.
            tell: has what is done here, if anything was, hold and go out.
            followed: what keeps the settings up to date, if anything does.
        """
        self.refused: str | None = None
        self._keys = keys
        self._own_agent = own_agent
        self._listed_keys = listed_keys
        self._live = live
        self._leadership = leadership
        self._advance = advance
        self._tell = tell
        self._followed = followed
        self._asked = asyncio.Event()
        self._decided_here = False
        self._seen = 0
        self._applied: tuple[int | None, tuple[ListedKey, ...]] | None = None
        self._settled = True
        self._pause = IDLE_SECONDS
        if followed is not None:
            followed.configuration.also_tell(lambda names: self._asked.set() if "signing_keys" in names else None)

    def offer(self, event: SignedEvent) -> None:
        """This has just been committed by this process."""
        if event.stream is Stream.KEYS:
            self._decided_here = True
            self._asked.set()

    def look(self) -> None:
        """Another replica has decided something: which may be of the keys."""
        if self._own_agent.verifier.state.keys.seq != self._seen:
            self._asked.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        self._asked.set()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_SECONDS if self._settled else self._pause):
                    await self._asked.wait()
            changed = self._asked.is_set()
            self._asked.clear()
            try:
                if changed:
                    await self._open()
                await self._follow_list()
                if changed:
                    await self._replenish()
            except LeadershipLost as error:
                log.info("key_list_left_to_another", extra={"error": str(error)})
            except (StoreUnavailable, WrapperUnavailable) as error:
                log.warning("key_upkeep_postponed", extra={"error": str(error)})

    async def _open(self) -> None:
        """Have the key that signs now in memory before the first token needs it."""
        known = self._own_agent.verifier.state.keys
        self._seen = known.seq
        try:
            await self._keys.signing.open_all(known.published)
        except StoreUninitialised:
            pass  # there is no key that could be opened
        except IssuerError as error:  # a key that does not open is told to whoever asks for a token, too
            log.warning("signing_key_not_opened", extra={"error": str(error)})

    async def _replenish(self) -> None:
        """Make the next standby where a decision of this process has used one up."""
        if self._decided_here:
            self._decided_here = False
            await asyncio.sleep(PAUSE_SECONDS)
            self._tell(await self._keys.replenish())

    async def _follow_list(self) -> None:
        """Put the list into force if it is not, and let the key sign that is to sign, once it may."""
        listed = read_list(self._live.now.signing_keys)
        if listed is None or not self._leadership.leads:
            return
        if self._followed is not None and not self._followed.has_heard:
            return  # Consul may have another list: what is in force stays until it answers
        place = (self._leadership.epoch, listed)
        if place != self._applied:
            try:
                self._tell(await self._listed_keys.apply(listed, self._leadership))
            except SettingInvalid as error:
                self._refuse(str(error))
                return
            self._applied, self._settled, self.refused = place, False, None
            self._pause = WAITING_SECONDS / 2
        if not self._settled:
            self._pause = min(2 * self._pause, IDLE_SECONDS)
            await self._advance()
            self._settled = await self._keys.has_list_settled()

    def _refuse(self, detail: str) -> None:
        if detail != self.refused:
            log.error("key_list_refused", extra={"detail": detail})
        self.refused = detail
