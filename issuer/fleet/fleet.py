"""The fleet as one replica sees it: takes statuses by HTTP or from the log, and keeps the newest in the store.

Statuses that come within a moment are written in one transaction. What has not been written when a replica dies is
said again within seconds: a status holds all that matters, and not what has changed.
"""

import asyncio
import logging
from collections import Counter
from typing import Final

from sqlalchemy import select

from events import Stream
from events.streams import SEQUENCED
from events.thumbprint import thumbprint
from issuer.errors import NotFound, StoreUnavailable, invalid_request
from issuer.fleet.member import Member, Receipt, receipt
from issuer.fleet.registry import AgentRegistry, KnownAgent, read_members
from issuer.fleet.statuses import HeardStatus, StatusCode, StatusInvalid, StatusOpener, claimed_agent
from issuer.outbox.outbox import find
from issuer.store.database import Database
from issuer.store.schema import outbox
from verifier_agent.clocks import Clock

log = logging.getLogger(__name__)

GATHER_SECONDS: Final = 0.05
"""How long statuses are gathered for one transaction."""
RETRY_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 1.0
"""Least time between two looks into the store for an agent that is not known here."""
POLL_SECONDS: Final = 0.1
LAG_SECONDS: Final = 10.0
"""After how long an agent that has not said that it has applied something is said to lag."""


