"""The one place where the issuer is put together."""

import asyncio
import logging
import random
import secrets
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final

from aiohttp import web

from events import EventKey, EventOpener, EventSigner, IssuerTrust, LogError
from events.log import EventLog, Retention, open_log
from issuer.authorization.codes import CodeStore
from issuer.authorization.consents import ConsentStore
from issuer.client_assertions import ClientAssertions
from issuer.clients import ClientStore
from issuer.devices import DeviceStore, UserCodeGuesses
from issuer.endpoints.access_log import CLOCK, access_log
from issuer.endpoints.draining import DRAINING, Draining
from issuer.endpoints.metrics import ANSWERS, counted, own_metrics
from issuer.endpoints.middleware import errors, request_ids
from issuer.endpoints.routes import add_routes, add_routes_below
from issuer.endpoints.services import SERVICES, Services
from issuer.endpoints.siblings import SIBLINGS, Siblings
from issuer.errors import BackgroundTaskFailed, StoreUnavailable
from issuer.families import FamilyStore, Standing
from issuer.feed.feed import Feed
from issuer.feed.source import StoreSource
from issuer.fleet import Fleet
from issuer.fleet.listener import AgentsListener
from issuer.grants import load_grants
from issuer.housekeeping import Housekeeping
from issuer.keys.choice import key_wrappers
from issuer.keys.event_chain import EventSigners, read_chain, trust_in
from issuer.keys.generation import PrivateJwk
from issuer.keys.holders import KekHolders
from issuer.keys.key_list import read_list
from issuer.keys.key_service import KeyService
from issuer.keys.list_opening import ListOpening
from issuer.keys.listed_keys import ListedKeys
from issuer.keys.rewrapping import Rewrapping
from issuer.keys.signing import SigningThreads
from issuer.keys.succession import EventKeySuccession
from issuer.keys.upkeep import KeyUpkeep
from issuer.keys.vault import KeyVault
from issuer.leadership import Leadership
from issuer.leadership.choice import leader_lock
from issuer.limits.request_limits import RequestLimits
from issuer.lookups import Changes, Kind, Lookups, Remembered
from issuer.outbox.heartbeats import Heartbeats
from issuer.outbox.horizon import note_ceiling
from issuer.outbox.outbox import Outbox
from issuer.outbox.own_agent import OwnAgent
from issuer.outbox.relay import Relay
from issuer.outbox.snapshots import Snapshots
from issuer.pages import FormSeal, Pages
from issuer.parts import Parts
from issuer.proxies import Proxies
from issuer.recovery.recovery import Recovery
from issuer.revocations import RevocationService
from issuer.self_service import SelfService
from issuer.sessions import Cookies, SessionStore
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from issuer.store.migration import check_version, migrate
from issuer.tokens import TokenService, load_enhancers
from issuer.users import LoginThrottle, Passwords, UserStore
from issuer.users.login_rule import LoginRule
from verifier_agent.clocks import Clock, SystemClock
from verifier_agent.hot import Live
from verifier_agent.hot.following import Following

log = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 64 * 1024
CHECK_AGAIN_SECONDS: Final = 5.0


