"""The deny-list for verifiers in other languages: an entry for each revoked token, for as long as the token lives.

It follows what the agent knows and nothing else: what is read from Redis decides only whether to write it all again.
Once a second the agent looks whether the entries are still those that it put; after an outage, a flush or another's
turn at writing it puts them all anew under a new stamp, and then removes what bears an older one.
"""

import asyncio
import logging
import time
from array import array
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain, islice
from typing import Any, Final

from events.digests import repack_digests
from verifier_agent.clocks import Clock
from verifier_agent.errors import StoreUnavailable
from verifier_agent.issuer_state import IssuerState
from verifier_agent.redis import scripts
from verifier_agent.redis.connection import BulkCalls, RedisConnection, RedisRefused
from verifier_agent.redis.deny_entries import Batch, NoLongerListed, names, seconds_left, slices
from verifier_agent.redis.keys import RedisKeys
from verifier_agent.redis.lease import KEPT_SECONDS, Fence, RedisLease
from verifier_agent.redis.servers import Command

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 1.0
LEVEL_SECONDS: Final = 60
"""For how long readers may trust the list after the last look at it; longer than another takes to go on with it."""
RENEWAL_SECONDS: Final = 600.0
"""After so long all entries are put again, as some may have been evicted unnoticed."""
LONGEST_DOUBT: Final = 30.0
"""After a failure it is done at once, as who took over may lack what was written last; but the next time only after
twice as long as it takes, up to this."""
GROUP_SECONDS: Final = 30.0
SWEEP_SECONDS: Final = 300.0
DIGESTS_A_CALL: Final = 250
DIGESTS_A_GROUP: Final = 25_000
LIFTED_A_GROUP: Final = 2500
DIGESTS_A_TURN: Final = 10_000
COMMANDS_A_CALL: Final = 100
KEYS_A_SCAN: Final = 1000
MAX_DUTY: Final = 20
"""Looking for changes takes a twentieth of the time at most."""
_DIGIT: Final = "[0-9a-f]"


class _FencedOut(Exception):
    """Another writes by now."""


