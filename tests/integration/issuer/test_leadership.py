"""Who leads, and that nobody acts who only thinks so."""

import pytest
from sqlalchemy import select

from issuer.leadership import Leadership, LeadershipLost, LockUnavailable
from issuer.store.database import Database
from issuer.store.migration import migrate
from issuer.store.schema import leases
from tests.simulator import FakeClock

LEASE_SECONDS = 10.0


class PlainLock:
    """A lock that says what a test wants.

    Attributes:
        holder: who holds it.
        away: whether it answers nobody.
    """

    def __init__(self) -> None:
        self.holder: str | None = None
        self.away = False

    def of(self, holder: str) -> "PlainLock._Handle":
        return self._Handle(self, holder)

    class _Handle:
        def __init__(self, lock: "PlainLock", holder: str) -> None:
            self.seconds = LEASE_SECONDS
            self._lock = lock
            self._holder = holder

        async def held(self) -> bool:
            if self._lock.away:
                raise LockUnavailable("away")
            self._lock.holder = self._lock.holder or self._holder
            return self._lock.holder == self._holder

        async def release(self) -> None:
            if self._lock.holder == self._holder:
                self._lock.holder = None


@pytest.fixture
async def database(store_url: str) -> Database:
    database = Database(store_url)
    await migrate(database)
    return database


async def acts(leadership: Leadership, database: Database) -> bool:
    """Whether a transaction of this one commits."""
    try:
        async with database.write() as connection:
            await leadership.confirm(connection)
    except LeadershipLost:
        return False
    return True


async def test_a_leader_that_slept_does_nothing_when_it_wakes_up(database: Database) -> None:
    lock, clock = PlainLock(), FakeClock()
    one, other = (Leadership(lock.of(name), database, name, clock) for name in ("one", "other"))
    assert await one.look()
    assert await acts(one, database)

    lock.holder = None  # its time is over, as far as the lock knows, while it is stopped
    assert await other.look()

    assert one.epoch is not None, "it still believes to lead"
    assert not await acts(one, database)
    assert await acts(other, database)
    assert not one.leads
    await database.close()


async def test_who_has_the_lock_again_opens_another_epoch(database: Database) -> None:
    lock, clock = PlainLock(), FakeClock()
    one, other = (Leadership(lock.of(name), database, name, clock) for name in ("one", "other"))
    epochs: list[int] = []
    for each in (one, other, one):
        lock.holder = None
        assert await each.look()
        epochs.append(each.epoch or 0)

    assert epochs == sorted(set(epochs))
    assert await acts(one, database)
    async with database.read() as connection:
        row = (await connection.execute(select(leases).where(leases.c.name == "leader-epoch"))).one()
    assert (row.fence, row.holder) == (epochs[-1], "one")
    await database.close()


async def test_a_lock_that_does_not_answer_is_believed_in_for_its_time_and_no_longer(database: Database) -> None:
    lock, clock = PlainLock(), FakeClock()
    one = Leadership(lock.of("one"), database, "one", clock)
    await one.look()
    lock.away = True

    clock.advance(LEASE_SECONDS - 0.1)
    assert await one.look()
    assert one.error == "away"
    clock.advance(0.2)

    assert not await one.look()
    lock.away = False
    assert await one.look()
    assert one.error is None
    await database.close()


async def test_who_never_led_does_nothing(database: Database) -> None:
    lock = PlainLock()
    lock.holder = "other"
    one = Leadership(lock.of("one"), database, "one", FakeClock())

    assert not await one.look()
    assert not await acts(one, database)
    await database.close()
