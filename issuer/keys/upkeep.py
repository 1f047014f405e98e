"""What is to follow a change of the keys at once, in each replica: its new signing key in memory, and a next standby.

Neither is part of the decision: an emergency must wait for no key to be made, and for nothing that holds a
key-encryption key.
"""

import asyncio
import logging
from typing import Final

from events import SignedEvent, Stream
from issuer.errors import IssuerError, StoreUnavailable, StoreUninitialised, WrapperUnavailable
from issuer.keys.key_service import KeyService
from issuer.outbox.own_agent import OwnAgent
from issuer.outbox.relay import Relay

log = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 0.25
"""Between a decision and the standby that it takes: agents are to hear of the decision, and do nothing else, first."""


class KeyUpkeep:
    """Follows what is decided here and elsewhere; a ``Hearer`` of the relay."""

    def __init__(self, keys: KeyService, own_agent: OwnAgent, relay: Relay) -> None:
        """Set up.

        Args:
            keys: the token keys.
            own_agent: knows the newest key set.
            relay: is offered what is done here.
        """
        self._keys = keys
        self._own_agent = own_agent
        self._relay = relay
        self._asked = asyncio.Event()
        self._decided_here = False
        self._seen = 0

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
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self.once()
            except (StoreUnavailable, WrapperUnavailable) as error:  # housekeeping comes back to it
                log.warning("key_upkeep_postponed", extra={"error": str(error)})

    async def once(self) -> None:
        """Follow what is known now.

        Raises:
            StoreUnavailable: the store does not answer.
            WrapperUnavailable: what holds the key-encryption key does not answer.
        """
        known = self._own_agent.verifier.state.keys
        self._seen = known.seq
        try:
            await self._keys.open_active(known.published)
        except StoreUninitialised:
            pass  # there is no key that could be opened
        except IssuerError as error:  # a key that does not open is told to whoever asks for a token, too
            log.warning("signing_key_not_opened", extra={"error": str(error)})
        if self._decided_here:
            self._decided_here = False
            await asyncio.sleep(PAUSE_SECONDS)
            event = await self._keys.replenish()
            if event is not None:
                self._own_agent.hear(event)
                self._relay.offer(event)
