"""How long a revocation must be known, whatever clocks and ceilings have been meanwhile."""

import pytest
from sqlalchemy import update

from events.records import MAX_SKEW
from issuer.outbox.horizon import Horizon, note_ceiling, read_horizon
from issuer.store.schema import ceilings, streams
from tests.issuer_under_test import Store, on_every_store

pytestmark = on_every_store

DAY = 86_400.0


async def horizon(store: Store, own_ceiling: float = DAY) -> Horizon:
    async with store.database.write() as connection:
        return await read_horizon(connection, store.database, own_ceiling)


async def test_a_revocation_outlives_the_longest_token_by_every_clock_that_may_be_wrong(store: Store) -> None:
    found = await horizon(store)

    assert found.past_every_token == pytest.approx(found.now + DAY + 3 * MAX_SKEW, abs=0.001)
    assert found.past_token(found.now + 60) == pytest.approx(found.now + 60 + 2 * MAX_SKEW, abs=0.001)


async def test_a_ceiling_that_was_lowered_counts_until_its_last_token_is_dead(store: Store) -> None:
    await note_ceiling(store.database, 7 * DAY)
    await note_ceiling(store.database, 7 * DAY)
    assert (await horizon(store)).ceiling == 7 * DAY

    async with store.database.write() as connection:
        await connection.execute(update(ceilings).values(last_used=ceilings.c.last_used - 7 * DAY - MAX_SKEW - 1))
    assert (await horizon(store)).ceiling == DAY


async def test_a_revocation_after_the_clock_was_put_back_is_dated_from_the_time_that_agents_were_told(
    store: Store,
) -> None:
    now = (await horizon(store)).now
    async with store.database.write() as connection:
        await connection.execute(update(streams).values(time=now + 2 * DAY))

    found = await horizon(store)

    assert found.past_every_token >= found.newest + DAY
    assert found.past_token(found.now + 60) >= found.newest + 60