class Fleet:
    """Checks and keeps what agents say.

    Attributes:
        heard: statuses taken.
        refused: statuses refused, by code.
    """

    def __init__(self, issuer: str, database: Database, clock: Clock) -> None:
        self.heard = 0
        self.refused: Counter[str] = Counter()
        self._issuer = issuer
        self._database = database
        self._clock = clock
        self._registry = AgentRegistry(database)
        self._known: dict[str, KnownAgent] = {}
        self._openers: dict[str, StatusOpener] = {}
        self._newest: dict[str, int] = {}
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()
        self._waiting: dict[str, HeardStatus] = {}
        self._news = asyncio.Event()

    async def enrol(self, client_id: str, jwk: dict[str, str], status: bytes) -> tuple[str, int]:
        """Let an agent be counted that shows by a status that it has the private half of ``jwk``.

        The same key is the same agent, however often it enrols.

        Returns:
            Its identifier, and the ``seq`` after which its statuses are to go on.

        Raises:
            OAuthError: ``invalid_request``: it is no public key, or the status does not prove possession.
            Conflict: there are too many agents.
        """
        try:
            public = {name: value for name, value in jwk.items() if name in ("kty", "crv", "x", "y", "n", "e", "alg")}
            if "d" in jwk or "k" in jwk:
                raise ValueError("it is not a public key")
            public["kid"] = thumbprint(public)
            opener = StatusOpener(self._issuer, public)
        except (KeyError, ValueError) as error:
            raise invalid_request(f"jwk: {error}") from error
        try:
            claimed_agent(status)  # of a size and shape that may be looked at
            heard = opener.open(status, after=0, now=self._clock.now())
        except StatusInvalid as error:
            self.refused[error.code] += 1
            raise invalid_request(f"the status does not show that the key is the agent's own: {error.code}") from error
        after, done = await self._registry.enrol(client_id, public, heard)
        if done:
            self._known[public["kid"]] = KnownAgent(public, after, removed=False)
            log.info("agent_enrolled", extra={"agent": public["kid"], "client_id": client_id})
        return public["kid"], after

    async def take(self, raw: bytes) -> None:
        """Take one status; it is in the store soon after.

        1 size, and whose it says it is · 2 that agent is enrolled, and not removed · 3 as ``StatusOpener.open``.

        Raises:
            StatusInvalid: it does not count; that is counted.
            StoreUnavailable: the agent is not known here, and the store does not answer.
        """
        try:
            agent = claimed_agent(raw)  # 1
            known = await self._find(agent)  # 2
            if known.removed:
                raise StatusInvalid(StatusCode.REMOVED, agent)
            after = max(known.seq, self._newest.get(agent, 0))
            heard = self._opener(agent, known).open(raw, after=after, now=self._clock.now())  # 3
        except StatusInvalid as error:
            self.refused[error.code] += 1
            log.debug("agent_status_refused", extra={"code": error.code, "agent": error.agent})
            raise
        self.heard += 1
        self._newest[agent] = heard.seq
        self._waiting[agent] = heard
        self._news.set()

    async def run(self) -> None:
        """Keep what has been taken, until cancelled."""
        while True:
            await self._news.wait()
            await asyncio.sleep(GATHER_SECONDS)
            try:
                await self.flush()
            except StoreUnavailable as error:
                log.warning("agent_statuses_postponed", extra={"error": str(error)})
                await asyncio.sleep(RETRY_SECONDS)

    async def flush(self) -> None:
        """Keep what has been taken, now.

        Raises:
            StoreUnavailable: the store does not answer; nothing is lost.
        """
        self._news.clear()
        waiting, self._waiting = self._waiting, {}
        try:
            await self._registry.hear(waiting)
        except BaseException:
            self._waiting = waiting | self._waiting
            self._news.set()
            raise

    async def members(self) -> tuple[list[Member], float]:
        """Every agent as the store knows it, and the store's clock."""
        async with self._database.read() as connection:
            members, now = await read_members(connection, self._database)
        return list(members), now

    async def expected(self) -> dict[Stream, int]:
        """Of each sequenced stream the newest event that agents have had the time to apply, and to say so."""
        async with self._database.read() as connection:
            before = self._database.time() - LAG_SECONDS
            found = {}
            for stream in SEQUENCED:
                query = select(outbox.c.seq).where(outbox.c.stream == stream, outbox.c.time <= before)
                newest = query.order_by(outbox.c.seq.desc()).limit(1)
                found[stream] = (await connection.execute(newest)).scalar_one_or_none() or 0
        return found

    async def remove(self, agent: str, *, reason: str, actor: str) -> Member:
        """See ``AgentRegistry.remove``."""
        removed = await self._registry.remove(agent, reason=reason, actor=actor)
        if agent in self._known:
            known = self._known[agent]
            self._known[agent] = KnownAgent(known.jwk, known.seq, removed=True)
        self._waiting.pop(agent, None)
        return removed

    async def purge(self) -> None:
        """Drop agents that have long ceased to count."""
        await self._registry.forget()

    async def receipt(self, stream: Stream, seq: int, wait: float = 0.0) -> Receipt:
        """Who has applied an event; waits until all who count have, up to ``wait`` seconds.

        Raises:
            NotFound: there is no such event.
            StoreUnavailable: the store does not answer.
        """
        async with self._database.read() as connection:
            row = await find(connection, stream, seq)
        if row is None:
            raise NotFound(f"there is no event {seq} of {stream}")
        end = self._clock.boot() + wait
        while True:
            members, now = await self.members()
            found = receipt(members, stream, seq, row["time"], now)
            if not found.laggards or self._clock.boot() >= end:
                return found
            await asyncio.sleep(POLL_SECONDS)

    async def _find(self, agent: str) -> KnownAgent:
        known = self._known.get(agent)
        if known is None or known.removed:
            await self._look()
            known = self._known.get(agent)
        if known is None:
            raise StatusInvalid(StatusCode.UNKNOWN_AGENT, agent)
        return known

    async def _look(self) -> None:
        """Read who is enrolled, once in a while however many ask."""
        async with self._looking:
            if self._clock.boot() - self._looked_at < LOOK_SECONDS:
                return
            self._looked_at = self._clock.boot()
            known = await self._registry.known()
            self._known = known
            self._openers = {agent: opener for agent, opener in self._openers.items() if agent in known}
            self._newest = {agent: seq for agent, seq in self._newest.items() if agent in known}

    def _opener(self, agent: str, known: KnownAgent) -> StatusOpener:
        if agent not in self._openers:
            self._openers[agent] = StatusOpener(self._issuer, known.jwk)
        return self._openers[agent]
