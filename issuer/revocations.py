"""Decides revocations and lifts: durable, numbered and enforced here before anybody is answered."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256

import msgspec
from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from events import Lift, Record, Revoke, RevokeDigests, Selector, SignedEvent, Stream, format_seq, jti_digest, pack
from events.digests import DIGEST_BYTES, TokenDigest, pack_digests, token_digest, unpack_digests
from issuer.errors import Conflict, NotFound, StoreUnavailable
from issuer.outbox.horizon import Horizon, read_horizon
from issuer.outbox.outbox import MAX_ACTOR, Outbox, find, find_by_txn, record_of
from issuer.outbox.own_agent import OwnAgent
from issuer.outbox.relay import Relay
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from issuer.store.schema import outbox, streams


class Revocation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A revocation as the audit trail has it.

    Attributes:
        id: ``incarnation.number`` of its event, the name that people use.
        seq: the same as one integer, to compare with a token's ``rsq``.
        txn: what ties the events of one decision together.
        time: when it was decided, seconds since the epoch.
        expires_at: when it may be forgotten.
        reason: why.
        actor: who decided.
        published: whether the log has acknowledged it, and its lift where there is one.
        selector: which tokens, for a revocation by selector.
        issued_before: its cutoff by time; absent for *as of this event*.
        tokens: how many single tokens, for a revocation by digest.
        lifted_by: ``id`` of the lift, once it has been taken back.
    """

    id: str
    seq: int
    txn: str
    time: float
    expires_at: float
    reason: str
    actor: str
    published: bool
    selector: Selector | None = None
    issued_before: float | None = None
    tokens: int | None = None
    lifted_by: str | None = None


class TokenBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Single tokens that one client gives back.

    Attributes:
        tokens: the digest of each, and its ``exp`` in seconds since the epoch.
        reason: why.
        actor: who decides.
    """

    tokens: Mapping[TokenDigest, float]
    reason: str
    actor: str


class RevocationService:
    """The one place where revocations are decided. Operators' go before those of clients."""

    def __init__(
        self, settings: IssuerSettings, database: Database, event_outbox: Outbox, own_agent: OwnAgent, relay: Relay
    ) -> None:
        self._settings = settings
        self._database = database
        self._outbox = event_outbox
        self._own_agent = own_agent
        self._relay = relay

    async def revoke(
        self, selector: Selector, *, reason: str, actor: str, issued_before: float | None = None
    ) -> Revocation:
        """Revoke every token that the selector hits, as of now or by time of issue.

        Raises:
            ValueError: the cutoff lies in the future, or as ``Outbox.append``.
        """

        def record(horizon: Horizon) -> Record:
            if issued_before is not None and issued_before > horizon.now:
                raise ValueError(f"issued_before lies {issued_before - horizon.now:.0f} s in the future")
            return Revoke(
                selector=selector,
                issued_before=issued_before,
                expires_at=horizon.past_every_token,
                reason=reason,
                actor=actor[:MAX_ACTOR],
            )

        return await self._decide(record)

    async def decide(self, connection: AsyncConnection, selector: Selector, *, reason: str, actor: str) -> SignedEvent:
        """Revoke by selector, as of now, in a transaction of the caller's, who hands it to ``enforce`` after that.

        Raises:
            ValueError: as ``Outbox.append``.
        """
        horizon = await read_horizon(connection, self._database, self._settings.token_lifetime_ceiling)
        record = Revoke(selector=selector, expires_at=horizon.past_every_token, reason=reason, actor=actor[:MAX_ACTOR])
        return await self._outbox.append(connection, Stream.REVOCATIONS, record)

    async def revoke_token(self, token: str, expires_at: float, *, reason: str, actor: str) -> Revocation:
        """Revoke one token; its ``exp`` in seconds since the epoch bounds how long that must be known."""
        return await self._revoke_digest(token_digest(token), expires_at, reason=reason, actor=actor)

    async def revoke_jti(self, jti: str, *, reason: str, actor: str) -> Revocation:
        """Revoke the token with this identifier."""
        return await self._revoke_digest(jti_digest(jti), None, reason=reason, actor=actor)

    async def revoke_digests(
        self, digests: bytes, *, reason: str, actor: str, key: str | None = None
    ) -> tuple[Revocation, bool]:
        """Revoke the tokens of a packed batch; the revocation, and whether it is a new one.

        Args:
            digests: see ``events.digests.pack_digests``.
            reason: why.
            actor: who decides.
            key: asked for a second time under the same key by the same actor, nothing is decided; this is what was.

        Raises:
            Conflict: something else was decided under that key.
            ValueError: it is no such batch, or as ``Outbox.append``.
        """
        unpack_digests(digests)
        txn = None if key is None else sha256(f"{actor}\0{key}".encode()).hexdigest()[:32]
        async with self._database.write(urgent=True) as connection:
            horizon = await read_horizon(connection, self._database, self._settings.token_lifetime_ceiling)
            record = RevokeDigests(
                digests=digests, expires_at=horizon.past_every_token, reason=reason, actor=actor[:MAX_ACTOR]
            )
            row = None if txn is None else await find_by_txn(connection, Stream.REVOCATIONS, txn)
            if row is None:
                event = await self._outbox.append(connection, Stream.REVOCATIONS, record, txn=txn)
            elif not _is_same(record_of(row), record):
                raise Conflict("this idempotency key was used for another decision")
            else:
                decided = await self._describe(connection, row["seq"])
        if row is None:
            await self.enforce(event)
            return _described(event), True
        with suppress(StoreUnavailable):  # another replica may have decided it, and have died before it answered
            await self._own_agent.catch_up_to(decided.seq)
        return decided, False

    async def revoke_batches(self, gathered: Callable[[], Sequence[TokenBatch]]) -> None:
        """Revoke what clients give back: all batches in one transaction, one event each; operators go before it.

        Args:
            gathered: asked when the transaction has begun, so that what comes while it waits for its turn is in it.

        Raises:
            StoreUnavailable: the store does not answer; all of it or nothing has happened.
        """
        async with self._database.write() as connection:
            horizon = await read_horizon(connection, self._database, self._settings.token_lifetime_ceiling)
            events = []
            for batch in gathered():
                record = RevokeDigests(
                    digests=pack_digests(batch.tokens),
                    expires_at=horizon.past_token(max(batch.tokens.values())),
                    reason=batch.reason,
                    actor=batch.actor[:MAX_ACTOR],
                )
                events.append(await self._outbox.append(connection, Stream.REVOCATIONS, record))
        for event in events:
            await self.enforce(event)

    async def lift(self, identifier: str, *, reason: str, actor: str) -> Revocation:
        """Take back exactly one revocation; the revocation as it is now.

        Raises:
            NotFound: no revocation has this ``id``.
            Conflict: it has been lifted already.
            ValueError: as ``Outbox.append``.
        """
        seq = parse_id(identifier)
        async with self._database.write(urgent=True) as connection:
            # Locked first: of two lifts at once the second must see the first.
            await connection.execute(
                select(streams.c.head).where(streams.c.stream == Stream.REVOCATIONS).with_for_update()
            )
            found = await self._describe(connection, seq)
            if found.lifted_by is not None:
                raise Conflict(f"revocation {identifier} has been lifted by {found.lifted_by}")
            record = Lift(
                target=seq,
                expires_at=found.expires_at,
                reason=reason,
                actor=actor[:MAX_ACTOR],
            )
            event = await self._outbox.append(connection, Stream.REVOCATIONS, record)
        await self.enforce(event)
        return msgspec.structs.replace(found, lifted_by=format_seq(event.seq), published=False)

    async def get(self, identifier: str) -> Revocation:
        """One revocation.

        Raises:
            NotFound: no revocation has this ``id``.
        """
        async with self._database.read() as connection:
            return await self._describe(connection, parse_id(identifier))

    async def list(self, *, limit: int = 100, before: int | None = None) -> Sequence[Revocation]:
        """The newest revocations, newest first, below ``before`` where given."""
        query = (
            select(outbox.c.seq)
            .where(outbox.c.stream == Stream.REVOCATIONS, outbox.c.type.in_([Revoke.type, RevokeDigests.type]))
            .order_by(outbox.c.seq.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(outbox.c.seq < before)
        async with self._database.read() as connection:
            seqs = (await connection.execute(query)).scalars().all()
            return [await self._describe(connection, seq) for seq in seqs]

    async def _revoke_digest(self, digest: TokenDigest, exp: float | None, *, reason: str, actor: str) -> Revocation:
        def record(horizon: Horizon) -> Record:
            return RevokeDigests(
                digests=pack_digests([digest]),
                expires_at=horizon.past_every_token if exp is None else horizon.past_token(exp),
                reason=reason,
                actor=actor[:MAX_ACTOR],
            )

        return await self._decide(record)

    async def _decide(self, record: Callable[[Horizon], Record]) -> Revocation:
        async with self._database.write(urgent=True) as connection:
            horizon = await read_horizon(connection, self._database, self._settings.token_lifetime_ceiling)
            event = await self._outbox.append(connection, Stream.REVOCATIONS, record(horizon))
        await self.enforce(event)
        return _described(event)

    async def enforce(self, event: SignedEvent) -> None:
        """What has been committed holds here from now on, and goes out; who asks for a token now gets a good one."""
        self._own_agent.hear(event)
        self._relay.offer(event)
        with suppress(StoreUnavailable):
            await self._own_agent.catch_up_to(event.seq)

    async def _describe(self, connection: AsyncConnection, seq: int) -> Revocation:
        row = await find(connection, Stream.REVOCATIONS, seq)
        if row is None or row["type"] not in (Revoke.type, RevokeDigests.type):
            raise NotFound(f"there is no revocation {format_seq(seq)}")
        lift = select(outbox.c.seq).where(outbox.c.stream == Stream.REVOCATIONS, outbox.c.target == seq).limit(1)
        lifted_by = (await connection.execute(lift)).scalar_one_or_none()
        mark = select(streams.c.published).where(streams.c.stream == Stream.REVOCATIONS)
        published = max(seq, lifted_by or 0) <= (await connection.execute(mark)).scalar_one()
        return _from_row(row, lifted_by, published=published)


def parse_id(identifier: str) -> int:
    """The ``seq`` that ``incarnation.number`` names.

    Raises:
        NotFound: it names none.
    """
    incarnation, _, number = identifier.partition(".")
    try:
        seq = pack(int(incarnation), int(number))
        if format_seq(seq) != identifier:  # int() takes signs, spaces, underscores and the digits of every script
            raise ValueError("an id is written in one way")
    except ValueError as error:
        raise NotFound(f"there is no revocation {identifier[:64]!r}; an id looks like 1.42") from error
    return seq


def _is_same(decided: Record, asked: RevokeDigests) -> bool:
    """Whether what is asked for has been decided, then to end at another time."""
    return (
        isinstance(decided, RevokeDigests) and msgspec.structs.replace(asked, expires_at=decided.expires_at) == decided
    )


def _described(event: SignedEvent) -> Revocation:
    record = event.record
    selector = record.selector if isinstance(record, Revoke) else None
    return Revocation(
        id=format_seq(event.seq),
        seq=event.seq,
        txn=event.txn,
        time=event.time,
        expires_at=getattr(record, "expires_at", 0.0),
        reason=getattr(record, "reason", ""),
        actor=getattr(record, "actor", ""),
        published=False,
        selector=selector,
        issued_before=record.issued_before if isinstance(record, Revoke) else None,
        tokens=len(record.digests) // DIGEST_BYTES if isinstance(record, RevokeDigests) else None,
    )


def _from_row(row: RowMapping, lifted_by: int | None, *, published: bool) -> Revocation:
    detail = row["detail"]
    return Revocation(
        id=format_seq(row["seq"]),
        seq=row["seq"],
        txn=row["txn"],
        time=row["time"],
        expires_at=row["expires_at"],
        reason=row["reason"],
        actor=row["actor"],
        published=published,
        selector=msgspec.convert(detail["selector"], Selector) if "selector" in detail else None,
        issued_before=detail.get("issued_before"),
        tokens=detail.get("digests"),
        lifted_by=None if lifted_by is None else format_seq(lifted_by),
    )
