"""One writer at a time, under a lease with a fencing number.

A lease alone does not suffice: who is paused longer than it lasts goes on writing when it wakes up. So the lease comes
with a number that only grows, kept beside the data, and every write is a script that compares it first.
"""

import asyncio
import logging
import random
import secrets
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from verifier_agent.clocks import Clock
from verifier_agent.errors import StoreUnavailable
from verifier_agent.redis.connection import RedisConnection
from verifier_agent.redis.keys import RedisKeys

log = logging.getLogger(__name__)

LEASE_SECONDS: Final = 6.0
KEPT_SECONDS: Final = 7 * 86_400
"""How long what nobody refreshes stays: an abandoned deployment cleans up behind itself."""

# Numbers go on from the server's time in milliseconds, so that they grow even when all data were lost. What stands in
# the lease's place and does not run out within its time is no lease.
_ACQUIRE: Final = """
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left <= tonumber(ARGV[2]) then return false end
local former = redis.pcall('GETRANGE', KEYS[2], 0, 63)
local last = tonumber(type(former) == 'string' and string.match(former, '^(%d+)%.') or 0)
if last >= 1e14 then last = 0 end
local now = redis.call('TIME')
local number = math.max(last, now[1] * 1000 + math.floor(now[2] / 1000)) + 1
local fence = string.format('%d', number) .. '.' .. ARGV[1]
redis.call('SET', KEYS[2], fence, 'EX', ARGV[3])
redis.call('SET', KEYS[1], fence, 'PX', ARGV[2])
return fence
"""

_RENEW: Final = """
if redis.pcall('GETRANGE', KEYS[2], 0, 63) ~= ARGV[1] then return 0 end
redis.call('EXPIRE', KEYS[2], ARGV[3])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

_RELEASE: Final = """
if redis.pcall('GETRANGE', KEYS[1], 0, 63) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""


class Fence(NamedTuple):
    """The right to write, for as long as nobody else has got it.

    Attributes:
        text: what every write compares; never the same twice.
    """

    text: bytes

    @property
    def number(self) -> int:
        """Grows with each that is given."""
        return int(self.text.partition(b".")[0])


class RedisLease:
    """The lease, for as long as ``keep`` runs or ``held`` is called a few times within ``LEASE_SECONDS``.

    Attributes:
        acquired: how often it was got.
        lost: how often another had it when we still meant to.
    """

    def __init__(
        self,
        connection: RedisConnection,
        keys: RedisKeys,
        clock: Clock,
        *,
        seconds: float = LEASE_SECONDS,
        chance: Callable[[float, float], float] = random.uniform,
        eligible: Callable[[], bool] = lambda: True,
    ) -> None:
        """Set up; nobody holds it yet.

        Args:
            connection: to Redis.
            keys: where it is.
            clock: the boot-time clock counts, which goes on while the machine is suspended.
            seconds: how long it lasts without being renewed.
            chance: between two bounds; spreads the attempts of a fleet.
            eligible: whether we should write at all; who is not up to date lets another.
        """
        self.acquired = 0
        self.lost = 0
        self._connection = connection
        self._keys = keys
        self._clock = clock
        self._seconds = seconds
        self._chance = chance
        self._eligible = eligible
        self._lock = asyncio.Lock()
        self._fence: Fence | None = None
        self._next = 0.0
        self._until = 0.0

    @property
    def is_held(self) -> bool:
        """Whether it was ours when we last asked, and lasts still."""
        return self._fence is not None and self._clock.boot() < self._until

    async def held(self) -> Fence | None:
        """Our right to write, or ``None`` as another has it; Redis is asked only when it is time to.

        Raises:
            StoreUnavailable: it was time to, and Redis did not answer.
        """
        async with self._lock:
            if not self._eligible():
                await self._give_back()
                return None
            now = self._clock.boot()
            if now < self._next and (self._fence is None or now < self._until):
                return self._fence
            # Reckoned from before it is asked, so that we never think it lasts longer than Redis does.
            self._next = now + self._seconds * self._chance(0.2, 0.4)
            if self._fence is not None and not await self._renew(self._fence):
                self.fenced_out()
            if self._fence is None:
                await self._acquire()
            self._until = now + self._seconds
            return self._fence

    async def keep(self) -> None:
        """Hold it whenever it is to be had, until cancelled."""
        while True:
            try:
                await self.held()
            except StoreUnavailable as error:
                log.debug("redis_lease_not_renewed", extra={"error": str(error)})
            await asyncio.sleep(self._seconds / 10)

    def fenced_out(self) -> None:
        """A write was refused: somebody else has the lease by now."""
        if self._fence is not None:
            self.lost += 1
            log.info("redis_lease_lost")
        self._fence, self._next = None, 0.0

    async def release(self) -> None:
        """Give it back, for another to have it at once.

        Raises:
            StoreUnavailable: Redis did not answer; then it runs out by itself.
        """
        async with self._lock:
            await self._give_back()

    async def _give_back(self) -> None:
        fence, self._fence = self._fence, None
        if fence is not None:
            await self._connection.ask(("EVAL", _RELEASE, 1, self._keys.lease, fence.text))

    async def _renew(self, fence: Fence) -> bool:
        (renewed,) = await self._ask(_RENEW, fence.text)
        return bool(renewed)

    async def _acquire(self) -> None:
        (got,) = await self._ask(_ACQUIRE, secrets.token_hex(8).encode())
        if got:
            self._fence = Fence(bytes(got))
            self.acquired += 1
            log.info("redis_lease_acquired", extra={"fence": self._fence.number})

    async def _ask(self, script: str, word: bytes) -> list[Any]:
        keys = self._keys
        return await self._connection.ask(
            ("EVAL", script, 2, keys.lease, keys.fence, word, int(self._seconds * 1000), KEPT_SECONDS)
        )
