"""The connection to an SQLite file: what SQLAlchemy is given of each statement, and how often its thread is asked."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from issuer.store.sqlite_connection import OneTripConnection


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    made = create_async_engine("sqlite+aiosqlite://", async_creator=lambda: opened(tmp_path / "rows.db"))
    async with made.begin() as connection:
        await connection.execute(text("CREATE TABLE films (id INTEGER PRIMARY KEY, title TEXT UNIQUE)"))
    yield made
    await made.dispose()


async def opened(file: Path) -> OneTripConnection:
    connection = OneTripConnection.to(str(file))
    connection._thread.daemon = True
    await connection
    return connection


async def test_rows_their_number_and_the_new_id_are_those_of_the_statement(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        first = await connection.execute(text("INSERT INTO films (title) VALUES ('Alien')"))
        await connection.execute(
            text("INSERT INTO films (title) VALUES (:title)"), [{"title": "Brazil"}, {"title": "M"}]
        )
        found = (await connection.execute(text("SELECT id, title FROM films ORDER BY id"))).all()
        changed = await connection.execute(text("UPDATE films SET title = title || '!' WHERE id > 1"))
        returned = (await connection.execute(text("UPDATE films SET id = id + 10 RETURNING id"))).scalars().all()

    assert first.lastrowid == 1
    assert [tuple(row) for row in found] == [(1, "Alien"), (2, "Brazil"), (3, "M")]
    assert changed.rowcount == 2
    assert sorted(returned) == [11, 12, 13]


async def test_a_statement_is_one_trip_to_the_thread(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    trips: list[str] = []
    asked: Any = OneTripConnection._execute

    async def counted(self: OneTripConnection, what: Callable[..., Any], *given: Any) -> Any:
        trips.append(what.__name__)
        return await asked(self, what, *given)

    monkeypatch.setattr(OneTripConnection, "_execute", counted)
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM films"))).scalar_one() == 0
        assert trips == ["_whole"]


async def test_a_statement_that_fails_leaves_the_connection_usable_and_the_file_unlocked(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    async with engine.connect() as connection:
        with pytest.raises(Exception, match="no such table"):
            await connection.execute(text("SELECT * FROM books"))
        await connection.rollback()
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
        with sqlite3.connect(tmp_path / "rows.db", timeout=0) as another:
            another.execute("INSERT INTO films (title) VALUES ('Alien')")


async def test_one_who_is_cancelled_in_the_middle_leaves_no_cursor_that_keeps_the_file_locked(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    endless = text("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 300000) SELECT max(x) FROM n")
    async with engine.connect() as connection:
        asking = asyncio.create_task(connection.execute(endless))
        await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await connection.invalidate()
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO films (title) VALUES ('Alien')"))

    with sqlite3.connect(tmp_path / "rows.db", timeout=0) as another:
        assert another.execute("SELECT count(*) FROM films").fetchone() == (1,)
