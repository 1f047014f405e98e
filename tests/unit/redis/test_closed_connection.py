"""What an event loop says of a connection that was closed under a writer's hands is Redis being away."""

from collections.abc import Sequence
from typing import Any

import pytest

from verifier_agent.clocks import SystemClock
from verifier_agent.errors import StoreUnavailable
from verifier_agent.redis.connection import RedisConnection
from verifier_agent.redis.servers import Command
from verifier_agent.redis.settings import RedisPlace


class ClosedUnderOurHands:
    """As uvloop's transports are after a reset."""

    async def send(self, commands: Sequence[Command], node: object = None) -> list[Any]:
        del commands, node
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")


async def test_a_connection_that_was_reset_while_it_was_written_to_is_out_of_reach_and_counts_as_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = RedisConnection(RedisPlace.parse("redis://127.0.0.1:1/0"), SystemClock())
    monkeypatch.setattr(connection, "_servers", ClosedUnderOurHands())

    with pytest.raises(StoreUnavailable, match="the handler is closed"):
        await connection.ask(("PING",))

    assert connection._is_suspect
