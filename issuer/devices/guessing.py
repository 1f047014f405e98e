"""How many user codes somebody may get wrong (RFC 8628 section 5.1).

Codes are looked up for people who have logged in, and for nobody else. So guessing takes an account, and what is
counted of an account holds for all sessions, addresses and replicas together.
"""

from typing import Final

import msgspec
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from issuer.errors import too_many
from issuer.store.database import Database
from issuer.store.schema import user_code_guesses

MOST_WRONG: Final = 10
WINDOW_SECONDS: Final = 600.0
"""As long as codes are good. Ten guesses at a thousand codes that are good hit one in 2.5 million times."""
TOO_MANY: Final = "Too many codes were wrong. Try again in ten minutes."


class Guesses(msgspec.Struct, frozen=True):
    """Wrong codes of one user: a rule without I/O.

    Attributes:
        count: how many.
        ends_at: when they are forgotten, seconds since the epoch by the store's clock.
    """

    count: int
    ends_at: float

    def are_too_many(self, now: float) -> bool:
        """Whether no further code is looked at until they are forgotten."""
        return self.count >= MOST_WRONG and now < self.ends_at

    def and_one(self, now: float) -> "Guesses":
        """With one more; the first begins a new window."""
        if now >= self.ends_at:
            return Guesses(1, now + WINDOW_SECONDS)
        return Guesses(self.count + 1, self.ends_at)


class UserCodeGuesses:
    """Counts in the store, for all replicas."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, connection: AsyncConnection, sub: str) -> None:
        """Count a guess as wrong before it is looked at: of a thousand at once, all but ten are not.

        Others of the same user wait until the transaction, which is the caller's, has ended.

        Raises:
            OAuthError: 429, when there were too many.
            IntegrityError: another has counted this user's first guess meanwhile; to be tried again.
        """
        query = select(user_code_guesses, self._database.time().label("now")).where(user_code_guesses.c.sub == sub)
        row = (await connection.execute(query.with_for_update())).mappings().one_or_none()
        if row is None:
            now = (await connection.execute(select(self._database.time()))).scalar_one()
            first = msgspec.structs.asdict(Guesses(0, now).and_one(now))
            await connection.execute(insert(user_code_guesses).values(sub=sub, **first))
            return
        before = Guesses(row["count"], row["ends_at"])
        if before.are_too_many(row["now"]):
            raise too_many(TOO_MANY, before.ends_at - row["now"])
        await connection.execute(
            update(user_code_guesses)
            .where(user_code_guesses.c.sub == sub)
            .values(**msgspec.structs.asdict(before.and_one(row["now"])))
        )

    async def take_back(self, connection: AsyncConnection, sub: str) -> None:
        """The guess was right, in the transaction in which it was counted; those before it stay counted."""
        one_less = update(user_code_guesses).values(count=user_code_guesses.c.count - 1)
        await connection.execute(one_less.where(user_code_guesses.c.sub == sub))

    async def purge(self) -> None:
        """Forget what is past."""
        async with self._database.write() as connection:
            past = user_code_guesses.c.ends_at < self._database.time()
            await connection.execute(delete(user_code_guesses).where(past))
