"""A hash with older parameters is made anew at a login, and undoes nothing."""

from argon2 import PasswordHasher

from issuer.store.database import Database
from issuer.store.migration import migrate
from issuer.users import Passwords, UserStore
from tests.issuer_under_test import on_every_store

OLD = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
NEW = PasswordHasher(time_cost=1, memory_cost=16, parallelism=1)


class Interrupted(Passwords):
    """While it makes a hash anew, somebody sets another password.

    Attributes:
        users: where, and for whom.
    """

    users: tuple[UserStore, str] | None = None

    async def hash(self, password: str) -> str:
        made = await super().hash(password)
        if self.users is not None:
            (store, name), self.users = self.users, None
            await store.set_password(name, "set meanwhile")
        return made


@on_every_store
async def test_a_password_that_is_set_during_a_login_stays(store_url: str) -> None:
    database, passwords = Database(store_url), Interrupted(NEW)
    await migrate(database)
    users = UserStore(database, passwords)
    await users.add("alice", None, password_hash=OLD.hash("before"))

    passwords.users = (users, "alice")
    assert await users.log_in("alice", "before") is not None

    assert await users.log_in("alice", "before") is None
    assert await users.log_in("alice", "set meanwhile") is not None
    passwords.close()
    await database.close()


@on_every_store
async def test_a_login_makes_an_old_hash_anew(store_url: str) -> None:
    database, passwords = Database(store_url), Passwords(NEW)
    await migrate(database)
    users = UserStore(database, passwords)
    await users.add("alice", None, password_hash=OLD.hash("S3cret"))

    assert await users.log_in("alice", "S3cret") is not None

    row = await users._row("alice")
    assert row is not None
    assert "m=16," in row["password"]
    assert await users.log_in("alice", "S3cret") is not None
    passwords.close()
    await database.close()
