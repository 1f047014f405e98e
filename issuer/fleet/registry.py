"""The agents table: enrolment, removal, and the newest status of each agent."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import RowMapping, bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from events import AgentStatus
from issuer.errors import Conflict, NotFound
from issuer.fleet.member import Member, Standing
from issuer.fleet.statuses import HeardStatus
from issuer.outbox.outbox import MAX_ACTOR, MAX_REASON
from issuer.store.database import Database
from issuer.store.schema import agents

log = logging.getLogger(__name__)

MAX_AGENTS: Final = 10_000
"""More than any fleet; a client whose secret has leaked must not fill the store."""
FORGET_AFTER: Final = 7 * 86_400.0
"""Seconds after which an agent that does not count any more is forgotten."""


class KnownAgent(msgspec.Struct, frozen=True):
    """What a status is checked with.

    Attributes:
        jwk: public key.
        seq: of the newest status.
        removed: whether an operator has removed it.
    """

    jwk: dict[str, str]
    seq: int
    removed: bool


class AgentRegistry:
    """Reads and writes the table. Of two statuses of one agent the newer stays, whoever comes first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def enrol(self, client_id: str, jwk: dict[str, str], heard: HeardStatus) -> tuple[int, bool]:
        """Add an agent with its first status, or renew it; the newest ``seq`` heard of it, and whether that was done.

        A status that is not newer than what was heard renews nothing: somebody else may have recorded it.

        Raises:
            Conflict: there are too many.
            StoreUnavailable: the store does not answer.
        """
        now = self._database.time()
        told = {"seq": heard.seq, "status": _kept(heard.status), "heard_at": now}
        async with self._database.write() as connection:
            query = select(agents.c.seq).where(agents.c.id == jwk["kid"]).with_for_update()
            before: int | None = (await connection.execute(query)).scalar_one_or_none()
            if before is None:
                if (await connection.execute(select(func.count()).select_from(agents))).scalar_one() >= MAX_AGENTS:
                    raise Conflict(f"there are {MAX_AGENTS} agents already; remove those that are gone")
                values = {"id": jwk["kid"], "jwk": jwk, "enrolled_at": now, "client_id": client_id, **told}
                await connection.execute(insert(agents).values(values))
                return heard.seq, True
            if heard.seq <= before:
                return before, False
            renewed = {"client_id": client_id, "removed_at": None, "removed_by": "", "removed_for": "", **told}
            await connection.execute(update(agents).where(agents.c.id == jwk["kid"]).values(renewed))
            return heard.seq, True

    async def known(self) -> dict[str, KnownAgent]:
        """Every agent, by identifier."""
        columns = (agents.c.id, agents.c.jwk, agents.c.seq, agents.c.removed_at)
        async with self._database.read() as connection:
            rows = (await connection.execute(select(*columns))).all()
        return {row.id: KnownAgent(row.jwk, row.seq, row.removed_at is not None) for row in rows}

    async def hear(self, heard: Mapping[str, HeardStatus]) -> None:
        """Keep statuses, each unless a newer one of that agent is there.

        Raises:
            StoreUnavailable: the store does not answer; some may have been kept.
        """
        statement = (
            update(agents)
            .where(agents.c.id == bindparam("agent"), agents.c.seq < bindparam("newer"), agents.c.removed_at.is_(None))
            .values(seq=bindparam("newer"), status=bindparam("said"), heard_at=self._database.time())
        )
        rows = [
            {"agent": agent, "newer": each.seq, "said": _kept(each.status)} for agent, each in sorted(heard.items())
        ]
        if rows:
            async with self._database.write() as connection:
                await connection.execute(statement, rows)

    async def remove(self, agent: str, *, reason: str, actor: str) -> Member:
        """Take an agent out of the count; it comes back when it enrols again.

        Raises:
            NotFound: there is none of this identifier.
            Conflict: it has been removed already.
            ValueError: its reason cannot be kept.
        """
        if not 1 <= len(reason) <= MAX_REASON or "\0" in reason:
            raise ValueError(f"reason must have 1 to {MAX_REASON} characters, and no NUL")
        async with self._database.write() as connection:
            query = select(agents).where(agents.c.id == agent).with_for_update()
            row = (await connection.execute(query)).mappings().one_or_none()
            if row is None:
                raise NotFound(f"there is no agent {agent[:64]!r}")
            if row["removed_at"] is not None:
                raise Conflict(f"agent {agent} has been removed already")
            await connection.execute(
                update(agents)
                .where(agents.c.id == agent)
                .values(removed_at=self._database.time(), removed_by=actor[:MAX_ACTOR], removed_for=reason)
            )
        log.warning("agent_removed", extra={"agent": agent, "actor": actor})
        return _member(row)

    async def forget(self) -> None:
        """Drop agents that have long ceased to count."""
        async with self._database.write() as connection:
            members, now = await read_members(connection, self._database)
            over = (Standing.LEFT, Standing.EXPIRED, Standing.REMOVED)
            gone = [
                member.id for member in members if member.standing(now) in over and now - member.heard_at > FORGET_AFTER
            ]
            if gone:
                await connection.execute(delete(agents).where(agents.c.id.in_(gone[:500])))
                log.info("agents_forgotten", extra={"agents": len(gone[:500])})


async def read_members(connection: AsyncConnection, database: Database) -> tuple[Sequence[Member], float]:
    """Every agent, and the store's clock."""
    columns = (
        *(agents.c.id, agents.c.client_id, agents.c.enrolled_at, agents.c.seq, agents.c.status),
        *(agents.c.heard_at, agents.c.removed_at),
    )
    now: float = (await connection.execute(select(database.time()))).scalar_one()
    rows = (await connection.execute(select(*columns).order_by(agents.c.id))).mappings().all()
    return [_member(row) for row in rows], now


def _kept(status: AgentStatus) -> dict[str, Any]:
    kept: dict[str, Any] = msgspec.to_builtins(status)
    return kept


def _member(row: RowMapping) -> Member:
    return Member(
        id=row["id"],
        client_id=row["client_id"],
        enrolled_at=row["enrolled_at"],
        heard_at=row["heard_at"],
        status=msgspec.convert(row["status"], AgentStatus),
        seq=row["seq"],
        removed_at=row["removed_at"],
    )
