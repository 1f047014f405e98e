"""The deny-list for verifiers in other languages: entries for each revoked token, for as long as the token lives.

It follows what the agent knows and nothing else: what is read from Redis decides only whether to write it all again.
Once a second the agent looks whether the entries are still those that it put; after an outage, a flush or another's
turn at writing it puts them all anew under a new stamp, and then removes what bears an older one.
"""

import asyncio
import logging
from array import array
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, NamedTuple

from verifier_agent.clocks import Clock
from verifier_agent.digest_index import KeptBatch, unpacked
from verifier_agent.errors import StoreUnavailable
from verifier_agent.issuer_state import IssuerState
from verifier_agent.redis.connection import RedisConnection
from verifier_agent.redis.deny_entries import Batch, NoLongerListed, slices
from verifier_agent.redis.deny_writer import DenyWriter, FencedOut
from verifier_agent.redis.keys import RedisKeys
from verifier_agent.redis.lease import Fence, RedisLease

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 1.0
LEVEL_SECONDS: Final = 60
"""For how long readers may trust the list after the last look at it; longer than another takes to go on with it."""
INFORMED_SECONDS: Final = 10.0
"""Who has not known everything for so long removes nothing: what it does not know may have been revoked again."""
RENEWAL_SECONDS: Final = 600.0
"""After so long all entries are put again, as some may have been evicted unnoticed."""
LONGEST_DOUBT: Final = 30.0
"""After a failure it is done at once, as who took over may lack what was written last; but the next time only after
twice as long as it takes, up to this."""
DIGESTS_A_GROUP: Final = 25_000
LIFTED_A_GROUP: Final = 2500
DIGESTS_A_TURN: Final = 10_000
MAX_DUTY: Final = 20
"""Looking for changes takes a twentieth of the time at most."""
_LEAST_PAUSE: Final = 0.02


class _Listed(NamedTuple):
    """A batch as it is kept for as long as it is in force."""

    expires_at: float
    digests: KeptBatch

    def batch(self) -> Batch:
        return Batch(self.expires_at, unpacked(self.digests))


