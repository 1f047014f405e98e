"""Throttles logins by ``login_rule``, with what is counted in the store: all replicas and workers see one count.

An attempt is counted as failed before its password is looked at, and taken back when it was good. Otherwise a thousand
that come at once would all be looked at before the first had failed. One that must wait is counted nowhere, so trying
on does not put the end off. Names and addresses are kept hashed, and whether there is such a user makes no difference.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

import msgspec
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from issuer.errors import StoreUnavailable, too_many
from issuer.store.database import Database
from issuer.store.schema import login_failures
from issuer.users.login_rule import KNOWN_SECONDS, Counted, Failures, LoginRule

TRIES: Final = 5
"""Of a transaction that meets another which counts the same for the first time."""
_KNOWN: Final = "known"
_ALL: Final = (*Counted, _KNOWN)


class Attempt(msgspec.Struct, frozen=True):
    """An attempt that has been counted.

    Attributes:
        account: the user name as it was normalized.
        address: by which those who log in are told apart; ``None`` where it is not known.
        counted: of what it was counted.
    """

    account: str
    address: str | None
    counted: tuple[Counted, ...]


class LoginThrottle:
    """Lets an attempt through, or says when to come again.

    Attributes:
        refused: attempts that had to wait.
    """

    def __init__(self, database: Database, rule: LoginRule) -> None:
        self._database = database
        self._rule = rule
        self.refused = 0

    async def check(self, account: str, address: str | None) -> None:
        """Whether an attempt may be made as it is now: one that must wait costs no write, and keeps nobody waiting.

        It counts nothing, so ``begin`` looks again.

        Args:
            account: the user name, normalized; whether there is such a user makes no difference.
            address: see ``Attempt``.

        Raises:
            OAuthError: 429, with when to come again.
            StoreUnavailable: the store does not answer; then nobody logs in.
        """
        async with self._database.read() as connection:
            await self._judged(connection, account, address, lock=False)

    async def begin(self, account: str, address: str | None) -> Attempt:
        """Count an attempt, before the password is looked at; arguments and errors as of ``check``."""
        for _ in range(TRIES):
            try:
                async with self._database.write() as connection:
                    return await self._count(connection, account, address)
            except IntegrityError:
                continue  # another has counted the same for the first time
        raise StoreUnavailable(f"a login could not be counted in {TRIES} attempts")

    async def succeeded(self, attempt: Attempt) -> None:
        """The password was right: the attempt was no failure, and the account is known at this address from now on.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        for _ in range(TRIES):
            try:
                async with self._database.write() as connection:
                    await self._take_back(connection, attempt)
                    if attempt.address is not None:
                        await self._note_known(connection, _name(_KNOWN, attempt.account, attempt.address))
            except IntegrityError:
                continue  # the same account has been logged in from there for the first time twice at once
            return
        raise StoreUnavailable(f"a login could not be noted in {TRIES} attempts")

    async def purge(self) -> None:
        """Forget what is past."""
        async with self._database.write() as connection:
            past = login_failures.c.expires_at < self._database.time()
            await connection.execute(delete(login_failures).where(past))

    async def _count(self, connection: AsyncConnection, account: str, address: str | None) -> Attempt:
        now, counted = await self._judged(connection, account, address, lock=True)
        for what, before in sorted(counted.items(), key=lambda each: _name(each[0], account, address)):
            values = {
                "count": (0 if before is None else before.count) + 1,
                "last_at": now,
                "expires_at": now + self._rule.patience[what].forgets,
            }
            name = _name(what, account, address)
            if before is None:
                await connection.execute(insert(login_failures).values(name=name, **values))
            else:
                await connection.execute(update(login_failures).where(login_failures.c.name == name).values(**values))
        return Attempt(account, address, tuple(counted))

    async def _judged(
        self, connection: AsyncConnection, account: str, address: str | None, *, lock: bool
    ) -> tuple[float, Mapping[Counted, Failures | None]]:
        """The store's time, and what applies to an attempt with what was counted of it.

        Raises:
            OAuthError: 429.
        """
        names = {_name(what, account, address): what for what in _ALL}
        # In one order for all, so that no two wait for each other.
        query = select(login_failures).where(login_failures.c.name.in_(names)).order_by(login_failures.c.name)
        rows = (await connection.execute(query.with_for_update() if lock else query)).mappings().all()
        found = {names[bytes(row["name"])]: row for row in rows}
        now: float = (await connection.execute(select(self._database.time()))).scalar_one()
        is_known = _KNOWN in found and found[_KNOWN]["expires_at"] > now
        counted: dict[Counted, Failures | None] = dict.fromkeys(
            self._rule.applying(has_address=address is not None, is_known=is_known)
        )
        for what in [what for what in counted if what in found]:
            is_past = found[what]["expires_at"] <= now
            counted[what] = Failures(0 if is_past else found[what]["count"], found[what]["last_at"])
        wait = self._rule.wait({what: failures for what, failures in counted.items() if failures is not None}, now)
        if wait > 0:
            self.refused += 1
            raise too_many("too many attempts to log in", wait)
        return now, counted

    @staticmethod
    async def _take_back(connection: AsyncConnection, attempt: Attempt) -> None:
        for what in sorted(attempt.counted, key=lambda each: _name(each, attempt.account, attempt.address)):
            name = login_failures.c.name == _name(what, attempt.account, attempt.address)
            if what is Counted.HERE:
                await connection.execute(delete(login_failures).where(name))
            else:  # strangers' failures stay: their guessing must not begin anew with each login of the owner
                one_less = update(login_failures).values(count=login_failures.c.count - 1)
                await connection.execute(one_less.where(name, login_failures.c.count > 0))

    async def _note_known(self, connection: AsyncConnection, name: bytes) -> None:
        now = self._database.time()
        values = {"count": 0, "last_at": now, "expires_at": now + KNOWN_SECONDS}
        noted = await connection.execute(update(login_failures).where(login_failures.c.name == name).values(**values))
        if not noted.rowcount:
            await connection.execute(insert(login_failures).values(name=name, **values))


def _name(what: str, account: str, address: str | None) -> bytes:
    """By which the store knows a count: nobody reads from it who tried what from where."""
    of: dict[str, list[str | None]] = {Counted.ACCOUNT: [account], Counted.ADDRESS: [address]}
    return hashlib.sha256(json.dumps([what, *of.get(what, [account, address])]).encode()).digest()
