"""The one place where the issuer is put together."""

import asyncio
import logging
import random
import secrets
import signal
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final

from aiohttp import web

from events import EventOpener, LogError
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
from issuer.keys.holders import KekHolders
from issuer.keys.key_list import read_list
from issuer.keys.key_service import KeyService
from issuer.keys.list_opening import ListOpening
from issuer.keys.listed_keys import ListedKeys
from issuer.keys.signing import SigningThreads
from issuer.keys.upkeep import KeyUpkeep
from issuer.leadership import Leadership
from issuer.leadership.choice import leader_lock
from issuer.limits.request_limits import RequestLimits
from issuer.lookups import Changes, Kind, Lookups, Remembered
from issuer.opened_store import opened_store
from issuer.outbox.heartbeats import Heartbeats
from issuer.outbox.horizon import note_ceiling
from issuer.outbox.outbox import Outbox
from issuer.outbox.own_agent import OwnAgent
from issuer.outbox.relay import Relay
from issuer.outbox.snapshots import Snapshots
from issuer.pages import FormSeal, Pages
from issuer.parts import Parts
from issuer.proxies import Proxies
from issuer.revocations import RevocationService
from issuer.self_service import SelfService
from issuer.sessions import Cookies, SessionStore
from issuer.settings import IssuerSettings
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
    """Build everything, bring it up to date, keep its tasks running, and take it down again.

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
    async with AsyncExitStack() as stack:
        services, event_log = await _built(settings, clock or SystemClock(), followed, stack)
        await services.kek_holders.say()
        stack.push_async_callback(_taken_back, services.kek_holders)
        listed = read_list(services.parts.live.now.signing_keys) or ()
        await services.keys.initialise(await services.listed_keys.first_ever(listed))
        await note_ceiling(services.database, settings.token_lifetime_ceiling)  # before any token is made under it
        async with services.database.read() as connection:
            await services.standing.load(connection)
        await services.own_agent.catch_up()
        await services.feed.start()
        await stack.enter_async_context(_background(services, event_log))
        yield services


async def _built(
    settings: IssuerSettings, clock: Clock, followed: Following | None, stack: AsyncExitStack
) -> tuple[Services, EventLog]:
    """Everything, and nothing of it running yet; what must be closed is left to ``stack``."""
    live = Live(settings) if followed is None else followed.configuration.live(IssuerSettings)
    database, vault = await stack.enter_async_context(opened_store(settings, migrating=settings.migrate))
    await vault.check()
    opening = ListOpening(vault.wrappers, settings.signing_algorithms)
    signers, trust = await vault.event_signers(settings.issuer)
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
    kek_holders = KekHolders(database, vault.wrappers, holder)
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
    return services, event_log


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
    work = {
        "key-upkeep": upkeep.run(),
        "own-agent": services.own_agent.run(services.relay.look),
        "awake": services.own_agent.stay_awake(),
        "relay": services.relay.run(),
        "leadership": services.leadership.run(),
        "feed": services.feed.run(),
        "housekeeping": housekeeping.run(),
        "self-service": services.self_service.run(),
        "log-check": _report_faults(event_log),
        "fleet": services.fleet.run(),
        "agents-stream": listener.run(),
    }
    async with _tended(work):
        yield


@asynccontextmanager
async def _tended(work: Mapping[str, Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run all of it, each by its name.

    Raises:
        BackgroundTaskFailed: one has failed; the others have been ended.
    """
    tasks = [asyncio.create_task(each, name=name) for name, each in work.items()]
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
