"""Brings the tables up to date, one process at a time."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from issuer.errors import StoreUninitialised
from issuer.store.database import Database

MIGRATION_SECONDS: Final = 60.0
"""Longest that all of it may take, waiting for another process that does the same included."""
_LOCK = 0x70C51  # any number that nothing else on the database server uses for an advisory lock


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


async def migrate(database: Database) -> None:
    """Apply the migrations that the store does not have yet.

    Raises:
        StoreUnavailable: the store does not answer.
    """

    def upgrade(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    async with database.write(MIGRATION_SECONDS) as connection:
        await connection.run_sync(upgrade)


async def check_version(database: Database) -> None:
    """Make sure that the store has the tables of this version.

    Raises:
        StoreUninitialised: it has not; the message says what to do.
        StoreUnavailable: the store does not answer.
    """
    wanted = ScriptDirectory.from_config(_config()).get_current_head()
    async with database.read() as connection:
        found = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    if found != wanted:
        raise StoreUninitialised(
            f"the store has schema {found or 'none'} and this version needs {wanted}; run: tocsin init"
        )
