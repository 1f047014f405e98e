"""Token keys: a standby is always published ahead, so a rotation or an emergency is one transaction.

Every change of a key writes the whole new key set to the outbox in the same transaction.
"""

import asyncio
import base64
import secrets
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from jwt import PyJWK
from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from events import KeySet, KeyState, PublishedKey, SignedEvent, Stream, base64url, jose
from issuer.errors import Conflict, NotFound, SealBroken, StoreUninitialised
from issuer.keys.generation import Jwk, generate, public
from issuer.keys.sealing import KeyEncryptionKey
from issuer.outbox.outbox import MAX_ACTOR, Outbox
from issuer.store.database import Database
from issuer.store.schema import keys, streams

TOKEN_KEY: Final = "token"  # noqa: S105 - what the key is used for
EVENT_KEY: Final = "event"
FORM_KEY: Final = "form"
FORM_KEY_BYTES: Final = 32


class SigningKey:
    """A private token key; its ``repr`` tells the ``kid`` alone."""

    def __init__(self, jwk: Jwk) -> None:
        self.kid = jwk["kid"]
        self.alg = jwk["alg"]
        self._key: PyJWK = jose.parse_key(jwk)

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r})"

    def sign(self, claims: dict[str, Any], typ: str) -> str:
        """A compact JWS over ``claims``."""
        payload = msgspec.json.encode(claims)
        return jose.sign(payload, self._key, {"typ": typ, "kid": self.kid}).decode("ascii")


class KeyVault:
    """Sealed private keys in the store."""

    def __init__(self, database: Database, kek: KeyEncryptionKey) -> None:
        self._database = database
        self._kek = kek

    async def add(self, connection: AsyncConnection, jwk: Jwk, use: str, state: KeyState) -> None:
        """Seal and keep a private key."""
        now = self._database.time()
        await connection.execute(
            insert(keys).values(
                kid=jwk["kid"],
                use=use,
                alg=jwk["alg"],
                state=state.value,
                public_jwk=public(jwk),
                sealed=self._kek.seal(msgspec.json.encode(jwk), kid=jwk["kid"], use=use),
                kek_id=self._kek.kek_id,
                created_at=now,
                changed_at=now,
            )
        )

    def open(self, row: RowMapping) -> Jwk:
        """The private key of a row.

        Raises:
            SealBroken: it cannot be unsealed; the message names the key-encryption keys.
        """
        if row["kek_id"] != self._kek.kek_id:
            raise SealBroken(
                f"key {row['kid']} was sealed with key-encryption key {row['kek_id']}, not with {self._kek.kek_id}"
            )
        return msgspec.json.decode(self._kek.unseal(row["sealed"], kid=row["kid"], use=row["use"]), type=Jwk)

    async def event_key(self) -> Jwk:
        """The private event key.

        Raises:
            StoreUninitialised: there is none.
            SealBroken: as ``open``.
        """
        async with self._database.read() as connection:
            row = (await connection.execute(select(keys).where(keys.c.use == EVENT_KEY))).mappings().first()
        if row is None:
            raise StoreUninitialised("the store has no event key; run: tocsin init")
        return self.open(row)

    async def create_event_key(self) -> Jwk:
        """Make the event key unless there is one, and return it."""
        fresh = generate("ES256")
        async with self._database.write() as connection:
            await _one_at_a_time(connection)
            found = (await connection.execute(select(keys).where(keys.c.use == EVENT_KEY))).mappings().first()
            if found is not None:
                return self.open(found)
            await self.add(connection, fresh, EVENT_KEY, KeyState.ACTIVE)
        return fresh

    async def form_key(self) -> bytes:
        """The key that forms of pages are sealed with, the same for every replica; made unless there is one."""
        key = base64.urlsafe_b64encode(secrets.token_bytes(FORM_KEY_BYTES)).rstrip(b"=").decode()
        fresh = {"kty": "oct", "kid": secrets.token_hex(16), "alg": "A256GCM", "k": key}
        async with self._database.write() as connection:
            await _one_at_a_time(connection)
            found = (await connection.execute(select(keys).where(keys.c.use == FORM_KEY))).mappings().first()
            if found is None:
                await self.add(connection, fresh, FORM_KEY, KeyState.ACTIVE)
            jwk = fresh if found is None else self.open(found)
        return base64url.decode(jwk["k"].encode())