class DenyList:
    """Keeps ``revoked:…`` level with what the agent knows, while it holds the lease. One task runs it and owns it.

    Attributes:
        is_level: whether all that is in force has an entry, and nothing else.
        put: digests that were written.
        dropped: entries that were removed.
        renewals: how often all was put again.
        failures: how often Redis was away.
        owner: another issuer whose deny-list stands there already, so that ours cannot.
    """

    def __init__(
        self,
        connection: RedisConnection,
        keys: RedisKeys,
        lease: RedisLease,
        clock: Clock,
        state: Callable[[], IssuerState],
        *,
        prefix: str = "",
        chance: Callable[[], float] = lambda: 0.5,
    ) -> None:
        """Set up; nothing is written yet.

        Args:
            connection: to Redis.
            keys: of the issuer's state; fence and stamp are there.
            lease: who has it writes.
            clock: the machine's, or a test's.
            state: what the agent knows now.
            prefix: before ``revoked:``.
            chance: from 0 to 1; spreads the renewals of a fleet.
        """
        self.is_level = False
        self.put = 0
        self.dropped = 0
        self.renewals = 0
        self.failures = 0
        self.owner: str | None = None
        self._connection = connection
        self._calls: RedisConnection | BulkCalls = connection
        self._keys = keys
        self._lease = lease
        self._clock = clock
        self._state = state
        self._prefix = prefix
        self._chance = chance
        self._woken = asyncio.Event()
        self._writing: tuple[Fence, int] | None = None  # the fence and the stamp under which the list was put
        self._listed: dict[int, Batch] = {}
        self._seen: tuple[IssuerState, int] | None = None  # the state and its epoch that the list was compared with
        self._is_swept = False
        self._is_doubtful = False
        self._begun = self._renew_at = self._may_renew_at = 0.0

    def wake(self) -> None:
        """Something has been applied; to be called on the event loop."""
        self._woken.set()

    async def run(self) -> None:
        """Keep it level until cancelled."""
        while True:
            started = self._clock.boot()
            try:
                await self.follow()
            except StoreUnavailable as error:
                log.debug("deny_list_not_written", extra={"error": str(error)})
                self._doubt()
            except Exception:
                # A fault of ours, or of the library, must not end the list: it would grow old unseen.
                log.exception("deny_list_failed")
                self._doubt()
            await self._pause(max(0.02, (self._clock.boot() - started) / MAX_DUTY))

    async def follow(self) -> None:
        """Bring it level once, if it is ours to write.

        Raises:
            StoreUnavailable: Redis did not do as it was asked; the next call goes on from there.
        """
        fence = await self._lease.held()
        state = self._state()
        if fence is None or not state.issuer_time:  # without a heartbeat nobody knows how long anything lives
            self._begin_anew()
            return
        try:
            await self._check(fence)
            if self._writing is None and not await self._begin(fence):
                return
            await self._write_changes()
            if not self._is_swept:
                await self._sweep()
                self._is_swept = True
                now = self._clock.boot()
                self._may_renew_at = now + min(LONGEST_DOUBT, max(TICK_SECONDS, 2 * (now - self._begun)))
                if self._is_doubtful:
                    self._renew_at = self._may_renew_at
            if self._is_doubtful:
                return
            if not self.is_level:
                self.is_level = True
                log.info("deny_list_level", extra={"digests": state.revocations.digests})
            await self._tell_level()
        except _FencedOut:
            self._lease.fenced_out()
            self._begin_anew()

    async def _pause(self, least: float) -> None:
        await asyncio.sleep(least)
        try:
            async with asyncio.timeout(TICK_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()

    def _begin_anew(self) -> None:
        self.is_level = False
        self._renew()

    def _renew(self) -> None:
        self._writing, self._seen, self._is_swept = None, None, False
        self._listed.clear()

    def _doubt(self) -> None:
        self.failures += 1
        self.is_level, self._is_doubtful = False, True
        self._renew_at = min(self._renew_at, self._may_renew_at)

    async def _check(self, fence: Fence) -> None:
        """Whether what was put is there still, as far as its stamp tells."""
        if self._writing is None:
            return
        held, stamp = self._writing
        if held != fence:
            self._begin_anew()
            return
        if self._is_swept and self._clock.boot() >= self._renew_at:
            self._renew()
            return
        keys = self._keys
        (answer,) = await self._ask(
            ("EVAL", scripts.SAME_LISTING, 2, keys.fence, keys.listing, fence.text, stamp, KEPT_SECONDS)
        )
        if answer == scripts.MOVED:
            log.warning("deny_list_lost")
            self._begin_anew()

    async def _begin(self, fence: Fence) -> bool:
        """Take a new stamp; whether the list is this issuer's at all."""
        issuer, keys = self._state().issuer, self._keys
        (owner,) = await self._ask(
            ("EVAL", scripts.CLAIM, 1, f"{self._prefix}revoked-issuer", issuer.encode(), KEPT_SECONDS)
        )
        told, self.owner = self.owner, None if owner == issuer.encode() else owner.decode(errors="replace")[:200]
        if self.owner is not None:
            if told is None:
                log.error("deny_list_of_another_issuer", extra={"owner": self.owner})
            return False
        (stamp,) = await self._ask(
            ("EVAL", scripts.NEXT_LISTING, 2, keys.fence, keys.listing, fence.text, KEPT_SECONDS)
        )
        self._writing = (fence, int(stamp))
        self._is_doubtful = False
        self._begun = self._clock.boot()
        self._renew_at = self._begun + RENEWAL_SECONDS * (0.8 + 0.4 * self._chance())
        self.renewals += 1
        return True

    async def _write_changes(self) -> None:
        """Put what is in force and not listed, the newest first; then remove what was lifted."""
        while (missing := self._compare()) is not None:
            count, group = 0, dict[int, Batch]()
            for seq in sorted(missing, reverse=True):
                group[seq] = missing[seq]
                count += len(missing[seq].digests)
                if count >= DIGESTS_A_GROUP:
                    break
            if count <= DIGESTS_A_CALL:
                await self._put(list(group.values()))
            else:
                async with self._unhurried():
                    await self._put(list(group.values()))
            self._listed |= group
            if len(group) == len(missing):
                await self._remove_lifted()

    def _compare(self) -> dict[int, Batch] | None:
        """What is in force and has no entry yet; ``None`` when nothing has changed since all was done."""
        state = self._state()
        if self._seen is not None and self._seen[0] is state and self._seen[1] == state.epoch:
            return None
        epoch, frozen, now = state.epoch, state.revocations.freeze(), state.issuer_time
        new = frozen.digests.keys() - self._listed.keys()
        missing = {
            seq: Batch(frozen.digest_expiry[seq], frozen.digests[seq]) for seq in new if frozen.digest_expiry[seq] > now
        }
        if not missing and not self._listed.keys() - frozen.digests.keys():
            self._seen = (state, epoch)
            return None
        return missing

    async def _remove_lifted(self) -> None:
        """Remove entries of batches that are gone before their time, but what others in force need."""
        state = self._state()
        in_force, now = state.revocations.freeze().digests, state.issuer_time
        gone = {seq: self._listed[seq] for seq in self._listed.keys() - in_force.keys()}
        lifted = [batch.digests for batch in gone.values() if batch.expires_at > now]
        for some in slices([Batch(0.0, digests) for digests in lifted], LIFTED_A_GROUP):
            unneeded, turn = NoLongerListed([part.digests for part in some]), 0
            for part in chain.from_iterable(map(_parts, in_force.values())):
                unneeded.keep_what_needs(part)
                turn += len(part)
                if turn >= DIGESTS_A_TURN:
                    turn = 0
                    await asyncio.sleep(0)
            async with self._unhurried():
                await self._drop(unneeded.names(self._prefix), self._stamp)
        for seq in gone:
            del self._listed[seq]

    async def _put(self, batches: Sequence[Batch]) -> None:
        for some in slices(batches, DIGESTS_A_CALL):
            started = time.monotonic()
            now = self._state().issuer_time
            if self._connection.place.is_cluster:
                await self._put_one_by_one(some, now)
            else:
                pairs = [(seconds_left(expires_at, now), repack_digests(digests)) for expires_at, digests in some]
                await self._ask(
                    (
                        *("EVAL", scripts.PUT, 1, self._keys.fence, self._fence.text),
                        *(self._stamp, f"{self._prefix}revoked:"),
                        *(part for pair in pairs for part in pair),
                    )
                )
            self.put += sum(len(digests) for _, digests in some)
            if not self._is_swept:  # nobody waits for it: leave Redis a third of the time
                await asyncio.sleep(min((time.monotonic() - started) / 2, 0.05))

    async def _put_one_by_one(self, batches: Sequence[Batch], now: float) -> None:
        commands = (
            ("EVAL", scripts.PUT_ONE, 1, name, self._stamp, seconds_left(expires_at, now))
            for expires_at, digests in batches
            for digest in digests
            for name in names(self._prefix, digest)
        )
        await self._ask_in_turn(commands)

    async def _drop(self, entries: Sequence[str], newest: int) -> None:
        if self._connection.place.is_cluster:
            self.dropped += sum(
                await self._ask_in_turn(("EVAL", scripts.DROP_ONE, 1, name, newest) for name in entries)
            )
        else:
            for start in range(0, len(entries), DIGESTS_A_CALL):
                some = entries[start : start + DIGESTS_A_CALL]
                (removed,) = await self._ask(
                    ("EVAL", scripts.DROP, len(some) + 1, self._keys.fence, *some, self._fence.text, newest)
                )
                self.dropped += removed

    async def _sweep(self) -> None:
        """Remove entries with older stamps: they were lifted while nobody, or another, wrote."""
        async with self._unhurried(SWEEP_SECONDS) as bulk:
            if self._connection.place.is_cluster:
                for node in await bulk.nodes():
                    for digits in (8, 16):
                        await self._sweep_node(bulk, node, f"{self._prefix}revoked:{_DIGIT * digits}")
                return
            cursor: bytes | None = None
            while cursor != b"0":
                command = ("EVAL", scripts.SWEEP, 1, self._keys.fence, self._fence.text, self._stamp - 1)
                ((cursor, removed),) = await self._ask(
                    (*command, cursor or b"0", f"{self._prefix}revoked:", KEYS_A_SCAN)
                )
                self.dropped += removed

    async def _sweep_node(self, bulk: BulkCalls, node: object, pattern: str) -> None:
        cursor: bytes | None = None
        while cursor is None or int(cursor):
            ((cursor, found),) = await bulk.ask(
                ("SCAN", cursor or b"0", "MATCH", pattern, "COUNT", KEYS_A_SCAN), node=node
            )
            await self._drop([bytes(name).decode() for name in found], self._stamp - 1)

    async def _tell_level(self) -> None:
        """Let readers know up to when the list is level, as long as the agent itself is up to date."""
        covered = self._state().freshness.covered
        age = self._state().freshness.age(self._clock.now(), self._clock.boot())
        if covered is not None and age is not None and age <= LEVEL_SECONDS:
            await self._ask(("SET", f"{self._prefix}revoked-level", int(covered.time), "EX", LEVEL_SECONDS))

    @asynccontextmanager
    async def _unhurried(self, seconds: float = GROUP_SECONDS) -> AsyncIterator[BulkCalls]:
        """Let calls take longer meanwhile: there are many, nobody waits for them, and each may be large."""
        async with self._connection.bulk(seconds) as bulk:
            self._calls = bulk
            try:
                yield bulk
            finally:
                self._calls = self._connection

    async def _ask_in_turn(self, commands: Iterator[Command]) -> list[Any]:
        answers = []
        while some := list(islice(commands, COMMANDS_A_CALL)):
            answers += await self._ask(*some)
        return answers

    async def _ask(self, *commands: Command) -> list[Any]:
        answers = await self._calls.ask(*commands)
        if scripts.FENCED in answers:
            raise _FencedOut
        return answers

    @property
    def _fence(self) -> Fence:
        return self._current[0]

    @property
    def _stamp(self) -> int:
        return self._current[1]

    @property
    def _current(self) -> tuple[Fence, int]:
        if self._writing is None:
            raise RedisRefused("the deny-list is not ours to write")
        return self._writing


def _parts(digests: "array[int]") -> "Iterator[array[int]]":
    return (digests[start : start + DIGESTS_A_TURN] for start in range(0, len(digests), DIGESTS_A_TURN))