class DenyList:
    """Keeps ``revoked:…`` level with what the agent knows, while it holds the lease. One task runs it and owns it.

    Attributes:
        writer: counts what was written.
        is_level: whether all that is in force has its entries, and nothing else has.
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
        self.writer = DenyWriter(connection, keys, prefix)
        self.is_level = False
        self.renewals = 0
        self.failures = 0
        self.owner: str | None = None
        self._lease = lease
        self._clock = clock
        self._state = state
        self._prefix = prefix
        self._chance = chance
        self._woken = asyncio.Event()
        self._listed: dict[int, _Listed] = {}
        self._seen: tuple[IssuerState, int] | None = None  # the state and its epoch that the list was compared with
        self._has_begun = self._is_swept = self._is_doubtful = False
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
            await self._pause(max(_LEAST_PAUSE, (self._clock.boot() - started) / MAX_DUTY))

    async def follow(self) -> None:
        """Bring it level once, if it is ours to write.

        Raises:
            StoreUnavailable: Redis did not do as it was asked; the next call goes on from there.
        """
        fence = await self._lease.held()
        if fence is None or not self._state().issuer_time:  # without it nobody knows how long anything lives
            self._begin_anew()
            return
        try:
            if await self._is_begun(fence):
                await self._bring_level()
        except FencedOut:
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

    # -- beginning, again and again

    async def _is_begun(self, fence: Fence) -> bool:
        """Go on with what was put, if it is there; else begin. Not in the list of another issuer."""
        if self._has_begun and self.writer.fence != fence:
            self._begin_anew()
        if self._has_begun and self._is_swept and self._clock.boot() >= self._renew_at:
            self._renew()
        if self._has_begun and not await self.writer.is_there():
            log.warning("deny_list_lost")
            self._begin_anew()
        return self._has_begun or await self._begin(fence)

    async def _begin(self, fence: Fence) -> bool:
        told, self.owner = self.owner, await self.writer.claim(self._state().issuer)
        if self.owner is not None:
            if told is None:
                log.error("deny_list_of_another_issuer", extra={"owner": self.owner})
            return False
        await self.writer.begin(fence)
        self._has_begun, self._is_doubtful = True, False
        self._begun = self._clock.boot()
        self._renew_at = self._begun + RENEWAL_SECONDS * (0.8 + 0.4 * self._chance())
        self.renewals += 1
        return True

    def _begin_anew(self) -> None:
        self.is_level = False
        self._renew()

    def _renew(self) -> None:
        self._has_begun = self._is_swept = False
        self._seen = None
        self._listed.clear()

    def _doubt(self) -> None:
        self.failures += 1
        self.is_level, self._is_doubtful = False, True
        self._renew_at = min(self._renew_at, self._may_renew_at)

    # -- following

    async def _bring_level(self) -> None:
        covered = self._state().freshness.covered
        await self._put_missing()
        if not self._is_informed():
            self.is_level = False
            return
        await self._drop_lifted()
        if not self._is_swept:
            await self.writer.sweep()
            self._is_swept = True
            now = self._clock.boot()
            self._may_renew_at = now + min(LONGEST_DOUBT, max(TICK_SECONDS, 2 * (now - self._begun)))
            if self._is_doubtful:
                self._renew_at = self._may_renew_at
        if covered is not None and not self._is_doubtful:
            await self._tell_level(covered.time)

    def _is_informed(self) -> bool:
        """Whether everything that the newest heartbeat spoke of is known, and that is not long ago."""
        freshness = self._state().freshness
        age = freshness.age(self._clock.now(), self._clock.boot())
        return age is not None and age <= INFORMED_SECONDS and freshness.newest is freshness.covered

    async def _put_missing(self) -> None:
        """Put what is in force and not listed, the newest first."""
        while missing := self._missing():
            count, group, batches = 0, dict[int, _Listed](), list[Batch]()
            for seq in sorted(missing, reverse=True):
                group[seq] = missing[seq]
                batches.append(missing[seq].batch())
                count += len(batches[-1].digests)
                if count >= DIGESTS_A_GROUP:
                    break
            # When it is all put again nobody waits for it.
            await self.writer.put_all(batches, self._state().issuer_time, pace=not self._is_swept)
            self._listed |= group

    def _missing(self) -> dict[int, _Listed]:
        """What is in force and has no entries yet."""
        state = self._state()
        if self._is_seen(state):
            return {}
        frozen, now = state.revocations.freeze(), state.issuer_time
        new = frozen.digests.keys() - self._listed.keys()
        return {
            seq: _Listed(frozen.digest_expiry[seq], frozen.digests[seq])
            for seq in new
            if frozen.digest_expiry[seq] > now
        }

    def _is_seen(self, state: IssuerState) -> bool:
        return self._seen is not None and self._seen[0] is state and self._seen[1] == state.epoch

    async def _drop_lifted(self) -> None:
        """Remove the entries of batches that are gone before their time, but what others in force need."""
        state = self._state()
        if self._is_seen(state):
            return
        epoch, in_force, now = state.epoch, state.revocations.freeze().digests, state.issuer_time
        gone = {seq: self._listed[seq] for seq in self._listed.keys() - in_force.keys()}
        lifted = [listed.batch() for listed in gone.values() if listed.expires_at > now]
        for some in slices(lifted, LIFTED_A_GROUP):
            unneeded, turn = NoLongerListed([part.digests for part in some]), 0
            for part in chain.from_iterable(map(_parts, map(unpacked, in_force.values()))):
                unneeded.keep_what_needs(part)
                turn += len(part)
                if turn >= DIGESTS_A_TURN:
                    turn = 0
                    await asyncio.sleep(0)
            await self.writer.drop(unneeded.names(self._prefix))
        for seq in gone:
            del self._listed[seq]
        if in_force.keys() == self._listed.keys():  # else something is past and not forgotten yet, or has come since
            self._seen = (state, epoch)

    async def _tell_level(self, issuer_time: float) -> None:
        if not self.is_level:
            self.is_level = True
            log.info("deny_list_level", extra={"digests": self._state().revocations.digests})
        await self.writer.tell_level(issuer_time, LEVEL_SECONDS)


def _parts(digests: "array[int]") -> "Iterator[array[int]]":
    return (digests[start : start + DIGESTS_A_TURN] for start in range(0, len(digests), DIGESTS_A_TURN))
