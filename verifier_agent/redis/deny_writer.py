"""Writes the deny-list's entries, on one server or on a cluster, under a fence and a stamp.

The stamp is a number that only grows, in the value of each entry: who has put all entries again under a new one may
remove what bears an older one, and who comes late with an older one removes nothing.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, Final

from events.digests import repack_digests
from verifier_agent.redis import scripts
from verifier_agent.redis.connection import BulkCalls, RedisConnection
from verifier_agent.redis.deny_entries import Batch, names, seconds_left, slices
from verifier_agent.redis.keys import RedisKeys
from verifier_agent.redis.lease import KEPT_SECONDS, Fence
from verifier_agent.redis.servers import Command

GROUP_SECONDS: Final = 30.0
SWEEP_SECONDS: Final = 300.0
DIGESTS_A_CALL: Final = 250
COMMANDS_A_CALL: Final = 100
KEYS_A_SCAN: Final = 1000
_DIGIT: Final = "[0-9a-f]"
_NOBODY: Final = Fence(b"0.")


class FencedOut(Exception):
    """Another writes by now."""


class DenyWriter:
    """Writes what it is told to, and decides nothing.

    Attributes:
        fence: under which ``begin`` was called.
        stamp: of the entries that are put.
        put: digests that were written.
        dropped: entries that were removed.

    All methods may raise ``StoreUnavailable``, and ``FencedOut`` when another has the lease by now.
    """

    def __init__(self, connection: RedisConnection, keys: RedisKeys, prefix: str) -> None:
        self.fence = _NOBODY
        self.stamp = 0
        self.put = 0
        self.dropped = 0
        self._connection = connection
        self._calls: RedisConnection | BulkCalls = connection
        self._keys = keys
        self._prefix = prefix

    async def claim(self, issuer: str) -> str | None:
        """Make the list this issuer's; another issuer whose it is, or ``None``: then all went well."""
        key = f"{self._prefix}revoked-issuer"
        (owner,) = await self._ask(("EVAL", scripts.CLAIM, 1, key, issuer.encode(), KEPT_SECONDS))
        return None if owner == issuer.encode() else bytes(owner).decode(errors="replace")[:200]

    async def begin(self, fence: Fence) -> None:
        """Take a stamp larger than all before it."""
        keys = self._keys
        (stamp,) = await self._ask(
            ("EVAL", scripts.NEXT_LISTING, 2, keys.fence, keys.listing, fence.text, KEPT_SECONDS)
        )
        self.fence, self.stamp = fence, int(stamp)

    async def is_there(self) -> bool:
        """Whether what was put is there still, as far as the stamp tells."""
        keys = self._keys
        command = ("EVAL", scripts.SAME_LISTING, 2, keys.fence, keys.listing)
        (answer,) = await self._ask((*command, self.fence.text, self.stamp, KEPT_SECONDS))
        return bool(answer == scripts.DONE)

    async def put_all(self, batches: Sequence[Batch], issuer_time: float, *, pace: bool) -> None:
        """Let there be entries for as long as each batch counts; where there are, the longer life stays.

        Args:
            batches: what is revoked.
            issuer_time: seconds since the epoch, now.
            pace: leave Redis a third of the time to others.
        """
        if sum(len(digests) for _, digests in batches) <= DIGESTS_A_CALL:
            await self._put(batches, issuer_time)
            return
        async with self._unhurried():
            for some in slices(batches, DIGESTS_A_CALL):
                started = time.monotonic()
                await self._put(some, issuer_time)
                if pace:
                    await asyncio.sleep(min((time.monotonic() - started) / 2, 0.05))

    async def drop(self, entries: Sequence[str]) -> None:
        """Remove entries, but what another has put since."""
        async with self._unhurried():
            await self._drop(entries, self.stamp)

    async def sweep(self) -> None:
        """Remove all entries with older stamps."""
        async with self._unhurried(SWEEP_SECONDS) as bulk:
            if self._connection.place.is_cluster:
                for node in await bulk.nodes():
                    for digits in (8, 16):
                        await self._sweep_node(bulk, node, f"{self._prefix}revoked:{_DIGIT * digits}")
                return
            cursor: bytes | None = None
            while cursor != b"0":
                command = ("EVAL", scripts.SWEEP, 1, self._keys.fence, self.fence.text, self.stamp - 1)
                ((cursor, removed),) = await self._ask(
                    (*command, cursor or b"0", f"{self._prefix}revoked:", KEYS_A_SCAN)
                )
                self.dropped += removed

    async def tell_level(self, issuer_time: float, seconds: int) -> None:
        """Let readers know that the list was level at this time; it holds for so many seconds."""
        await self._ask(("SET", f"{self._prefix}revoked-level", int(issuer_time), "EX", seconds))

    async def _put(self, batches: Sequence[Batch], issuer_time: float) -> None:
        arguments = list[str | bytes | int]()
        lives = [(seconds_left(expires_at, issuer_time), digests) for expires_at, digests in batches]
        if self._connection.place.is_cluster:
            await self._ask_in_turn(
                ("EVAL", scripts.PUT_ONE, 1, name, self.stamp, seconds)
                for seconds, digests in lives
                for digest in digests
                for name in names(self._prefix, digest)
            )
        else:
            command: Command = ("EVAL", scripts.PUT, 1, self._keys.fence, self.fence.text, self.stamp)
            for seconds, digests in lives:
                arguments += (seconds, repack_digests(digests))
            await self._ask((*command, f"{self._prefix}revoked:", *arguments))
        self.put += sum(len(digests) for _, digests in batches)

    async def _drop(self, entries: Sequence[str], newest: int) -> None:
        if self._connection.place.is_cluster:
            answers = await self._ask_in_turn(("EVAL", scripts.DROP_ONE, 1, name, newest) for name in entries)
            self.dropped += sum(answers)
            return
        for start in range(0, len(entries), DIGESTS_A_CALL):
            some = entries[start : start + DIGESTS_A_CALL]
            command: Command = ("EVAL", scripts.DROP, len(some) + 1, self._keys.fence, *some)
            (removed,) = await self._ask((*command, self.fence.text, newest))
            self.dropped += removed

    async def _sweep_node(self, bulk: BulkCalls, node: object, pattern: str) -> None:
        cursor: bytes | None = None
        while cursor is None or int(cursor):
            command = ("SCAN", cursor or b"0", "MATCH", pattern, "COUNT", KEYS_A_SCAN)
            ((cursor, found),) = await bulk.ask(command, node=node)
            await self._drop([bytes(name).decode() for name in found], self.stamp - 1)

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
            raise FencedOut
        return answers