@asynccontextmanager
async def running_services(
    settings: IssuerSettings, clock: Clock | None = None, followed: Following | None = None
) -> AsyncIterator[Services]:
    """Build everything, keep its tasks running, and take it down again.

    Args:
        settings: of this process.
        clock: the machine's by default.
        followed: what keeps these settings up to date, if anything does.

    Raises:
        SettingInvalid: a setting cannot be used.
        StoreUninitialised: the store lacks tables or an event key.
        StoreUnavailable: the store does not answer.
        SealBroken: the key-encryption key is another one.
        WrapperUnavailable: what holds it does not answer.
    """
    clock = clock or SystemClock()
    live = Live(settings) if followed is None else followed.configuration.live(IssuerSettings)
    async with AsyncExitStack() as stack:
        wrappers = await key_wrappers(settings)
        database = Database(settings.store)
        stack.push_async_callback(database.close)
        await (migrate(database) if settings.migrate else check_version(database))
        vault = KeyVault(database, wrappers)
        await vault.check()
        opening = ListOpening(wrappers, settings.signing_algorithms)
        signers, trust = await _event_keys(settings, database, vault)
        event_log = open_log(settings.log, Retention.covering(settings.token_lifetime_ceiling))
        stack.push_async_callback(event_log.close)
        outbox = Outbox(database, signers)
        lookups: dict[Kind, Lookups[Any]] = {kind: Lookups(Remembered(random.random), clock.boot) for kind in Kind}
        for each in lookups.values():
            stack.push_async_callback(each.close)
        opener, holder = EventOpener(trust), secrets.token_hex(16)
        own_agent = OwnAgent(database, outbox, trust, settings.skew, clock, Changes(lookups), opener)
        source = StoreSource(database, outbox, Heartbeats(database, outbox, clock), clock)
        feed = Feed(source, settings.feed_readers)
        kek_holders = KekHolders(database, wrappers, holder)
        relay = Relay(database, outbox, event_log, opener, holder, clock, also=[feed])
        lock = leader_lock(settings, database, holder, clock, followed, stack)
        leadership = Leadership(lock, database, holder, clock)
        keys = KeyService(database, outbox, vault, settings.signing_algorithms, lambda: live.now.key_policy())  # noqa: PLW0108 - as it is when asked
        listed_keys = ListedKeys(database, vault, keys, opening)
        standing = Standing(settings.issuer)
        own_agent.also_tell(standing.hear)
        revocations = RevocationService(settings, database, outbox, own_agent, relay)
        clients = ClientStore(database, lookups[Kind.CLIENT])
        await outbox.initialise()
        throttle = LoginThrottle(database, LoginRule(settings.login_attempts, settings.login_max_delay))
        passwords = Passwords()
        stack.callback(passwords.close)
        families = FamilyStore(live, database, revocations)
        threads = SigningThreads()
        stack.callback(threads.close)
        parts = Parts(
            live=live,
            clock=clock,
            users=UserStore(database, passwords, throttle, lookups[Kind.USER]),
            families=families,
            own_agent=own_agent,
            sessions=SessionStore(live, database, standing, revocations),
            codes=CodeStore(live, database, families, revocations),
            devices=DeviceStore(database, families, UserCodeGuesses(database)),
        )
        services = Services(
            followed=followed,
            database=database,
            clients=clients,
            lookups=lookups,
            assertions=ClientAssertions(settings.issuer, settings.skew, database, clients, clock),
            parts=parts,
            standing=standing,
            grants=load_grants(parts),
            tokens=TokenService(live, keys, own_agent, load_enhancers(parts), standing, clock, threads),
            keys=keys,
            listed_keys=listed_keys,
            revocations=revocations,
            own_agent=own_agent,
            leadership=leadership,
            relay=relay,
            feed=feed,
            fleet=Fleet(settings.issuer, database, clock),
            kek_holders=kek_holders,
            snapshots=Snapshots(own_agent, Heartbeats(database, outbox, clock), clock),
            pages=Pages(settings.issuer),
            seal=FormSeal(await vault.form_key()),
            cookies=Cookies(settings.issuer),
            consents=ConsentStore(database),
            self_service=SelfService(revocations),
            limits=RequestLimits(settings, clock),
            throttle=throttle,
            proxies=Proxies(settings.trusted_proxies, settings.proxy_header),
        )
        await kek_holders.say()
        stack.push_async_callback(_taken_back, kek_holders)
        await services.keys.initialise(await listed_keys.first_ever(read_list(live.now.signing_keys) or ()))
        await note_ceiling(database, settings.token_lifetime_ceiling)  # before any token is made under it
        async with database.read() as connection:
            await standing.load(connection)
        await services.own_agent.catch_up()
        await feed.start()
        await stack.enter_async_context(_background(services, event_log))
        yield services


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
    database = Database(settings.store)
    try:
        await migrate(database)
        vault = KeyVault(database, await key_wrappers(settings))
        await vault.create_event_key(heir)
        async with database.read() as connection:
            return trust_in(settings.issuer, await read_chain(connection))
    finally:
        await database.close()


async def _event_keys(
    settings: IssuerSettings, database: Database, vault: KeyVault
) -> tuple[EventSigners, IssuerTrust]:
    """Who signs, and whose signatures count.

    Raises:
        StoreUninitialised: the store lacks an event key.
        SealBroken, WrapperUnavailable: as ``KeyVault.open``.
    """
    async with database.read() as connection:
        chain = await read_chain(connection)
    trust, event_jwk = trust_in(settings.issuer, chain), await vault.event_key()
    known = {
        key.generation: EventSigner(settings.issuer, EventKey(event_jwk))
        for key in chain
        if key.kid == event_jwk["kid"]
    }
    return EventSigners(settings.issuer, vault, known), trust


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
        wrappers = await key_wrappers(settings)
        database = Database(settings.store)
        stack.push_async_callback(database.close)
        await (migrate(database) if settings.migrate and migrating else check_version(database))
        vault = KeyVault(database, wrappers)
        signers, trust = await _event_keys(settings, database, vault)
        event_log = open_log(settings.log, Retention.covering(settings.token_lifetime_ceiling))
        stack.push_async_callback(event_log.close)
        opener, clock = EventOpener(trust), SystemClock()
        yield Recovery(settings, database, event_log, vault, signers, opener, clock, progress, event_key)


@asynccontextmanager
async def rewrapping_of(settings: IssuerSettings) -> AsyncIterator[Rewrapping]:
    """What ``tocsin keys rewrap`` works with: the store and the key-encryption keys. Errors as of ``keys_of``."""
    database = Database(settings.store)
    try:
        wrappers = await key_wrappers(settings)
        await check_version(database)
        yield Rewrapping(database, wrappers)
    finally:
        await database.close()


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
    database = Database(settings.store)
    try:
        vault = KeyVault(database, await key_wrappers(settings))
        await check_version(database)
        signers, _ = await _event_keys(settings, database, vault)
        outbox = Outbox(database, signers)
        await outbox.initialise()
        service = KeyService(database, outbox, vault, settings.signing_algorithms)
        await service.initialise()
        yield service
    finally:
        await database.close()


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
    database = Database(settings.store)
    try:
        vault = KeyVault(database, await key_wrappers(settings))
        await check_version(database)
        signers = EventSigners(settings.issuer, vault) if lost else (await _event_keys(settings, database, vault))[0]
        outbox = Outbox(database, signers)
        token_keys = KeyService(database, outbox, vault, settings.signing_algorithms)
        if not lost:  # where no issuer has run yet, a stream does not begin with the end of its key
            await outbox.initialise()
            await token_keys.initialise()
        yield EventKeySuccession(settings.issuer, database, vault, outbox, token_keys)
    finally:
        await database.close()


