"""Authorization codes: given once, redeemed once. Kept hashed: they have 256 random bits."""

import hashlib
import logging
import secrets
from typing import Final

import msgspec
from sqlalchemy import RowMapping, delete, insert, select, update

from issuer.authorization.request import AuthorizationRequest
from issuer.errors import OAuthError
from issuer.families import Family, FamilyStore
from issuer.revocations import RevocationService
from issuer.sessions import Session
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from issuer.store.schema import codes, sessions
from verifier_agent import Secret
from verifier_agent.hot import Live

log = logging.getLogger(__name__)

CODE_BYTES: Final = 32
GOOD_FOR_SECONDS: Final = 60.0
"""RFC 6749 section 4.1.2 allows ten minutes; an application redeems within a second."""


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """What a user has agreed to, for one client to fetch.

    Attributes:
        client_id: for which client.
        redirect_uri: where the code was sent; it is repeated when it is redeemed (RFC 6749 section 4.1.3).
        code_challenge: see ``pkce``.
        nonce: for the ID token.
        sub: who has agreed.
        sid: in which session.
        scope: to what.
        audience: for which services, the first by default.
        gsq: see ``Session``.
        auth_time: see ``Session``.
        amr: see ``Session``.
        expires_at: seconds since the epoch by the store's clock.
        used_at: when it was redeemed.
    """

    client_id: str
    redirect_uri: str
    code_challenge: str
    nonce: str | None
    sub: str
    sid: str
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    gsq: int
    auth_time: float
    amr: tuple[str, ...]
    expires_at: float
    used_at: float | None


class CodeStore:
    """The one place where codes are given and redeemed."""

    def __init__(
        self, live: Live[IssuerSettings], database: Database, families: FamilyStore, revocations: RevocationService
    ) -> None:
        self._live = live
        self._database = database
        self._families = families
        self._revocations = revocations

    async def give(self, asked: AuthorizationRequest, session: Session) -> Secret | None:
        """A new code for what was asked, agreed to in the session; ``None`` if that has ended meanwhile."""
        code = Secret(secrets.token_urlsafe(CODE_BYTES))
        # Locked: a logout at this moment finds the code and deletes it, or has left no session to give it in.
        alive = select(sessions.c.sid).where(sessions.c.sid == session.sid, sessions.c.ended_at.is_(None))
        async with self._database.write() as connection:
            if (await connection.execute(alive.with_for_update())).one_or_none() is None:
                return None
            await connection.execute(
                insert(codes).values(
                    hash=_hashed(code.reveal()),
                    client_id=asked.client.client_id,
                    redirect_uri=asked.redirect_uri,
                    code_challenge=asked.code_challenge,
                    nonce=asked.nonce,
                    sub=session.sub,
                    sid=session.sid,
                    scope=asked.scope,
                    audience=asked.audience,
                    gsq=session.gsq,
                    auth_time=session.auth_time,
                    amr=session.amr,
                    expires_at=self._database.time() + GOOD_FOR_SECONDS,
                )
            )
        return code

    async def find(self, code: str) -> Code | None:
        """What the code stands for, redeemed, expired or not."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(codes).where(codes.c.hash == _hashed(code)))).mappings()
            found = row.one_or_none()
        return None if found is None else _code(found)

    async def redeem(self, code: str, family: Family, *, renewable: bool) -> Secret | None:
        """Use the code up, once, for a family; its first refresh token, if it is to have one.

        Of two who redeem it at once one wins, and the other ends what the first was given, by event: one of them is a
        thief (RFC 6749 section 4.1.2, RFC 9700 section 4.5).

        Raises:
            OAuthError: ``invalid_grant``, when the code has expired, or was redeemed before and has ended that family.
        """
        async with self._database.write() as connection:
            query = (
                select(*(codes.c.used_at, codes.c.family, codes.c.expires_at), self._database.time().label("now"))
                .where(codes.c.hash == _hashed(code))
                .with_for_update()
            )
            row = (await connection.execute(query)).one_or_none()
            if row is None or (row.used_at is None and row.now >= row.expires_at):
                raise no_good()
            if row.used_at is None:
                await connection.execute(
                    update(codes).where(codes.c.hash == _hashed(code)).values(used_at=row.now, family=family.id)
                )
                return await self._families.begin_in(connection, family, renewable=renewable)
            event = await self._families.end_in(
                connection,
                row.family,
                reason="an authorization code was used twice",
                actor=f"client {family.client_id}",
            )
        log.warning("code_reused", extra={"client_id": family.client_id, "grant_id": row.family})
        if event is not None:
            await self._revocations.enforce(event)
        raise no_good()

    async def purge(self) -> None:
        """Remove what has expired, a used code when no token that was given for it can be alive without a renewal."""
        now = self._database.time()
        past = codes.c.expires_at < now - self._live.now.token_lifetime_ceiling
        unused = codes.c.used_at.is_(None) & (codes.c.expires_at < now)
        async with self._database.write() as connection:
            await connection.execute(delete(codes).where(past | unused))


def no_good() -> OAuthError:
    """Why it is no good is nobody's business."""
    return OAuthError("invalid_grant", "the code is invalid, expired, revoked or was used before")


def _hashed(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()


def _code(row: RowMapping) -> Code:
    return msgspec.convert({name: row[name] for name in Code.__struct_fields__}, Code)
