"""The issuer's own verifier, fed from the outbox and not from the log.

With the log away people can still revoke, and what this process has decided it enforces at once. Its knowledge is the
``rsq`` of the tokens that it issues.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from events import EventOpener, IssuerTrust, Revoke, SignedEvent, Stream
from events.streams import SEQUENCED
from issuer.errors import StoreUnavailable
from issuer.lookups import Changes
from issuer.outbox.clock_guard import ClockGuard
from issuer.outbox.outbox import Outbox, read_heads
from issuer.store.database import Database
from verifier_agent import Claims, VerificationPolicy, Verifier
from verifier_agent.clocks import Clock

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.05
"""How soon what another replica has decided is known here."""
BATCH: Final = 500
AWAKE_SECONDS: Final = 0.5
ASLEEP_SECONDS: Final = 5.0
"""Who has not had a turn for so long was stopped, and what he knows may have been overtaken."""


class OwnAgent:
    """A verifier, and the task that reads the outbox for it.

    Attributes:
        verifier: what is known.
        clock_trusted: whether the store's clock did not leap when it was looked at last.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        trust: IssuerTrust,
        skew: float,
        clock: Clock,
        changes: Changes | None = None,
        opener: EventOpener | None = None,
    ) -> None:
        """Know nothing yet.

        Args:
            database: the store.
            outbox: in it.
            trust: what events must be signed with.
            skew: see ``VerificationPolicy``.
            clock: of this machine.
            changes: told of what was changed in the store, before any revocation that came after that is known.
            opener: of events, which learns of new event keys by what is read here; by default one of its own.
        """
        self.verifier = Verifier(trust, VerificationPolicy(audience=trust.issuer, skew=skew), opener=opener)
        self.verifier.state.is_source = True
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._changes = changes or Changes({})
        self._changes_known = 0
        self._heads = outbox.heads_query(self._changes.columns)  # twenty times a second: making it would cost most
        self._clock_guard = ClockGuard()
        self.clock_trusted = True
        self._catching_up = asyncio.Lock()
        self._awake = self._woke = self._looked = clock.boot()
        self._ears: list[Callable[[bytes], None]] = []
        self._refused_after: dict[Stream, int] = {}  # where the outbox cannot be read on

    @property
    def rsq(self) -> int:
        """Highest revocation ``seq`` up to which everything is known here, changes of clients and users included.

        A token stamped with it passes every revocation up to it, so nothing older may have decided about the token.
        """
        return min(self._revocations_known, self._changes_known)

    @property
    def _revocations_known(self) -> int:
        return self.verifier.state.sequences[Stream.REVOCATIONS].contiguous()

    def verify(self, token: str, *, audience: str | None, scope: str | None = None) -> Claims:
        """As ``Verifier.verify``, at this moment."""
        return self.verifier.verify(
            token, now=self._clock.now(), boot=self._clock.boot(), audience=audience, scope=scope
        )

    def hear(self, event: SignedEvent) -> None:
        """Apply what this process has just committed, before anybody is answered.

        After a revocation by selector ``rsq`` waits for the next look at the store: what another replica has changed
        before it may not have been heard of. Other events hit no token that is yet to be made.
        """
        self._apply(event.stream, event.text, self._clock.boot())
        is_harmless = event.stream is Stream.REVOCATIONS and not isinstance(event.record, Revoke)
        if is_harmless and self._changes_known == event.seq - 1:
            self._changes_known = event.seq

    def also_tell(self, hear: Callable[[bytes], None]) -> None:
        """Have further ears for each event of the stream of revocations, as it is applied."""
        self._ears.append(hear)

    async def successions(self) -> list[bytes]:
        """Every succession of event keys, as it was signed.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        async with self._database.read() as connection:
            return [event.text for event in await self._outbox.successions(connection)]

    async def catch_up_to(self, seq: int) -> None:
        """Know every revocation up to ``seq``, what other replicas have decided before it included.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        if self.rsq < seq:
            async with self._catching_up:  # of many who wait, one reads for all
                if self.rsq < seq:
                    await self.catch_up()

    async def wake_up(self) -> None:
        """Look at the store before anything is done, if this process was stopped, as by SIGSTOP or with its machine.

        What it knew then may be of long ago: the key that signed may have retired since, and be published no more.

        Raises:
            StoreUnavailable: the store does not answer; with the process never stopped it is not asked.
        """
        self._have_a_turn()
        if self._looked < self._woke:
            async with self._catching_up:
                if self._looked < self._woke:
                    await self.catch_up()

    async def stay_awake(self) -> None:
        """Have a turn now and then, until cancelled, whatever the store does: who had none was stopped."""
        while True:
            self._have_a_turn()
            await asyncio.sleep(AWAKE_SECONDS)

    def _have_a_turn(self) -> None:
        now = self._clock.boot()
        if now - self._awake > ASLEEP_SECONDS:
            self._woke = now
        self._awake = now

    async def catch_up(self) -> bool:
        """Apply everything that the store has and we do not; whether there was anything.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        received, before_all = self._clock.boot(), self._known()
        async with self._database.read() as connection:
            heads, changed = await read_heads(connection, self._heads)
            self._changes.hear(changed)
            self._changes_known = max(self._changes_known, heads.heads[Stream.REVOCATIONS].head)
            for stream in SEQUENCED:
                sequence, head = self.verifier.state.sequences[stream], heads.heads[stream]
                if stream is Stream.KEYS and sequence.contiguous() < head.head:
                    await self._hear_successions(connection, sequence.contiguous(), received)
                sequence.advance_floor(head.floor)
                while sequence.contiguous() < head.head:
                    before = sequence.contiguous()
                    events = await self._outbox.after(connection, stream, before, limit=BATCH)
                    for event in events:
                        self._apply(stream, event.text, received)
                        settling = True
                        while settling:
                            await asyncio.sleep(0)  # it takes long enough for others to have their turn
                            settling = self.verifier.settle()
                    if sequence.contiguous() == before:
                        if self._refused_after.get(stream) != before:
                            log.error("outbox_event_refused", extra={"stream": str(stream), "after": before})
                        self._refused_after[stream] = before
                        break
                    await asyncio.sleep(0)
        trusted, self.clock_trusted = self.clock_trusted, self._clock_guard.trusts(heads.time, received)
        if self.clock_trusted:
            self.verifier.state.observe(heads, received)
        elif trusted:
            log.error("store_clock_leaps", extra={"time": heads.time})
        self._looked = max(self._looked, received)
        return self._known() != before_all

    async def _hear_successions(self, connection: AsyncConnection, after: int, received: float) -> None:
        """Those of event keys, which the floor does not cover: what follows is signed by the next one."""
        for event in await self._outbox.successions(connection):
            if event.seq > after:
                self._apply(event.stream, event.text, received)

    def _apply(self, stream: Stream, text: bytes, received: float) -> None:
        if stream is Stream.REVOCATIONS:
            for hear in self._ears:
                hear(text)
        self.verifier.apply(stream, text, received=received)

    def _known(self) -> list[int]:
        return [self.verifier.state.sequences[stream].contiguous() for stream in SEQUENCED]

    async def run(self, news: Callable[[], None]) -> None:
        """Catch up for ever, until cancelled.

        Args:
            news: called when another replica had decided something.
        """
        reachable = True
        while True:
            try:
                if await self.catch_up():
                    news()
                reachable = True
            except StoreUnavailable as error:
                if reachable:
                    log.warning("outbox_unreadable", extra={"error": str(error)})
                reachable = False
            await self._settle_for(POLL_SECONDS if reachable else 1.0)

    async def _settle_for(self, pause: float) -> None:
        """Do what mass revocations have left to do, a bit at a time; nothing for the rest of the pause."""
        loop = asyncio.get_running_loop()
        end = loop.time() + pause
        while loop.time() < end and self.verifier.settle():  # noqa: ASYNC110 - this is work, not waiting
            await asyncio.sleep(0)
        await asyncio.sleep(end - loop.time())
