"""What follows a log, when the log does not behave."""

import asyncio

from events import Selector, Stream
from events.log.memory import MemoryLog
from tests.simulator import IssuerSimulator, Listener
from verifier_agent.follower import LogFollower
from verifier_agent.log_start import start_of


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