class KeyService:
    """Life of the token keys."""

    def __init__(self, database: Database, outbox: Outbox, vault: KeyVault, algorithms: Sequence[str]) -> None:
        self._database = database
        self._outbox = outbox
        self._vault = vault
        self._algorithms = tuple(algorithms)
        self._signing: dict[str, SigningKey] = {}

    async def initialise(self) -> None:
        """Make an active and a standby key for each algorithm that has none."""
        async with self._database.read() as connection:
            missing = await self._missing(connection)
        fresh = {alg: (await _generated(alg), await _generated(alg)) for alg in missing}
        async with self._database.write() as connection:
            await _one_at_a_time(connection)
            missing = await self._missing(connection)  # another process may have made them meanwhile
            for alg in missing:
                active, standby = fresh[alg]
                await self._vault.add(connection, active, TOKEN_KEY, KeyState.ACTIVE)
                await self._vault.add(connection, standby, TOKEN_KEY, KeyState.PENDING)
            if missing:
                await self._publish(connection, reason="first keys", actor="system")

    async def rotate(self, alg: str | None, *, reason: str, actor: str, force: bool = False) -> SignedEvent:
        """Let the standby sign from now on; what the old key signed still verifies.

        Args:
            alg: which algorithm's key; the default one's when absent.
            reason: for the audit trail.
            actor: for the audit trail.
            force: also when verifiers have not been told of the standby yet, and will refuse what it signs until then.

        Raises:
            NotFound: there are no keys for this algorithm.
            Conflict: the newest key set has not been published yet, and it is not forced.
            ValueError: as ``Outbox.append``.
        """
        alg = alg or self._algorithms[0]
        if alg not in self._algorithms:
            raise NotFound(f"there are no keys for {alg}; there are for {', '.join(self._algorithms)}")
        standby = await _generated(alg)
        async with self._database.write() as connection:
            await _one_at_a_time(connection)
            if not force and not await _all_published(connection):
                raise Conflict("the standby key has not been published yet: verifiers would refuse what it signs")
            rows = await _token_keys(connection)
            for row in rows:
                if row["alg"] == alg and row["state"] == KeyState.ACTIVE:
                    await self._move(connection, row["kid"], KeyState.RETIRING)
            await self._promote(connection, rows, alg, standby)
            return await self._publish(connection, reason=reason, actor=actor)

    async def revoke(self, kid: str, *, reason: str, actor: str) -> SignedEvent:
        """Revoke a key, with every token that it signed, for good. If it was the one that signs, the standby does now.

        Raises:
            NotFound: no token key has this ``kid``.
            Conflict: it is revoked already.
            ValueError: as ``Outbox.append``.
        """
        async with self._database.read() as connection:
            alg = next((row["alg"] for row in await _token_keys(connection) if row["kid"] == kid), None)
        if alg is None:
            raise NotFound(f"no token key has the kid {kid!r}")
        standby = await _generated(alg)
        async with self._database.write() as connection:
            await _one_at_a_time(connection)
            rows = await _token_keys(connection)
            state = KeyState(next(row["state"] for row in rows if row["kid"] == kid))
            if state is KeyState.REVOKED:
                raise Conflict(f"key {kid} is revoked already")
            await self._move(connection, kid, KeyState.REVOKED)
            others = [row for row in rows if row["kid"] != kid]
            if state is KeyState.ACTIVE:
                await self._promote(connection, others, alg, standby)
            elif state is KeyState.PENDING:
                await self._vault.add(connection, standby, TOKEN_KEY, KeyState.PENDING)
            return await self._publish(connection, reason=reason, actor=actor)

    async def retire(self, *, changed_before: float) -> SignedEvent | None:
        """Retire the keys that have been retiring since before then, whose tokens are all dead; the event, if any.

        Args:
            changed_before: seconds since the epoch, by the store's clock.
        """
        due = (keys.c.use == TOKEN_KEY) & (keys.c.state == KeyState.RETIRING) & (keys.c.changed_at < changed_before)
        async with self._database.read() as connection:
            if not (await connection.execute(select(keys.c.kid).where(due))).first():
                return None
        async with self._database.write() as connection:
            await _one_at_a_time(connection)
            kids = (await connection.execute(select(keys.c.kid).where(due))).scalars().all()
            for kid in kids:
                await self._move(connection, kid, KeyState.RETIRED)
            return await self._publish(connection, reason="its tokens have expired", actor="system") if kids else None

    async def say_again(self, connection: AsyncConnection, *, reason: str, actor: str) -> SignedEvent:
        """Say the key set as it stands, in the transaction of somebody who has changed it."""
        return await self._publish(connection, reason=reason, actor=actor)

    async def signing_key(self, published: Sequence[PublishedKey], alg: str | None = None) -> SigningKey:
        """The private half of the active key in a published set; kept in memory once unsealed.

        Args:
            published: the set, as our own agent knows it: what signs must have been told to everybody.
            alg: which algorithm's key; the default one's when absent.

        Raises:
            StoreUninitialised: the set has no active key for it.
            SealBroken: it cannot be unsealed.
        """
        alg = alg or self._algorithms[0]
        kid = next((key.kid for key in published if key.alg == alg and key.state is KeyState.ACTIVE), None)
        if kid is None:
            raise StoreUninitialised(f"there is no active key for {alg}")
        if kid not in self._signing:
            async with self._database.read() as connection:
                row = (await connection.execute(select(keys).where(keys.c.kid == kid))).mappings().one()
            # Only active keys are kept in memory.
            active = {key.kid for key in published if key.state is KeyState.ACTIVE}
            self._signing = {kid: key for kid, key in self._signing.items() if kid in active}
            self._signing[kid] = SigningKey(self._vault.open(row))
        return self._signing[kid]

    async def _missing(self, connection: AsyncConnection) -> list[str]:
        have = {row["alg"] for row in await _token_keys(connection)}
        return [alg for alg in self._algorithms if alg not in have]

    async def _promote(self, connection: AsyncConnection, rows: Sequence[RowMapping], alg: str, standby: Jwk) -> None:
        heir = next((row["kid"] for row in rows if row["alg"] == alg and row["state"] == KeyState.PENDING), None)
        if heir is None:
            raise Conflict(f"there is no standby key for {alg}")
        await self._move(connection, heir, KeyState.ACTIVE)
        await self._vault.add(connection, standby, TOKEN_KEY, KeyState.PENDING)

    async def _move(self, connection: AsyncConnection, kid: str, state: KeyState) -> None:
        await connection.execute(
            update(keys).where(keys.c.kid == kid).values(state=state.value, changed_at=self._database.time())
        )

    async def _publish(self, connection: AsyncConnection, *, reason: str, actor: str) -> SignedEvent:
        published = tuple(
            PublishedKey(
                kid=row["kid"],
                alg=row["alg"],
                state=KeyState(row["state"]),
                jwk=row["public_jwk"] if KeyState(row["state"]).verifies else None,
                changed_at=round(row["changed_at"], 3),
            )
            for row in await _token_keys(connection)
        )
        return await self._outbox.append(
            connection, Stream.KEYS, KeySet(keys=published, reason=reason, actor=actor[:MAX_ACTOR])
        )


async def _token_keys(connection: AsyncConnection) -> Sequence[RowMapping]:
    """The rows of all token keys, oldest first."""
    query = select(keys).where(keys.c.use == TOKEN_KEY).order_by(keys.c.created_at, keys.c.kid)
    return (await connection.execute(query)).mappings().all()


async def _one_at_a_time(connection: AsyncConnection) -> None:
    """Wait for other changes of keys: each must see the outcome of the one before."""
    await connection.execute(select(streams.c.head).where(streams.c.stream == Stream.KEYS).with_for_update())


async def _all_published(connection: AsyncConnection) -> bool:
    """Whether the log has acknowledged the newest key set."""
    query = select(streams.c.published >= streams.c.head).where(streams.c.stream == Stream.KEYS)
    return bool((await connection.execute(query)).scalar_one())


async def _generated(alg: str) -> Jwk:
    return await asyncio.to_thread(generate, alg)
