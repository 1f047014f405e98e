"""Users in the store."""

import random
import secrets
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from sqlalchemy import RowMapping, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from issuer.errors import Conflict, NotFound
from issuer.lookups import Kind, Lookups, Remembered, note_change
from issuer.store.database import Database
from issuer.store.schema import users
from issuer.users import standard_claims
from issuer.users.login_queue import LoginQueue
from issuer.users.login_throttle import LoginThrottle
from issuer.users.passwords import Passwords, check_imported
from issuer.users.user import MAX_USERNAME, User, normalized
from verifier_agent.clocks import SystemClock

SUB_BYTES: Final = 16


class UserStore:
    """Adds users, finds them, and tells whether a password is theirs.

    What is held for a while (``issuer.lookups``) is what ``find`` gives, and no password: a login looks at the row.

    Attributes:
        queue: where those wait who log in.
    """

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        throttle: LoginThrottle | None = None,
        known: Lookups[User] | None = None,
        queue: LoginQueue | None = None,
    ) -> None:
        """Set up.

        Args:
            database: the store.
            passwords: makes and checks hashes.
            throttle: without one, one may try passwords as often as one likes.
            known: holds what was found; of its own when absent.
            queue: where those wait who log in; of its own when absent.
        """
        self.queue = queue or LoginQueue()
        self._database = database
        self._passwords = passwords
        self._throttle = throttle
        self._known = known or Lookups(Remembered(random.random), SystemClock().boot)

    async def add(
        self,
        username: str,
        password: str | None,
        *,
        claims: dict[str, Any] | None = None,
        sub: str | None = None,
        password_hash: str | None = None,
        disabled: bool = False,
    ) -> User:
        """Add a user.

        Args:
            username: see ``normalized``.
            password: ``None`` for a user who logs in elsewhere.
            claims: see ``User``.
            sub: taken over from elsewhere; made up when absent.
            password_hash: in place of the password, by Argon2id; made anew at the first login unless it
                has the parameters of ours.
            disabled: see ``User``.

        Raises:
            Conflict: there is one of this name or ``sub`` already.
            ValueError: name, password, hash or a claim cannot be.
        """
        user = User(
            sub=sub or secrets.token_urlsafe(SUB_BYTES),
            username=normalized(username),
            claims=dict(claims or {}),
            disabled=disabled,
        )
        standard_claims.check(user.claims)
        if password is not None and password_hash is not None:
            raise ValueError("there is a password or its hash, not both")
        if password_hash is not None:
            check_imported(password_hash)
        kept = password_hash if password is None else await self._passwords.hash(password)
        now = self._database.time()
        try:
            async with self._changing(user.sub) as connection:
                await connection.execute(
                    insert(users).values(
                        sub=user.sub,
                        username=user.username,
                        password=kept,
                        claims=user.claims,
                        disabled=user.disabled,
                        created_at=now,
                        changed_at=now,
                    )
                )
        except IntegrityError as error:
            raise Conflict(f"there is a user {user.username!r}, or that sub, already") from error
        return user

    async def log_in(self, username: str, password: str, *, address: str | None = None) -> User | None:
        """The user whose name and password these are; ``None`` for all others, after as much work.

        Args:
            username: as it was typed.
            password: as it was typed.
            address: of the user, as ``ClientAddress.key`` has it; ``None`` where only a program's is known.

        Raises:
            OAuthError: 429, when it was tried too often, or 503, when too many log in at once; the password has not
                been looked at.
            StoreUnavailable: the store does not answer.
        """
        if self._throttle is None:
            async with self.queue.turn():
                return await self._checked(username, password)
        account = _account(username)
        await self._throttle.check(account, address)  # who must come later takes nobody's place
        async with self.queue.turn():
            attempt = await self._throttle.begin(account, address)
            user = await self._checked(username, password)
            if user is not None:
                await self._throttle.succeeded(attempt)
            return user

    async def _checked(self, username: str, password: str) -> User | None:
        row = await self._row(username)
        if not await self._passwords.check(None if row is None else row["password"], password) or row is None:
            return None
        if row["disabled"]:
            return None
        if self._passwords.is_outdated(row["password"]):
            await self._keep_password(row["sub"], await self._passwords.hash(password), instead_of=row["password"])
        return _user(row)

    async def find(self, sub: str) -> User | None:
        """The user with this identifier, disabled or not. Others are given the same object."""
        return await self._known.find(sub, self._load)

    async def with_email(self, email: str) -> Sequence[User]:
        """The users whose record has this ``email``, in capitals or small letters."""
        kept = users.c.claims["email"].as_string()
        query = select(users).where(or_(kept == email, func.lower(kept) == email.lower())).order_by(users.c.sub)
        async with self._database.read() as connection:
            return [_user(row) for row in (await connection.execute(query)).mappings()]

    async def named(self, username: str) -> User:
        """The user of this name.

        Raises:
            NotFound: there is none.
        """
        row = await self._row(username)
        if row is None:
            raise NotFound(f"there is no user {username!r}")
        return _user(row)

    async def all(self, *, limit: int = 1000, after: str = "") -> Sequence[User]:
        """Users by name, above ``after``."""
        query = select(users).where(users.c.username > after).order_by(users.c.username).limit(limit)
        async with self._database.read() as connection:
            return [_user(row) for row in (await connection.execute(query)).mappings()]

    async def set_password(self, username: str, password: str) -> User:
        """Give the user another password; sessions and tokens live on, unless they are revoked too.

        Raises:
            NotFound: there is no such user.
            ValueError: the password cannot be.
        """
        user = await self.named(username)
        await self._keep_password(user.sub, await self._passwords.hash(password))
        return user

    async def set_claims(self, username: str, claims: Mapping[str, Any], *, without: Collection[str] = ()) -> User:
        """Change what the record says of the user; claims that are named in neither stay as they are.

        Raises:
            NotFound: there is no such user.
            ValueError: a claim cannot be.
        """
        user = await self.named(username)
        async with self._changing(user.sub) as connection:
            query = select(users.c.claims).where(users.c.sub == user.sub).with_for_update()
            now = (await connection.execute(query)).scalar_one_or_none()
            if now is None:  # deleted since
                raise NotFound(f"there is no user {username!r}")
            said = {name: value for name, value in now.items() if name not in without} | dict(claims)
            standard_claims.check(said)
            await connection.execute(
                update(users).where(users.c.sub == user.sub).values(claims=said, changed_at=self._database.time())
            )
        return msgspec.structs.replace(user, claims=said)

    @asynccontextmanager
    async def deleted(self, username: str) -> AsyncIterator[tuple[AsyncConnection, User]]:
        """A transaction in which the user's record goes, and in which more may be decided; who they were.

        Raises:
            NotFound: there is no such user.
        """
        user = await self.named(username)
        async with self._changing(user.sub, urgent=True) as connection:
            await connection.execute(delete(users).where(users.c.sub == user.sub))
            yield connection, user

    @asynccontextmanager
    async def switched(self, username: str, *, disabled: bool) -> AsyncIterator[tuple[AsyncConnection, User]]:
        """A transaction in which the user may do nothing any more, or may again, and in which more may be decided.

        Raises:
            NotFound: there is no such user.
        """
        user = await self.named(username)
        async with self._changing(user.sub, urgent=True) as connection:
            await connection.execute(
                update(users).where(users.c.sub == user.sub).values(disabled=disabled, changed_at=self._database.time())
            )
            yield connection, msgspec.structs.replace(user, disabled=disabled)

    @asynccontextmanager
    async def _changing(self, sub: str, *, urgent: bool = False) -> AsyncIterator[AsyncConnection]:
        """A transaction that changes what is held of a user, heard of by every replica."""
        try:
            async with self._database.write(urgent=urgent) as connection:
                await note_change(connection, Kind.USER, sub)
                yield connection
        finally:  # also when nobody can say whether it was committed
            self._known.drop(sub)

    async def _load(self, sub: str) -> User | None:
        async with self._database.read() as connection:
            row = (await connection.execute(select(users).where(users.c.sub == sub))).mappings().one_or_none()
        return None if row is None else _user(row)

    async def _keep_password(self, sub: str, kept: str, *, instead_of: str | None = None) -> None:
        """Keep another hash; where one is named that it is made instead of, only if that is still there."""
        which = users.c.sub == sub
        if instead_of is not None:  # another password may have been set while this one was hashed
            which &= users.c.password == instead_of
        async with self._database.write() as connection:
            await connection.execute(update(users).where(which).values(password=kept, changed_at=self._database.time()))

    async def _row(self, username: str) -> RowMapping | None:
        try:
            name = normalized(username)
        except ValueError:
            return None
        async with self._database.read() as connection:
            return (await connection.execute(select(users).where(users.c.username == name))).mappings().one_or_none()


def _account(username: str) -> str:
    """By which name attempts are counted: that of the user, or of whoever cannot be one."""
    try:
        return normalized(username)
    except ValueError:
        return username[:MAX_USERNAME]


def _user(row: RowMapping) -> User:
    return User(sub=row["sub"], username=row["username"], claims=row["claims"], disabled=row["disabled"])
