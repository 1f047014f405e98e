"""What follows a log: when the log does not behave, and when others are waiting."""

import asyncio

from events import RefusalCode, RevokeDigests, Selector, Stream, TokenDigest, UnverifiedEvent
from events.digests import BATCH_LIMIT, pack_digests
from events.log.memory import MemoryLog
from tests.simulator import HOUR, IssuerSimulator, Listener, publish
from verifier_agent import Outcome
from verifier_agent.digest_index import CROWD
from verifier_agent.follower import MASS_BYTES, LogFollower
from verifier_agent.log_start import start_of
from verifier_agent.verifier import Verifier


class UnclosableLog(MemoryLog):
    """Fails when it is closed."""

    async def close(self) -> None:
        """See ``EventLog.close``."""
        raise RuntimeError("it does not close")


async def test_an_error_of_closing_does_not_swallow_a_cancellation(issuer: IssuerSimulator) -> None:
    listener = Listener(issuer)
    follower = LogFollower(listener.verifier, UnclosableLog, issuer.clock, lambda: None)
    task = asyncio.create_task(follower.run())
    await asyncio.sleep(0.01)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=2)

    assert done
    assert task.cancelled()


class NumberedMemory(MemoryLog):
    """Its positions are sequences, as in the issuer's feed; it bears no question."""

    def place_behind(self, seq: int) -> int | None:
        """See ``NumberedLog``."""
        return seq or None

    async def head(self, stream: Stream) -> int | None:
        """See ``EventLog.head``."""
        raise AssertionError(f"asked for the end of {stream}")


async def test_in_a_log_whose_positions_are_sequences_ones_place_is_what_one_knows(issuer: IssuerSimulator) -> None:
    listener = Listener(issuer)
    assert set((await start_of(NumberedMemory(), listener.verifier)).values()) == {None}

    known = [issuer.revoke(Selector.of(sub=f"user-{number}")) for number in range(3)][-1]
    listener.catch_up()
    issuer.revoke(Selector.of(sub="missing"))
    listener.hear(issuer.revoke(Selector.of(sub="alice")), issuer.beat())
    assert await start_of(NumberedMemory(), listener.verifier) == {
        Stream.KEYS: next(event.seq for event in reversed(issuer.said) if event.stream is Stream.KEYS),
        Stream.REVOCATIONS: known.seq,
        Stream.HEARTBEATS: None,
    }


class Watched(Verifier):
    """Notes how many turns others have had before each event."""

    turns = 0
    before: list[tuple[int, int]]

    def apply(self, stream: Stream, raw: UnverifiedEvent | bytes, *, received: float = 0.0) -> Outcome | RefusalCode:
        """See ``Verifier``."""
        self.before.append((len(raw), self.turns))
        return super().apply(stream, raw, received=received)


class Waiting(Verifier):
    """Notes the most batches that waited when an event came."""

    most = 0

    def apply(self, stream: Stream, raw: UnverifiedEvent | bytes, *, received: float = 0.0) -> Outcome | RefusalCode:
        """See ``Verifier``."""
        self.most = max(self.most, len(self.state.revocations._digests._unsettled))
        return super().apply(stream, raw, received=received)


async def test_others_get_their_turn_right_before_a_mass_revocation(issuer: IssuerSimulator) -> None:
    """The clock stands still, so no slice ends by time."""
    event_log = MemoryLog()
    for number in range(2):
        issuer.revoke(Selector.of(sub=f"user-{number}"))
    packed = pack_digests(map(TokenDigest, range(BATCH_LIMIT)))
    issuer.say(Stream.REVOCATIONS, RevokeDigests(digests=packed, expires_at=issuer.clock.now() + HOUR))
    issuer.revoke(Selector.of(sub="after"))
    await publish(event_log, *issuer.said, issuer.beat())
    verifier = Watched(issuer.trust)
    verifier.before = []

    async def others() -> None:
        while True:
            verifier.turns += 1
            await asyncio.sleep(0)

    applied = asyncio.Event()
    follower = LogFollower(verifier, lambda: event_log, issuer.clock, applied.set)
    async with asyncio.timeout(30):
        waiting, following = asyncio.create_task(others()), asyncio.create_task(follower.run())
        while verifier.state.freshness.covered is None:
            await applied.wait()
            applied.clear()
    for task in (waiting, following):
        task.cancel()
    await asyncio.wait([waiting, following])

    at, mass = next((at, turn) for at, (size, turn) in enumerate(verifier.before) if size > MASS_BYTES)
    earlier = [turn for _, turn in verifier.before[:at]]
    assert mass not in earlier
    assert len(set(earlier)) < len(earlier)  # these do with one turn together


async def test_a_crowd_that_waits_is_settled_before_more_is_applied(issuer: IssuerSimulator) -> None:
    event_log = MemoryLog()
    each = 7000  # more than MASS_BYTES as an event
    for number in range(CROWD + 8):
        packed = pack_digests(map(TokenDigest, range(number * 10_000, number * 10_000 + each)))
        issuer.say(Stream.REVOCATIONS, RevokeDigests(digests=packed, expires_at=issuer.clock.now() + HOUR))
    await publish(event_log, *issuer.said, issuer.beat())
    verifier = Waiting(issuer.trust)
    following = asyncio.create_task(LogFollower(verifier, lambda: event_log, issuer.clock, lambda: None).run())
    async with asyncio.timeout(30):
        while verifier.state.freshness.covered is None:  # noqa: ASYNC110 - it is done by nobody else
            await asyncio.sleep(0)
    following.cancel()
    await asyncio.wait([following])

    assert verifier.most == CROWD - 1
