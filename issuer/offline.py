"""What commands open of an issuer without its server: its store, beside issuers that run or without any."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from events import EventOpener, IssuerTrust
from events.log import Retention, open_log
from issuer.keys.event_chain import EventSigners, read_chain, trust_in
from issuer.keys.generation import PrivateJwk
from issuer.keys.key_service import KeyService
from issuer.keys.rewrapping import Rewrapping
from issuer.keys.succession import EventKeySuccession
from issuer.opened_store import opened_store
from issuer.outbox.outbox import Outbox
from issuer.recovery.recovery import Recovery
from issuer.settings import IssuerSettings
from verifier_agent.clocks import SystemClock


async def initialise(settings: IssuerSettings, heir: Callable[[], str] | None = None) -> IssuerTrust:
    """Make the store's tables and the event key where they are missing; what agents are to pin.

    Args:
        settings: the issuer's.
        heir: makes the key that may succeed a new event key, and tells its thumbprint; without it none may.

    Raises:
        SettingInvalid: a setting cannot be used.
        StoreUnavailable: the store does not answer.
        SealBroken: there is an event key, sealed with another key-encryption key.
    """
    async with opened_store(settings, migrating=True) as (database, vault):
        await vault.create_event_key(heir)
        async with database.read() as connection:
            return trust_in(settings.issuer, await read_chain(connection))


@asynccontextmanager
async def recovery_of(
    settings: IssuerSettings,
    progress: Callable[[str], None] = lambda _: None,
    *,
    migrating: bool = True,
    event_key: PrivateJwk | None = None,
) -> AsyncIterator[Recovery]:
    """What ``tocsin recover`` works with: store, log and event key, and no issuer.

    Args:
        settings: the issuer's.
        progress: told what is being done.
        migrating: whether to bring the store's tables up to date, as a backup may be older; else they must be.
        event_key: the private half of the newest event key, for a store that is older than its succession.

    Raises:
        SettingInvalid: a setting cannot be used.
        StoreUninitialised: the store lacks tables or an event key.
        StoreUnavailable: the store does not answer.
        SealBroken: the key-encryption key is another one.
    """
    async with AsyncExitStack() as stack:
        opened = opened_store(settings, migrating=settings.migrate and migrating)
        database, vault = await stack.enter_async_context(opened)
        signers, trust = await vault.event_signers(settings.issuer)
        event_log = open_log(settings.log, Retention.covering(settings.token_lifetime_ceiling))
        stack.push_async_callback(event_log.close)
        opener, clock = EventOpener(trust), SystemClock()
        yield Recovery(settings, database, event_log, vault, signers, opener, clock, progress, event_key)


@asynccontextmanager
async def rewrapping_of(settings: IssuerSettings) -> AsyncIterator[Rewrapping]:
    """What ``tocsin keys rewrap`` works with: the store and the key-encryption keys. Errors as of ``keys_of``."""
    async with opened_store(settings) as (database, vault):
        yield Rewrapping(database, vault.wrappers)


@asynccontextmanager
async def keys_of(settings: IssuerSettings) -> AsyncIterator[KeyService]:
    """The token keys beside a running issuer or without one; what is decided is published by the next that runs.

    Raises:
        SettingInvalid: a setting cannot be used.
        StoreUninitialised: the store lacks tables or an event key.
        StoreUnavailable: the store does not answer.
        SealBroken: the key-encryption key is another one.
        WrapperUnavailable: what holds it does not answer.
    """
    async with opened_store(settings) as (database, vault):
        signers, _ = await vault.event_signers(settings.issuer)
        outbox = Outbox(database, signers)
        await outbox.initialise()
        service = KeyService(database, outbox, vault, settings.signing_algorithms)
        await service.initialise()
        yield service


@asynccontextmanager
async def succession_of(settings: IssuerSettings, *, lost: bool = False) -> AsyncIterator[EventKeySuccession]:
    """The event keys beside running issuers or without one.

    Args:
        settings: the issuer's.
        lost: whether the event key that signs today need not open.

    Raises:
        SettingInvalid: a setting cannot be used.
        StoreUninitialised: the store lacks tables or an event key.
        StoreUnavailable: the store does not answer.
        SealBroken: the key-encryption key is another one.
        WrapperUnavailable: what holds the key-encryption key does not answer.
    """
    async with opened_store(settings) as (database, vault):
        signers = EventSigners(settings.issuer, vault) if lost else (await vault.event_signers(settings.issuer))[0]
        outbox = Outbox(database, signers)
        token_keys = KeyService(database, outbox, vault, settings.signing_algorithms)
        if not lost:  # where no issuer has run yet, a stream does not begin with the end of its key
            await outbox.initialise()
            await token_keys.initialise()
        yield EventKeySuccession(settings.issuer, database, vault, outbox, token_keys)
