"""Sessions in the store: begun, found again, ended. What the cookie holds is kept hashed: it has 256 random bits."""

import hashlib
import logging
import secrets
from typing import Final

import msgspec
from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.elements import ColumnElement

from events import Selector, SignedEvent
from issuer.families import Standing
from issuer.revocations import RevocationService
from issuer.sessions.session import Session, login_claims
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from issuer.store.schema import codes, sessions
from verifier_agent import Secret
from verifier_agent.hot import Live

log = logging.getLogger(__name__)

SID_BYTES: Final = 16
COOKIE_BYTES: Final = 32
NOTED_EVERY_SECONDS: Final = 60.0
"""How exactly it is noted when a session was used last; each note is a transaction."""


class SessionStore:
    """The one place where sessions are begun, found and ended."""

    def __init__(
        self, live: Live[IssuerSettings], database: Database, standing: Standing, revocations: RevocationService
    ) -> None:
        self._live = live
        self._database = database
        self._standing = standing
        self._revocations = revocations

    async def begin(
        self, sub: str, *, gsq: int, auth_time: float, replaces: str | None = None
    ) -> tuple[Session, Secret]:
        """A session that nobody could know of before, and what its cookie is to hold.

        Args:
            sub: who has authenticated.
            gsq: see ``Session``; read before the password was looked at.
            auth_time: when, seconds since the epoch.
            replaces: what the cookie held until now: that session ends, whoever's it was.
        """
        session = Session(
            sid=secrets.token_urlsafe(SID_BYTES),
            sub=sub,
            gsq=gsq,
            auth_time=auth_time,
            expires_at=auth_time + self._live.now.session_lifetime,
        )
        held, now = Secret(secrets.token_urlsafe(COOKIE_BYTES)), self._database.time()
        async with self._database.write() as connection:
            if replaces is not None:
                await self._end(connection, sessions.c.hash == _hashed(replaces))
            await connection.execute(
                insert(sessions).values(**msgspec.structs.asdict(session), hash=_hashed(held.reveal()), used_at=now)
            )
        log.info("session_begun", extra={"sid": session.sid})
        return session, held

    async def find(self, held: str) -> Session | None:
        """The session whose cookie this is, if it is alive and no revocation has ended it."""
        now = self._database.time()
        query = select(sessions, (now - sessions.c.used_at).label("unused")).where(
            sessions.c.hash == _hashed(held), sessions.c.ended_at.is_(None), sessions.c.expires_at > now
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None or row["unused"] > self._live.now.session_idle_lifetime:
            return None
        session = _session(row)
        if not self.stands(session):
            return None
        if row["unused"] > NOTED_EVERY_SECONDS:
            async with self._database.write() as connection:
                await connection.execute(update(sessions).where(sessions.c.sid == session.sid).values(used_at=now))
        return session

    def stands(self, session: Session) -> bool:
        """Whether no revocation that came after its user authenticated hits what every token of it would say."""
        claims = {"sub": session.sub, "auth_time": int(session.auth_time), **login_claims(session.sid, session.amr)}
        return self._standing.ended_by(claims, session.gsq, session.auth_time) is None

    async def end(self, session: Session, *, reason: str, actor: str) -> None:
        """Log out: the session ends, and codes that were not redeemed with it.

        Tokens live on, unless setting ``logout_revokes_tokens`` says otherwise: then an event ends them everywhere.
        """
        event: SignedEvent | None = None
        async with self._database.write() as connection:
            await self._end(connection, sessions.c.sid == session.sid)
            await connection.execute(delete(codes).where(codes.c.sid == session.sid, codes.c.used_at.is_(None)))
            if self._live.now.logout_revokes_tokens:
                event = await self._revocations.decide(
                    connection, Selector.of(sid=session.sid), reason=reason, actor=actor
                )
        log.info("session_ended", extra={"sid": session.sid})
        if event is not None:
            await self._revocations.enforce(event)

    async def purge(self) -> None:
        """Remove what has ended."""
        now = self._database.time()
        idle = sessions.c.used_at < now - self._live.now.session_idle_lifetime - NOTED_EVERY_SECONDS
        async with self._database.write() as connection:
            await connection.execute(
                delete(sessions).where((sessions.c.expires_at < now) | idle | sessions.c.ended_at.is_not(None))
            )

    async def _end(self, connection: AsyncConnection, which: ColumnElement[bool]) -> None:
        await connection.execute(
            update(sessions).where(which, sessions.c.ended_at.is_(None)).values(ended_at=self._database.time())
        )


def _hashed(held: str) -> bytes:
    return hashlib.sha256(held.encode("utf-8", "surrogatepass")).digest()


def _session(row: RowMapping) -> Session:
    return msgspec.convert({name: row[name] for name in Session.__struct_fields__}, Session)
