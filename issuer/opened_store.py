"""An issuer's store with what opens its keys: what the server and every command that needs them begins with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from issuer.keys.choice import key_wrappers
from issuer.keys.vault import KeyVault
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from issuer.store.migration import check_version, migrate


@asynccontextmanager
async def opened_store(
    settings: IssuerSettings, *, migrating: bool = False
) -> AsyncIterator[tuple[Database, KeyVault]]:
    """The store, and the sealed keys in it.

    Args:
        settings: the issuer's.
        migrating: whether its tables are made, or brought up to date; otherwise they must be.

    Raises:
        SettingInvalid: a setting cannot be used.
        StoreUninitialised: the tables are not there, or not of this version.
        StoreUnavailable: the store does not answer.
        WrapperUnavailable: what holds the key-encryption key does not answer.
    """
    wrappers = await key_wrappers(settings)
    database = Database(settings.store)
    try:
        await (migrate(database) if migrating else check_version(database))
        yield database, KeyVault(database, wrappers)
    finally:
        await database.close()
