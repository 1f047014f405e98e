"""Recovers a store from its log: one transaction, and then the relay's own way of publishing.

1 take the relay's lease, so that nobody publishes · 2 read the log · 3 compare, and change the store in one
transaction · 4 publish. Killed before the end of 3 nothing has happened; killed later, the issuer or another run
publishes the rest.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from events import EventOpener, KeySet, SignedEvent, Stream, format_seq, pack, unpack
from events.event_keys import EventKeys
from events.log import EventLog
from events.sequence import INCARNATION_BITS
from events.streams import SEQUENCED
from events.thumbprint import thumbprint
from issuer.keys.event_chain import (
    ChainKey,
    EventSigners,
    SignedSuccession,
    add_to_chain,
    change_in_chain,
    sign_with,
)
from issuer.keys.generation import PrivateJwk
from issuer.keys.key_service import KeyService
from issuer.keys.succession import named_by_itself
from issuer.keys.vault import EVENT_KEY, KeyVault, SealedKey
from issuer.outbox.horizon import read_horizon
from issuer.outbox.incarnations import open_incarnation
from issuer.outbox.lease import LEASE_SECONDS, RELAY, Lease
from issuer.outbox.outbox import Outbox
from issuer.outbox.relay import Relay
from issuer.recovery.errors import LeaseHeld, NothingToRecover, RecoveryRefused
from issuer.recovery.findings import Findings, found_in
from issuer.recovery.histories import Logged, StoreHistory, read_log, read_store
from issuer.recovery.key_states import KeyChanges, change_keys, held_keys, plan_keys
from issuer.recovery.plan import StreamPlan, plan_stream, said_again
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from issuer.store.schema import leases, streams
from verifier_agent.clocks import Clock

STORE_SECONDS: Final = 600.0
"""Longest that the one transaction may take."""
PUBLISH_SECONDS: Final = 60.0
"""Longest wait for the log to take what was recovered; issuers go on with it."""
BATCH: Final = 500
ACTOR: Final = "tocsin recover"


class Recovery:
    """One run of ``tocsin recover``."""

    def __init__(
        self,
        settings: IssuerSettings,
        database: Database,
        event_log: EventLog,
        vault: KeyVault,
        signers: EventSigners,
        opener: EventOpener,
        clock: Clock,
        progress: Callable[[str], None] = lambda _: None,
        event_key: PrivateJwk | None = None,
    ) -> None:
        """Set up.

        Args:
            settings: the issuer's.
            database: the store.
            event_log: the log.
            vault: of the private keys.
            signers: with the issuer's event keys.
            opener: for events of the same keys.
            clock: of this machine.
            progress: told what is being done, before it is.
            event_key: the private half of the newest event key, for a store that is older than its succession.
        """
        self._event_key = event_key
        self._learned: EventKeys | None = None
        self._sealed: SealedKey | None = None
        self._settings = settings
        self._database = database
        self._log = event_log
        self._vault = vault
        self._opener = opener
        self._outbox = Outbox(database, signers)
        self._keys = KeyService(database, self._outbox, vault, settings.signing_algorithms)
        self._holder = f"recover-{secrets.token_hex(12)}"
        self._relay = Relay(database, self._outbox, event_log, opener, self._holder, clock)
        self._lease = Lease(database, RELAY, self._holder)
        self._progress = progress

    async def look(self, *, everything: bool = False) -> Findings:
        """What there is to be recovered, and what would be done; nothing is changed.

        Raises:
            RecoveryRefused: it cannot be done; the message says why.
            LogError: the log cannot be read.
            StoreUnavailable: the store does not answer.
        """
        logged = await self._read_log()
        async with self._database.read() as connection:
            return (await self._compare(connection, logged, everything=everything)).findings

    async def recover(self, *, everything: bool = False) -> Findings:
        """Do it; what was found and done.

        Args:
            everything: also when store and log agree, and then say again all that is live: for agents that have seen
                what neither of them has any more.

        Raises:
            NothingToRecover: store and log agree, and nothing waits to be published.
            LeaseHeld: an issuer publishes.
            RecoveryRefused: it cannot be done; the message says why.
            LogError: the log cannot be read.
            StoreUnavailable: the store does not answer.
        """
        self._progress("taking the relay's lease")  # 1
        fence = await self._take_lease()
        try:
            async with self._renewing():
                self._progress("reading the log")  # 2
                logged = await self._read_log()
            if self._learned is not None and self._event_key is not None:
                self._sealed = await self._vault.seal(named_by_itself(self._event_key), EVENT_KEY)
            self._progress("comparing it with the store")  # 3
            async with self._database.write(STORE_SECONDS) as connection:
                await self._lock(connection, fence)
                found = await self._compare(connection, logged, everything=everything)
                if found.needed or everything:
                    self._progress("changing the store")
                    findings = await self._change(connection, found)
                    self._progress("committing")
                elif not found.unpublished:
                    raise NothingToRecover("store and log agree; there is nothing to recover")
                else:
                    findings = found.findings
            self._progress("publishing")  # 4
            return await self._publish(findings)
        finally:
            with suppress(Exception):  # it runs out by itself
                await self._lease.release()

    # -- 1

    async def _take_lease(self) -> int:
        """Wait for the lease of one who has died, not for that of one who lives."""
        for _ in range(10):
            fence = await self._lease.acquire()
            if fence is not None:
                return fence
            await asyncio.sleep((LEASE_SECONDS + 1.0) / 10)
        raise LeaseHeld("an issuer holds the relay's lease and publishes: stop the issuers of this store first")

    @asynccontextmanager
    async def _renewing(self) -> AsyncIterator[None]:
        async def renew() -> None:
            while True:
                await asyncio.sleep(LEASE_SECONDS / 3)
                await self._lease.acquire()

        task = asyncio.create_task(renew())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # -- 2

    async def _read_log(self) -> Logged:
        opener = self._opener.copy()
        logged = await read_log(self._log, opener)
        if opener.keys.generation > self._opener.keys.generation:
            self._check_event_key(opener.keys)
            self._learned = opener.keys
        if logged.strange and not logged.beat and not any(history.events for history in logged.streams.values()):
            raise RecoveryRefused(
                f"all {logged.strange} events in the log are signed by another event key than the store has: "
                "restore a backup of this issuer's own store"
            )
        return logged

    def _check_event_key(self, known: EventKeys) -> None:
        """The store is older than a succession: it must not go on with a key that has ended."""
        ended, newest = self._opener.keys.newest, known.newest
        if self._event_key is None or thumbprint(self._event_key) != newest.thumbprint:
            raise RecoveryRefused(
                f"event key {ended.kid} has ended, by the log, and signs no more: this store is older than its "
                f"succession. Restore a backup that is younger, or bring the private half of event key {newest.kid}, "
                "which was kept offline before: --event-key FILE"
            )

    # -- 3

    async def _lock(self, connection: AsyncConnection, fence: int) -> None:
        """Let nobody decide until this is done, and make sure that nobody publishes."""
        await connection.execute(select(streams).order_by(streams.c.stream).with_for_update())
        ours = (leases.c.name == RELAY) & (leases.c.fence == fence) & (leases.c.holder == self._holder)
        renewed = await connection.execute(
            update(leases).where(ours).values(expires_at=self._database.time() + LEASE_SECONDS)
        )
        if not renewed.rowcount:
            raise LeaseHeld("an issuer has taken the relay's lease meanwhile: stop the issuers of this store first")

    async def _compare(self, connection: AsyncConnection, logged: Logged, *, everything: bool) -> "_Found":
        now = (await connection.execute(select(self._database.time()))).scalar_one()
        plans = {}
        for stream in SEQUENCED:
            history = logged.streams[stream]
            store = await read_store(connection, self._opener, stream, history)
            told = logged.beat.heads.get(stream) if logged.beat else None
            plans[stream] = plan_stream(stream, store, history, told, now=now, everything=everything)
            if stream is Stream.KEYS:
                key_sets = store
        heads = (await connection.execute(select(streams.c.head))).scalars().all()
        numbers = [*heads, logged.beat_seq, *(seq for history in logged.streams.values() for seq in history.events)]
        incarnation = unpack(max(numbers))[0] + 1
        if incarnation >= 1 << INCARNATION_BITS:
            raise RecoveryRefused("there is no higher incarnation left")
        changes = await self._plan_keys(connection, key_sets, logged)
        unpublished = any(plan.unpublished for plan in plans.values())
        return _Found(plans, incarnation, changes, logged.newest, unpublished=unpublished)

    async def _plan_keys(self, connection: AsyncConnection, store: StoreHistory, logged: Logged) -> KeyChanges:
        in_log = logged.streams[Stream.KEYS].events
        told = [event.record for seq in sorted(in_log) for event in in_log[seq].values()]
        kept = [store.said(seq).record for seq in store.digests]
        log_sets = [record for record in told if isinstance(record, KeySet)]
        heard = [*log_sets, *(record for record in kept if isinstance(record, KeySet))]
        newest = log_sets[-1] if log_sets else None
        return plan_keys(await held_keys(connection), heard, newest, self._settings.signing_algorithms)

    async def _change(self, connection: AsyncConnection, found: "_Found") -> Findings:
        horizon = await read_horizon(connection, self._database, self._settings.token_lifetime_ceiling)
        start, txn = pack(found.incarnation, 0), f"recovery-{secrets.token_hex(12)}"
        await connection.execute(update(streams).where(streams.c.time < found.newest).values(time=found.newest))
        if self._learned is not None and self._sealed is not None:
            await self._take_over_keys(connection, self._learned, self._sealed)
        said: list[tuple[SignedEvent, SignedEvent]] = []
        for stream, plan in found.plans.items():
            for at in range(0, len(plan.imports), BATCH):
                await self._outbox.keep(connection, plan.imports[at : at + BATCH])
            await open_incarnation(connection, self._outbox, stream, found.incarnation, plan.baseline, txn)
            for event in plan.again:
                again = said_again(event, horizon.past_every_token)
                said.append((event, await self._outbox.append(connection, stream, again, txn=txn)))
        await change_keys(connection, self._database, self._vault, found.keys)
        await self._keys.say_again(connection, reason="recovered", actor=ACTOR)
        await connection.execute(
            update(streams).where(streams.c.stream == Stream.HEARTBEATS, streams.c.head < start).values(head=start)
        )
        return found.findings.done({format_seq(old.seq): format_seq(new.seq) for old, new in said})

    async def _take_over_keys(self, connection: AsyncConnection, known: EventKeys, sealed: SealedKey) -> None:
        """Bring the chain of event keys to where the log says that it is."""
        links = known.links
        heard = {each.record.jwk["kid"]: each for each in known.heard}
        for link in links[self._opener.keys.generation :]:
            by = heard.get(link.kid)
            successor = known.heir if link is known.newest else links[link.generation + 1].thumbprint
            key = ChainKey(
                generation=link.generation,
                jwk=link.jwk,
                successor=successor,
                ends=None if link.ends is None else dict(link.ends),
                began_at=by.record.time if by else 0.0,
            )
            if by is None or link.generation <= self._opener.keys.generation:
                await change_in_chain(connection, key)
            else:
                event = SignedSuccession(by.record.ends[Stream.KEYS], by.digest, by.text)
                await add_to_chain(connection, key, event)
        await self._vault.replace_event_key(connection, sealed)
        await sign_with(connection, known.generation)

    # -- 4

    async def _publish(self, findings: Findings) -> Findings:
        """Have the relay publish until nothing waits, or the log takes too long."""
        if self._learned is not None:
            self._opener.keys = self._learned
        task = asyncio.create_task(self._relay.run())
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                while not await self._is_published():
                    if task.done() or self._relay.halted is not None:
                        return findings
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return findings
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return findings.all_published()

    async def _is_published(self) -> bool:
        if not self._relay.is_publishing:
            return False
        async with self._database.read() as connection:
            query = select(streams.c.stream).where(
                streams.c.stream.in_([stream.value for stream in SEQUENCED]), streams.c.published < streams.c.head
            )
            return (await connection.execute(query)).first() is None


class _Found:
    def __init__(
        self,
        plans: dict[Stream, StreamPlan],
        incarnation: int,
        keys: KeyChanges,
        newest: float,
        *,
        unpublished: bool,
    ) -> None:
        self.plans = plans
        self.incarnation = incarnation
        self.keys = keys
        self.newest = newest
        self.unpublished = unpublished
        self.needed = any(plan.needed for plan in plans.values())
        self.findings = found_in(plans.values(), keys, incarnation)
