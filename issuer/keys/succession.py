"""Has one event key succeed another, in one transaction: no number is ever signed by a key whose time it is not.

Whoever counts on in a stream reads with the number which key signs it (``streams.event_key``), and the counter rows are
locked here; so there is no moment at which one process signs with the old key and another with the new one.
"""

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from events import EventKey, EventOpener, IssuerTrust, Stream, Succession
from events.succession import succession
from events.thumbprint import thumbprint
from events.trust import ENDING, MOST_KEYS
from issuer.errors import Conflict
from issuer.fleet.member import Member, named, who_cannot, who_pins_another
from issuer.fleet.registry import read_members
from issuer.keys.event_chain import (
    ChainKey,
    SignedSuccession,
    add_to_chain,
    change_in_chain,
    read_chain,
    sign_with,
    trust_in,
)
from issuer.keys.generation import Jwk, PrivateJwk
from issuer.keys.holders import without
from issuer.keys.key_service import KeyService
from issuer.keys.vault import EVENT_KEY, KeyVault, SealedKey
from issuer.outbox.outbox import Outbox
from issuer.store.database import Database
from issuer.store.schema import streams


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """How the chain stands.

    Attributes:
        trust: what agents are to pin.
        keys: every event key, oldest first.
        seq: of the succession that led here, if one has just been made; 0 otherwise.
    """

    trust: IssuerTrust
    keys: Sequence[ChainKey]
    seq: int = 0


class EventKeySuccession:
    """Changes the chain of one issuer."""

    def __init__(
        self, issuer: str, database: Database, vault: KeyVault, outbox: Outbox, token_keys: KeyService
    ) -> None:
        self._issuer = issuer
        self._database = database
        self._vault = vault
        self._outbox = outbox
        self._token_keys = token_keys

    async def show(self) -> Chain:
        """The chain as the store has it.

        Raises:
            StoreUninitialised: there is no event key.
            StoreUnavailable: the store does not answer.
        """
        async with self._database.read() as connection:
            return await self._as_it_stands(connection)

    async def pin(self, heir: str, *, replace: bool = False) -> Chain:
        """Say which key may succeed the one that signs today.

        Agents hold to what their trust file says: they are to be given it anew.

        Args:
            heir: its thumbprint.
            replace: also when there is one already, whose private half is lost.

        Raises:
            Conflict: there is one already.
        """
        async with self._database.write() as connection:
            await _lock(connection)
            current = (await self._as_it_stands(connection)).keys[-1]
            if current.successor and not replace:
                raise Conflict(f"event key {current.kid} has a successor already, {current.successor}")
            await change_in_chain(connection, msgspec.structs.replace(current, successor=heir))
            return await self._as_it_stands(connection)

    async def succeed(
        self, successor: PrivateJwk, heir: str, *, reason: str, actor: str, stolen: bool = False, force: bool = False
    ) -> Chain:
        """Let the successor sign from the next number of every stream on; the key before it is gone afterwards.

        1 every counter is locked · 2 it is the pinned successor, and the chain has room · 3 every issuer that runs can
        open it · 4 every agent that counts can follow · 5 both sign, and what they signed opens · 6 the key set is
        said again, as what the new key says first.

        Args:
            successor: the private half that was kept offline.
            heir: thumbprint of the key after it.
            reason: for the audit trail.
            actor: for the audit trail.
            stolen: whether the old key may be in other hands; agents then hear all of it anew.
            force: also when agents are left behind, who are named otherwise.

        Raises:
            Conflict: one of these does not hold.
            SealBroken, WrapperUnavailable: as ``KeyVault``.
        """
        key = named_by_itself(successor)
        sealed = await self._vault.seal(key, EVENT_KEY)
        async with self._database.write(urgent=True) as connection:
            chain = await self._before(connection, sealed)  # 1 to 3
            if not force:
                await self._check_agents(connection, chain.keys)  # 4
            ended = chain.keys[-1]
            record = succession(
                self._issuer,
                ended.jwk,
                EventKey(key),
                heir=heir,
                ends=await _ends(connection, and_one_more=True),
                time=await self._time(connection),
                stolen=stolen,
                reason=reason,
                actor=actor,
            )
            event = await self._outbox.append(connection, Stream.KEYS, record)  # 5
            EventOpener(chain.trust).open(event.text, Stream.KEYS)
            by = SignedSuccession(event.seq, event.digest, event.text)
            await self._take_over(connection, ended, record.ends, sealed, heir, by)
            await self._token_keys.say_again(connection, reason=f"first of event key {key['kid']}", actor=actor)  # 6
            return msgspec.structs.replace(await self._as_it_stands(connection), seq=event.seq)

    async def adopt(self, successor: PrivateJwk, heir: str, *, reason: str, actor: str) -> Chain:
        """Let the successor sign though the key before it is lost. No agent takes that without a new trust file.

        Arguments as of ``succeed``; agents are not asked, as none can follow.

        Raises:
            Conflict: it is not the pinned successor, the chain is full, or an issuer that runs could not open it.
            SealBroken, WrapperUnavailable: as ``KeyVault``.
        """
        key = named_by_itself(successor)
        sealed = await self._vault.seal(key, EVENT_KEY)
        async with self._database.write(urgent=True) as connection:
            chain = await self._before(connection, sealed)
            await self._take_over(connection, chain.keys[-1], await _ends(connection), sealed, heir)
            await self._token_keys.say_again(
                connection, reason=f"event key {key['kid']} adopted: {reason}", actor=actor
            )
            return await self._as_it_stands(connection)

    async def _before(self, connection: AsyncConnection, sealed: SealedKey) -> Chain:
        """The chain as it stands, locked, when this key may be the next of it.

        Raises:
            Conflict: it may not: see steps 2 and 3 of ``succeed``.
        """
        await _lock(connection)
        chain = await self._as_it_stands(connection)
        self._check_successor(chain.keys, sealed.jwk)
        await self._check_holders(connection, sealed)
        return chain

    async def _take_over(
        self,
        connection: AsyncConnection,
        ended: ChainKey,
        ends: dict[str, int],
        sealed: SealedKey,
        heir: str,
        by: SignedSuccession | None = None,
    ) -> None:
        await change_in_chain(connection, msgspec.structs.replace(ended, ends=ends))
        await self._vault.replace_event_key(connection, sealed)
        following = ChainKey(
            generation=ended.generation + 1,
            jwk=sealed.jwk,
            successor=heir,
            ends=None,
            began_at=await self._time(connection),
        )
        await add_to_chain(connection, following, by)
        await sign_with(connection, following.generation)

    def _check_successor(self, chain: Sequence[ChainKey], key: Jwk) -> None:
        current = chain[-1]
        if not current.successor:
            raise Conflict(f"event key {current.kid} has no successor: `tocsin trust successor` makes one")
        if key["kid"] != current.successor:
            raise Conflict(f"the successor of event key {current.kid} is {current.successor}, and this is {key['kid']}")
        if len(chain) >= MOST_KEYS:
            raise Conflict(f"a chain has at most {MOST_KEYS} event keys")

    async def _check_holders(self, connection: AsyncConnection, sealed: SealedKey) -> None:
        if ignorant := await without(connection, self._database, sealed.kek_id):
            raise Conflict(f"key-encryption key {sealed.kek_id} is not known to the running issuers {named(ignorant)}")

    async def _check_agents(self, connection: AsyncConnection, chain: Sequence[ChainKey]) -> None:
        members, now = await read_members(connection, self._database)
        if left := who_is_left_behind(members, _awaited(chain), now):
            raise Conflict(
                f"{len(left)} agents could not follow: {named(left)}. Bring them up to date and give them the trust "
                "file with the successor in it; or force it, and they are stale until you do"
            )

    async def _as_it_stands(self, connection: AsyncConnection) -> Chain:
        chain = await read_chain(connection)
        return Chain(trust=trust_in(self._issuer, chain), keys=chain)

    async def _time(self, connection: AsyncConnection) -> float:
        """The store's clock, or the newest time that anything was signed with: what agents have heard is no younger."""
        newest = select(func.max(streams.c.time)).scalar_subquery()
        now, signed = (await connection.execute(select(self._database.time(), newest))).one()
        return float(round(max(now, signed), 3))


