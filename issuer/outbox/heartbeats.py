"""Heartbeats: numbered under the lock of their counter row, timed by the store, signed here.

Any number of processes may make them at once: a heartbeat with a higher number was read later, so heads and time never
fall from one number to the next, whoever signed.
"""

import logging

from events import EventSigner, SignedEvent, Stream, format_seq
from issuer.outbox.clock_guard import ClockGuard
from issuer.outbox.outbox import Outbox
from issuer.store.database import Database
from verifier_agent.clocks import Clock

log = logging.getLogger(__name__)


class Heartbeats:
    """Makes heartbeats, one after the other.

    Attributes:
        clock_trusted: whether the store's clock did not leap at the newest.
        signer: who signed the newest.
    """

    def __init__(self, database: Database, outbox: Outbox, clock: Clock) -> None:
        self.clock_trusted = True
        self.signer: EventSigner | None = None
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._clock_guard = ClockGuard()

    async def next(self) -> SignedEvent | None:
        """A new heartbeat; ``None`` while the store's clock has leapt ahead.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        async with self._database.write(urgent=True) as connection:
            seq, heartbeat, signer = await self._outbox.heartbeat(connection)
        trusted, self.clock_trusted = self.clock_trusted, self._clock_guard.trusts(heartbeat.time, self._clock.boot())
        if not self.clock_trusted:
            if trusted:
                log.critical("store_clock_leaps", extra={"time": heartbeat.time})
            return None
        txn = f"heartbeat.{format_seq(seq)}"
        self.signer = signer
        return signer.sign(Stream.HEARTBEATS, seq, heartbeat, time=heartbeat.time, txn=txn)
