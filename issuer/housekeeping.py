"""What every replica does now and then; doing it twice changes nothing."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from events import SignedEvent
from issuer.errors import StoreUnavailable, WrapperUnavailable
from issuer.families import FamilyStore, Standing
from issuer.keys.holders import KekHolders
from issuer.keys.key_service import KeyService
from issuer.leadership import Leadership, LeadershipLost
from issuer.outbox.horizon import note_ceiling, read_horizon
from issuer.outbox.own_agent import OwnAgent
from issuer.outbox.relay import Relay
from issuer.store.database import Database

log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 30.0
LONGEST_REQUEST_ROUNDS: Final = 20
"""No request takes as many rounds, ten minutes, from reading ``gsq`` to keeping what it has begun with it."""


class Purged(Protocol):
    """Keeps what ends by itself."""

    async def purge(self) -> object:
        """Let go of what has ended."""


class Housekeeping:
    """Notes the ceiling of token life in use, does what is due in the life of keys, lets go of what has ended."""

    def __init__(
        self,
        database: Database,
        keys: KeyService,
        own_agent: OwnAgent,
        relay: Relay,
        token_lifetime_ceiling: float,
        families: FamilyStore,
        standing: Standing,
        leadership: Leadership,
        kek_holders: KekHolders,
        also_purge: Sequence[Purged] = (),
    ) -> None:
        self._database = database
        self._keys = keys
        self._own_agent = own_agent
        self._relay = relay
        self._ceiling = token_lifetime_ceiling
        self._families = families
        self._standing = standing
        self._purged: Sequence[Purged] = (families, *also_purge)
        self._leadership = leadership
        self._known = deque[int](maxlen=LONGEST_REQUEST_ROUNDS)
        self._kek_holders = kek_holders

    async def run(self) -> None:
        """Do it for ever, until cancelled."""
        while True:
            try:
                await self.once()
            except LeadershipLost as error:
                log.info("key_rotation_left_to_another", extra={"error": str(error)})
            except (StoreUnavailable, WrapperUnavailable) as error:
                log.warning("housekeeping_postponed", extra={"error": str(error)})
            await asyncio.sleep(EVERY_SECONDS)

    async def once(self) -> None:
        """Do it now.

        Raises:
            StoreUnavailable: the store does not answer.
            WrapperUnavailable: what holds the key-encryption key does not answer.
            LeadershipLost: another replica leads by now.
        """
        await note_ceiling(self._database, self._ceiling)
        await self._kek_holders.say()
        for purged in self._purged:
            await purged.purge()
        self._known.append(self._own_agent.rsq)
        if len(self._known) == LONGEST_REQUEST_ROUNDS:  # what a login rests on that is going on now is no older
            self._standing.forget(await self._families.oldest_gsq(self._known[0]))
        await self.advance_keys()
        self.tell(await self._keys.replenish())

    async def advance_keys(self) -> None:
        """Do what is due in the life of the keys. Errors as of ``once``."""
        async with self._database.read() as connection:
            horizon = await read_horizon(connection, self._database, self._ceiling)
        life = horizon.past_every_token - horizon.newest
        self.tell(await self._keys.advance(dead_before=horizon.now - life, leader=self._leadership))

    def tell(self, event: SignedEvent | None) -> None:
        """Let what has been committed hold here, and go out; nothing is nothing to tell."""
        if event is not None:
            self._own_agent.hear(event)
            self._relay.offer(event)