def who_is_left_behind(members: Sequence[Member], heirs: Collection[str], now: float) -> list[str]:
    """Agents that count and do not know what a succession is, or would not take this one."""
    cannot = who_cannot(members, Succession.type, now)
    return [*cannot, *(name for name in who_pins_another(members, heirs, now) if name not in cannot)]


def _awaited(chain: Sequence[ChainKey]) -> set[str]:
    """The heirs that agents may wait for: who sleeps since an earlier succession finds all that follow it."""
    awaited: set[str] = set()
    for key in reversed(chain):
        awaited.add(key.successor)
        if key.is_adopted:
            break
    return awaited - {""}


def named_by_itself(jwk: PrivateJwk) -> PrivateJwk:
    """The key under its thumbprint, which a succession calls it by."""
    return PrivateJwk({**jwk, "kid": thumbprint(jwk)})


async def _lock(connection: AsyncConnection) -> None:
    """Let nobody count on in any stream until this is done."""
    await connection.execute(select(streams.c.head).order_by(streams.c.stream).with_for_update())


async def _ends(connection: AsyncConnection, *, and_one_more: bool = False) -> dict[str, int]:
    """The last number of each stream that event keys sign; on that of keys with the one that is about to be given."""
    rows = (await connection.execute(select(streams.c.stream, streams.c.head))).all()
    heads = {row.stream: row.head for row in rows}
    ends = {str(stream): heads[stream] for stream in ENDING}
    if and_one_more:
        ends[str(Stream.KEYS)] += 1
    return ends
