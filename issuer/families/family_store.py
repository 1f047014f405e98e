"""Families and their refresh tokens in the store: begun, renewed, ended."""

import hashlib
import secrets
from typing import Any, Final

import msgspec
from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from events import Selector, SignedEvent
from issuer.errors import OAuthError
from issuer.families.family import Family
from issuer.families.oldest import oldest_gsq
from issuer.revocations import RevocationService
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from issuer.store.schema import families, refresh_tokens
from verifier_agent import Secret
from verifier_agent.hot import Live

ID_BYTES: Final = 16
TOKEN_BYTES: Final = 32
PREFIX: Final = "tocsin_rt_"
"""Of refresh tokens, so that whoever scans for leaked secrets can tell one."""
CLAIM: Final = "grant_id"
"""By which a family's access tokens are revoked together."""


class FamilyStore:
    """The one place where families are begun, renewed and ended. Tokens are kept hashed: they have 256 random bits."""

    def __init__(self, live: Live[IssuerSettings], database: Database, revocations: RevocationService) -> None:
        self._live = live
        self._database = database
        self._revocations = revocations

    def new(self, **said: Any) -> Family:
        """A family that nobody has kept yet; ``said`` is what it has beside ``id`` and ``expires_at``."""
        return Family(
            id=secrets.token_urlsafe(ID_BYTES), expires_at=said["auth_time"] + self._live.now.grant_lifetime, **said
        )

    async def begin(self, family: Family, *, renewable: bool) -> Secret | None:
        """Keep a new family; its first refresh token, if it is to have one."""
        async with self._database.write() as connection:
            return await self.begin_in(connection, family, renewable=renewable)

    async def begin_in(self, connection: AsyncConnection, family: Family, *, renewable: bool) -> Secret | None:
        """As ``begin``, in a transaction of the caller's."""
        await connection.execute(insert(families).values(**msgspec.structs.asdict(family), ended_at=None))
        return await self._give(connection, family) if renewable else None

    async def find(self, refresh_token: str) -> Family | None:
        """The family of a refresh token, alive or not, whatever has become of the token."""
        query = select(families).join(refresh_tokens, refresh_tokens.c.family == families.c.id)
        async with self._database.read() as connection:
            row = (await connection.execute(query.where(refresh_tokens.c.hash == _hashed(refresh_token)))).mappings()
            found = row.one_or_none()
        return None if found is None else _family(found)

    async def usable(self, refresh_token: str) -> Family | None:
        """The family of a refresh token that has neither been used nor ended; ``None`` for any other."""
        now = self._database.time()
        query = (
            select(families)
            .join(refresh_tokens, refresh_tokens.c.family == families.c.id)
            .where(
                refresh_tokens.c.hash == _hashed(refresh_token),
                refresh_tokens.c.used_at.is_(None),
                refresh_tokens.c.expires_at > now,
                families.c.ended_at.is_(None),
                families.c.expires_at > now,
            )
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return None if row is None else _family(row)

    async def renew(self, family: Family, refresh_token: str) -> Secret:
        """Use a refresh token up, once, for its successor (RFC 9700 section 4.14.2).

        A token that has been used ends its family, as one of two holders is a thief; the event reaches every verifier.
        But for ``refresh_grace`` it may be used again as long as its successor has not been: an answer may have been
        lost on its way. What was given then and may have been lost is no good any more.

        Raises:
            OAuthError: ``invalid_grant``, when the token or its family is no good; a used one has ended it.
        """
        async with self._database.write() as connection:
            row = await self._lock(connection, refresh_token)
            if (
                row is None
                or row["ended_at"] is not None
                or row["now"] >= min(row["expires_at"], row["token_expires_at"])
            ):
                raise _no_good()
            if row["used_at"] is None:
                return await self._succeed(connection, family, row)
            if await self._may_be_asked_again(connection, row):
                await connection.execute(
                    update(refresh_tokens).where(refresh_tokens.c.hash == row["successor"]).values(used_at=row["now"])
                )
                return await self._succeed(connection, family, row)
            event = await self._end(
                connection, family.id, "a refresh token was used twice", f"client {family.client_id}"
            )
        await self._revocations.enforce(event)
        raise _no_good()

    async def end(self, family: Family, *, reason: str, actor: str) -> None:
        """End a family and, by event, all its access tokens; a second time nothing happens."""
        async with self._database.write() as connection:
            event = await self.end_in(connection, family.id, reason=reason, actor=actor)
        if event is not None:
            await self._revocations.enforce(event)

    async def end_in(
        self, connection: AsyncConnection, family_id: str, *, reason: str, actor: str
    ) -> SignedEvent | None:
        """As ``end``, in a transaction of the caller's, who has the event, if there is one, enforced after that."""
        query = select(families.c.ended_at).where(families.c.id == family_id).with_for_update()
        row = (await connection.execute(query)).one_or_none()
        if row is None or row.ended_at is not None:
            return None
        return await self._end(connection, family_id, reason, actor)

    async def speak_for(self, sub: str) -> bool:
        """Whether there is any family of this user's, ended or not."""
        query = select(families.c.id).where(families.c.sub == sub).limit(1)
        async with self._database.read() as connection:
            return (await connection.execute(query)).first() is not None

    async def oldest_gsq(self, default: int) -> int:
        """The lowest ``gsq`` of all that live, sessions and codes among them; ``default`` without any."""
        async with self._database.read() as connection:
            oldest = (await connection.execute(oldest_gsq())).scalar_one()
        return default if oldest is None else min(oldest, default)

    async def purge(self) -> int:
        """Remove what has ended long enough ago that no token of it is alive; how many families."""
        past = self._database.time() - self._live.now.token_lifetime_ceiling
        async with self._database.write() as connection:
            gone = await connection.execute(delete(families).where(families.c.expires_at < past))
        return gone.rowcount

    async def _lock(self, connection: AsyncConnection, refresh_token: str) -> RowMapping | None:
        """The row of a token with its family's, which nobody else changes until the transaction ends."""
        hashed = _hashed(refresh_token)
        family = select(refresh_tokens.c.family).where(refresh_tokens.c.hash == hashed).scalar_subquery()
        await connection.execute(select(families.c.id).where(families.c.id == family).with_for_update())
        query = (
            select(
                *(families.c.ended_at, families.c.expires_at, self._database.time().label("now")),
                *(refresh_tokens.c.hash, refresh_tokens.c.used_at, refresh_tokens.c.successor),
                refresh_tokens.c.expires_at.label("token_expires_at"),
            )
            .join(families, families.c.id == refresh_tokens.c.family)
            .where(refresh_tokens.c.hash == hashed)
        )
        return (await connection.execute(query)).mappings().one_or_none()

    async def _may_be_asked_again(self, connection: AsyncConnection, row: RowMapping) -> bool:
        if row["successor"] is None or row["now"] - row["used_at"] > self._live.now.refresh_grace:
            return False
        used = select(refresh_tokens.c.used_at).where(refresh_tokens.c.hash == row["successor"])
        return (await connection.execute(used)).scalar_one() is None

    async def _succeed(self, connection: AsyncConnection, family: Family, row: RowMapping) -> Secret:
        token = await self._give(connection, family)
        await connection.execute(
            update(refresh_tokens)
            .where(refresh_tokens.c.hash == row["hash"])
            .values(used_at=row["used_at"] or row["now"], successor=_hashed(token.reveal()))
        )
        return token

    async def _give(self, connection: AsyncConnection, family: Family) -> Secret:
        token = Secret(PREFIX + secrets.token_urlsafe(TOKEN_BYTES))
        await connection.execute(
            insert(refresh_tokens).values(
                hash=_hashed(token.reveal()),
                family=family.id,
                expires_at=self._database.time() + self._live.now.refresh_token_lifetime,
            )
        )
        return token

    async def _end(self, connection: AsyncConnection, family_id: str, reason: str, actor: str) -> SignedEvent:
        await connection.execute(
            update(families).where(families.c.id == family_id).values(ended_at=self._database.time())
        )
        return await self._revocations.decide(
            connection, Selector(claims={CLAIM: family_id}), reason=reason, actor=actor
        )


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _family(row: RowMapping) -> Family:
    return msgspec.convert({name: row[name] for name in Family.__struct_fields__}, Family)


def _no_good() -> OAuthError:
    return OAuthError("invalid_grant", "the refresh token is invalid, expired, revoked or was used before")
