"""Installations that can be put back to an earlier moment: on files, and on PostgreSQL and Kafka."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient

from events import Stream
from events.log import Retention
from events.log.kafka_settings import KafkaSettings
from events.log.kafka_topics import KafkaTopics
from issuer.offline import recovery_of
from issuer.recovery.findings import Findings
from issuer.recovery.recovery import Recovery
from tests.issuer_under_test import Installation


@dataclass(frozen=True)
class Deployment:
    """An installation, and where its store and log can be got at from behind.

    Nothing of it may run while it is put back.
    """

    installation: Installation
    folder: Path
    server: str | None = None
    """A PostgreSQL that the store is on, by its own URL."""

    async def back_up(self) -> None:
        """Remember the store as it is."""
        if self.server is None:
            _merge_wal(self.folder / "store.db")
            shutil.copy(self.folder / "store.db", self.folder / "backup.db")
        else:
            await self._copy_database(self._database, self._database + "_backup")

    async def restore(self) -> None:
        """Put the store back to the backup."""
        if self.server is None:
            for left in ("store.db-wal", "store.db-shm"):
                (self.folder / left).unlink(missing_ok=True)
            shutil.copy(self.folder / "backup.db", self.folder / "store.db")
        else:
            await self._copy_database(self._database + "_backup", self._database)

    async def empty_log(self, *streams: Stream) -> None:
        """Make the log of these streams anew, with nothing in it."""
        log = self.installation.settings.log
        if log.startswith("sqlite"):
            with sqlite3.connect(self.folder / "events.db") as connection:
                connection.executemany("DELETE FROM entries WHERE stream = ?", [(stream.value,) for stream in streams])
            connection.close()
            return
        settings = KafkaSettings.parse(log)
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.servers)
        await admin.start()
        try:
            await admin.delete_topics([settings.topic(stream) for stream in streams])
        finally:
            await admin.close()
        await _eventually_made(log)

    @asynccontextmanager
    async def recovery(self, **how: Any) -> AsyncIterator[Recovery]:
        """What ``tocsin recover`` works with."""
        async with recovery_of(self.installation.settings, **how) as recovery:
            yield recovery

    async def recover(self, *, everything: bool = False) -> Findings:
        """``tocsin recover``, or with ``--force``."""
        async with self.recovery() as recovery:
            return await recovery.recover(everything=everything)

    @property
    def _database(self) -> str:
        return urlsplit(self.installation.settings.store).path.removeprefix("/")

    async def _copy_database(self, source: str, copy: str) -> None:
        connection = await asyncpg.connect(self.server)
        try:
            await connection.execute(f'DROP DATABASE IF EXISTS "{copy}" WITH (FORCE)')
            await connection.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{source}"')
        finally:
            await connection.close()

    async def drop_backup(self) -> None:
        """Leave nothing on the server."""
        if self.server is not None:
            connection = await asyncpg.connect(self.server)
            await connection.execute(f'DROP DATABASE IF EXISTS "{self._database}_backup" WITH (FORCE)')
            await connection.close()


def _merge_wal(store: Path) -> None:
    """Have the file hold all of the store."""
    connection = sqlite3.connect(store)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


async def make_topics(url: str) -> None:
    """The topics of a Kafka log."""
    await KafkaTopics(KafkaSettings.parse(url), Retention()).create()


async def _eventually_made(url: str) -> None:
    """Kafka deletes topics in its own time, and refuses new ones of their names until then."""
    async with asyncio.timeout(60):
        for _ in range(2):  # a topic that is being deleted may still look as if it were there
            await asyncio.sleep(1.0)
            await make_topics(url)
