"""The chain of event keys in the store, and the signer of each of them; the newest alone has its private half there."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec
from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from events import EventKey, EventSigner, IssuerTrust
from issuer.errors import StoreUninitialised
from issuer.keys.generation import Jwk, PrivateJwk
from issuer.store.schema import event_keys, keys, streams


class ChainKey(msgspec.Struct, frozen=True, kw_only=True):
    """One event key.

    Attributes:
        generation: how many came before it.
        jwk: its public half.
        successor: thumbprint of the key that may succeed it; empty when none may.
        ends: by stream the last ``seq`` that it has signed; ``None`` while it signs.
        began_at: when it began to, seconds since the epoch.
        is_adopted: whether it took over from one that was lost: no agent has heard of that, but by its trust file.
    """

    generation: int
    jwk: Jwk
    successor: str
    ends: dict[str, int] | None
    began_at: float
    is_adopted: bool = False

    @property
    def kid(self) -> str:
        """Its name."""
        return self.jwk["kid"]


async def read_chain(connection: AsyncConnection) -> Sequence[ChainKey]:
    """Every event key of this store, oldest first."""
    rows = (await connection.execute(select(event_keys).order_by(event_keys.c.generation))).mappings()
    return [
        ChainKey(
            generation=row["generation"],
            jwk=row["public_jwk"],
            successor=row["successor"],
            ends=row["ends"],
            began_at=row["began_at"],
            is_adopted=row["generation"] > 0 and row["event"] is None,
        )
        for row in rows
    ]


class SignedSuccession(NamedTuple):
    """A succession as it was signed; see ``SignedEvent``."""

    seq: int
    digest: str
    text: bytes


async def add_to_chain(connection: AsyncConnection, key: ChainKey, by: SignedSuccession | None = None) -> None:
    """Put a key at the end, and the succession by which it got there."""
    await connection.execute(
        insert(event_keys).values(
            generation=key.generation,
            kid=key.kid,
            public_jwk=key.jwk,
            successor=key.successor,
            ends=key.ends,
            began_at=key.began_at,
            seq=by and by.seq,
            digest=by and by.digest,
            event=by and by.text,
        )
    )


async def read_successions(connection: AsyncConnection) -> Sequence[SignedSuccession]:
    """Every succession of event keys, oldest first."""
    query = select(event_keys.c.seq, event_keys.c.digest, event_keys.c.event).where(event_keys.c.event.is_not(None))
    rows = (await connection.execute(query.order_by(event_keys.c.generation))).all()
    return [SignedSuccession(row.seq, row.digest, row.event) for row in rows]


async def change_in_chain(connection: AsyncConnection, key: ChainKey) -> None:
    """Keep its end, and its successor."""
    changed = update(event_keys).where(event_keys.c.generation == key.generation)
    await connection.execute(changed.values(successor=key.successor, ends=key.ends))


async def sign_with(connection: AsyncConnection, generation: int) -> None:
    """Let this key sign what is numbered next on every stream; the caller has locked the counters."""
    await connection.execute(update(streams).values(event_key=generation))


def trust_in(issuer: str, chain: Sequence[ChainKey]) -> IssuerTrust:
    """What agents are to pin.

    Raises:
        StoreUninitialised: there is no event key.
    """
    if not chain:
        raise StoreUninitialised("the store has no event key: `tocsin init --store URL` makes one")
    return IssuerTrust(
        issuer=issuer,
        event_keys=tuple(key.jwk for key in chain),
        successor=chain[-1].successor,
        ends={key.kid: key.ends for key in chain if key.ends is not None},
    )


class Opens(Protocol):
    """Opens private keys, see ``KeyVault``."""

    async def open(self, row: RowMapping) -> PrivateJwk:
        """The private key of a row."""


class EventSigners:
    """The signer of each event key that this process has been asked for."""

    def __init__(self, issuer: str, vault: Opens | None, known: Mapping[int, EventSigner] | None = None) -> None:
        """Set up.

        Args:
            issuer: whose events.
            vault: opens the key that signs today; without one there are those that are known.
            known: signers by generation.
        """
        self._issuer = issuer
        self._vault = vault
        self._known = dict(known or {})

    async def at(self, connection: AsyncConnection, generation: int) -> EventSigner:
        """The signer of a generation, which the counter row names that the caller has locked.

        The first time after a succession its private key is opened, in the caller's transaction: another would be too
        late to know that this one signs.

        Raises:
            StoreUninitialised: its private half is not there.
            SealBroken, WrapperUnavailable: as ``KeyVault.open``.
        """
        if generation not in self._known:
            query = (
                select(keys)
                .join(event_keys, event_keys.c.kid == keys.c.kid)
                .where(event_keys.c.generation == generation)
            )
            row = (await connection.execute(query)).mappings().one_or_none()
            if row is None or self._vault is None:
                raise StoreUninitialised(f"the private half of event key number {generation} is not in the store")
            # No older one is kept in memory: it signs no more.
            self._known = {generation: EventSigner(self._issuer, EventKey(await self._vault.open(row)))}
        return self._known[generation]
