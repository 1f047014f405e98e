"""Private keys in the store, sealed; what is done with an opened one is done where it cannot be seen."""

import asyncio
import base64
import secrets
from collections.abc import Callable
from typing import Final

import msgspec
from sqlalchemy import RowMapping, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from events import EventKey, EventSigner, IssuerTrust, KeyState, Stream, base64url
from issuer.errors import NotFound, SealBroken, StoreUninitialised
from issuer.keys.event_chain import ChainKey, EventSigners, add_to_chain, read_chain, trust_in
from issuer.keys.generation import Jwk, PrivateJwk, generate, public
from issuer.keys.wrapping import KeyWrapper, Wrappers
from issuer.store.database import Database
from issuer.store.schema import keys, streams

TOKEN_KEY: Final = "token"  # noqa: S105 - what the key is used for
EVENT_KEY: Final = "event"
FORM_KEY: Final = "form"
FORM_KEY_BYTES: Final = 32
_IN_USE: Final = (KeyState.ACTIVE.value, KeyState.PENDING.value)


class SealedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key ready to be kept.

    Attributes:
        jwk: its public half.
        use: ``token`` or ``event``.
        sealed: its private half.
        kek_id: what that was sealed with.
    """

    jwk: Jwk
    use: str
    sealed: bytes
    kek_id: str


async def seal(wrapper: KeyWrapper, jwk: Jwk, use: str) -> SealedKey:
    """A private key, sealed for one use.

    Raises:
        WrapperUnavailable: what holds the key-encryption key does not answer.
    """
    sealed = await wrapper.wrap(msgspec.json.encode(jwk), kid=jwk["kid"], use=use)
    return SealedKey(jwk=public(jwk), use=use, sealed=sealed, kek_id=wrapper.kek_id)


class KeyVault:
    """Sealed private keys in the store.

    Sealing may ask another machine, so it is done before a transaction begins and not within.
    """

    def __init__(self, database: Database, wrappers: Wrappers) -> None:
        self._database = database
        self.wrappers = wrappers

    async def generate(self, alg: str, use: str = TOKEN_KEY) -> SealedKey:
        """A new key.

        Raises:
            WrapperUnavailable: what holds the key-encryption key does not answer.
        """
        return await self.seal(await asyncio.to_thread(generate, alg), use)

    async def seal(self, jwk: Jwk, use: str) -> SealedKey:
        """A private key, ready to be kept.

        Raises:
            WrapperUnavailable: what holds the key-encryption key does not answer.
        """
        return await seal(self.wrappers.current, jwk, use)

    async def add(self, connection: AsyncConnection, key: SealedKey, state: KeyState) -> None:
        """Keep a key."""
        now = self._database.time()
        await connection.execute(
            insert(keys).values(
                kid=key.jwk["kid"],
                use=key.use,
                alg=key.jwk["alg"],
                state=state.value,
                public_jwk=key.jwk,
                sealed=key.sealed,
                kek_id=key.kek_id,
                created_at=now,
                changed_at=now,
            )
        )

    async def open(self, row: RowMapping) -> PrivateJwk:
        """The private key of a row.

        Raises:
            SealBroken: it cannot be unsealed; the message names the key and the key-encryption keys.
            WrapperUnavailable: what holds the key-encryption key does not answer.
        """
        plain = await self.wrappers.unwrap(row["sealed"], kid=row["kid"], use=row["use"], kek_id=row["kek_id"])
        try:
            return PrivateJwk(msgspec.json.decode(plain, type=Jwk))
        except msgspec.MsgspecError:  # without its words: they may quote the key
            raise SealBroken(f"what key-encryption key {row['kek_id']} sealed as key {row['kid']} is no JWK") from None

    async def private_key(self, kid: str) -> PrivateJwk:
        """The private key that is named so.

        Raises:
            NotFound: there is no such key, or its private half is lost.
            SealBroken, WrapperUnavailable: as ``open``.
        """
        async with self._database.read() as connection:
            row = (await connection.execute(select(keys).where(keys.c.kid == kid))).mappings().first()
        if row is None or row["use"] not in (TOKEN_KEY, EVENT_KEY):
            raise NotFound(f"no key has the kid {kid!r}")
        jwk = await self.open(row)
        if "d" not in jwk:  # taken over from the log by a recovery
            raise NotFound(f"of key {kid} there is the public half alone: it was recovered from the event log")
        return jwk

    async def check(self) -> None:
        """Make sure that there is a wrapper for every key that signs or may have to.

        Raises:
            SealBroken: there is one too few; the message names key and key-encryption key.
            StoreUnavailable: the store does not answer.
        """
        query = select(keys.c.kid, keys.c.kek_id).where(keys.c.state.in_(_IN_USE)).order_by(keys.c.created_at)
        async with self._database.read() as connection:
            for row in (await connection.execute(query)).mappings():
                self.wrappers.check(row["kid"], row["kek_id"])

    async def event_key(self) -> PrivateJwk:
        """The private event key.

        Raises:
            StoreUninitialised: there is none.
            SealBroken, WrapperUnavailable: as ``open``.
        """
        row = await self._first(EVENT_KEY)
        if row is None:
            raise StoreUninitialised("the store has no event key: `tocsin init --store URL` makes one")
        return await self.open(row)

    async def event_signers(self, issuer: str) -> tuple[EventSigners, IssuerTrust]:
        """Who signs events, and whose signatures count.

        Raises:
            StoreUninitialised: the store lacks an event key.
            SealBroken, WrapperUnavailable: as ``open``.
        """
        async with self._database.read() as connection:
            chain = await read_chain(connection)
        trust, jwk = trust_in(issuer, chain), await self.event_key()
        known = {key.generation: EventSigner(issuer, EventKey(jwk)) for key in chain if key.kid == jwk["kid"]}
        return EventSigners(issuer, self, known), trust

    async def create_event_key(self, heir: Callable[[], str] | None = None) -> PrivateJwk:
        """Make the event key unless there is one, and return it.

        Args:
            heir: makes the key that may succeed it, and tells its thumbprint; not called when there is an event key.

        Raises:
            SealBroken, WrapperUnavailable: as ``open``.
        """
        row = await self._first(EVENT_KEY)
        if row is None:
            successor = "" if heir is None else heir()
            row = await self._made_once(await self.generate("ES256", EVENT_KEY), successor)
        return await self.open(row)

    async def replace_event_key(self, connection: AsyncConnection, key: SealedKey) -> None:
        """Keep another event key, and let go of the one before: nobody is to sign with it again."""
        await connection.execute(delete(keys).where(keys.c.use == EVENT_KEY))
        await self.add(connection, key, KeyState.ACTIVE)

    async def form_key(self) -> bytes:
        """The key that forms of pages are sealed with, the same for every replica; made unless there is one.

        Raises:
            SealBroken, WrapperUnavailable: as ``open``.
        """
        row = await self._first(FORM_KEY)
        if row is None:
            key = base64.urlsafe_b64encode(secrets.token_bytes(FORM_KEY_BYTES)).rstrip(b"=").decode()
            jwk = PrivateJwk(kty="oct", kid=secrets.token_hex(16), alg="A256GCM", k=key)
            row = await self._made_once(await self.seal(jwk, FORM_KEY))
        return base64url.decode((await self.open(row))["k"].encode())

    async def _first(self, use: str) -> RowMapping | None:
        async with self._database.read() as connection:
            return (await connection.execute(select(keys).where(keys.c.use == use))).mappings().first()

    async def _made_once(self, fresh: SealedKey, successor: str = "") -> RowMapping:
        """The key of this use: the fresh one, or what another process has made meanwhile."""
        query = select(keys).where(keys.c.use == fresh.use)
        async with self._database.write() as connection:
            await one_at_a_time(connection)
            if (await connection.execute(query)).first() is None:
                await self.add(connection, fresh, KeyState.ACTIVE)
                if fresh.use == EVENT_KEY:
                    began_at = (await connection.execute(select(self._database.time()))).scalar_one()
                    first = ChainKey(generation=0, jwk=fresh.jwk, successor=successor, ends=None, began_at=began_at)
                    await add_to_chain(connection, first)
            return (await connection.execute(query)).mappings().one()


async def one_at_a_time(connection: AsyncConnection) -> None:
    """Wait for other changes of keys: each must see the outcome of the one before."""
    await connection.execute(select(streams.c.head).where(streams.c.stream == Stream.KEYS).with_for_update())