async def _taken_back(holders: KekHolders) -> None:
    """It stops; should the store be away, its word ends by itself."""
    with suppress(StoreUnavailable):
        await holders.take_back()


def create_app(
    settings: IssuerSettings,
    clock: Clock | None = None,
    followed: Following | None = None,
    siblings: Siblings | None = None,
) -> web.Application:
    """The HTTP application; its services start and stop with it.

    Arguments as of ``running_services``, and ``siblings``, the workers beside this process.
    """
    outermost = [request_ids, access_log] if settings.access_log else [request_ids]
    app = web.Application(middlewares=[*outermost, counted, errors], client_max_size=MAX_BODY_BYTES)
    app[ANSWERS], app[DRAINING], app[CLOCK] = Counter(), Draining(), clock or SystemClock()
    add_routes(app)
    add_routes_below(app, settings.issuer)

    async def services(app: web.Application) -> AsyncIterator[None]:
        async with running_services(settings, clock, followed) as built:
            app[SERVICES] = built
            if siblings is None:
                yield
                return
            app[SIBLINGS] = siblings
            async with siblings.told(lambda: own_metrics(app)):
                yield

    app.cleanup_ctx.append(services)
    app.on_shutdown.append(_end_feed)
    return app


async def _end_feed(app: web.Application) -> None:
    app[SERVICES].feed.end()


@asynccontextmanager
async def _background(services: Services, event_log: EventLog) -> AsyncIterator[None]:
    """Run what goes on beside the requests; when one of these fails, say so and stop the process.

    An issuer whose relay has died would answer 201 to revocations that nobody hears.

    Raises:
        BackgroundTaskFailed: one has failed; everything has been taken down.
    """
    housekeeping = Housekeeping(
        services.database,
        services.keys,
        services.own_agent,
        services.relay,
        services.settings.token_lifetime_ceiling,
        services.families,
        services.standing,
        services.leadership,
        services.kek_holders,
        also_purge=[
            *(services.assertions, services.fleet, services.throttle),
            *(services.parts.sessions, services.parts.codes, services.parts.devices),
        ],
    )
    retention = Retention.covering(services.settings.token_lifetime_ceiling)
    listener = AgentsListener(
        services.fleet, lambda: open_log(services.settings.log, retention), lambda: services.relay.leads
    )
    upkeep = KeyUpkeep(
        services.keys,
        services.own_agent,
        services.listed_keys,
        services.parts.live,
        services.leadership,
        housekeeping.advance_keys,
        housekeeping.tell,
        services.followed,
    )
    services.relay.also_tell(upkeep)
    tasks = [
        asyncio.create_task(upkeep.run(), name="key-upkeep"),
        asyncio.create_task(services.own_agent.run(services.relay.look), name="own-agent"),
        asyncio.create_task(services.own_agent.stay_awake(), name="awake"),
        asyncio.create_task(services.relay.run(), name="relay"),
        asyncio.create_task(services.leadership.run(), name="leadership"),
        asyncio.create_task(services.feed.run(), name="feed"),
        asyncio.create_task(housekeeping.run(), name="housekeeping"),
        asyncio.create_task(services.self_service.run(), name="self-service"),
        asyncio.create_task(_report_faults(event_log), name="log-check"),
        asyncio.create_task(services.fleet.run(), name="fleet"),
        asyncio.create_task(listener.run(), name="agents-stream"),
    ]
    for task in tasks:
        task.add_done_callback(_stop_if_failed)
    failed: list[str] = []
    try:
        yield
    finally:
        failed += [task.get_name() for task in tasks if _has_failed(task)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if failed:  # whoever restarts processes must see that this one did not end because it was told to
        raise BackgroundTaskFailed(f"stopped, because {' and '.join(failed)} failed; the log says how")


def _has_failed(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None


def _stop_if_failed(task: asyncio.Task[None]) -> None:
    if not _has_failed(task):
        return
    log.critical("background_task_failed", extra={"task": task.get_name()}, exc_info=task.exception())
    for _ in range(2):  # the second one says that there is no time to drain
        signal.raise_signal(signal.SIGTERM)


async def _report_faults(event_log: EventLog) -> None:
    """Say by name what is wrong with how the log is set up, as soon as it answers."""
    while True:
        try:
            for fault in await event_log.check():
                log.error("event_log_misconfigured", extra={"fault": fault})
        except LogError:
            await asyncio.sleep(CHECK_AGAIN_SECONDS)
        else:
            return
