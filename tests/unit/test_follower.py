"""What follows a log, when the log does not behave."""

import asyncio

from events.log.memory import MemoryLog
from tests.simulator import IssuerSimulator, Listener
from verifier_agent.follower import LogFollower


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
