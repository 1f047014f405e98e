"""``GET /metrics``: what the issuer counts and knows, for Prometheus."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from events.streams import SEQUENCED
from issuer.endpoints.access_log import route_of
from issuer.endpoints.services import SERVICES, Services
from issuer.endpoints.siblings import SIBLINGS
from issuer.errors import StoreUnavailable
from issuer.feed.feed import Feed
from issuer.fleet import Fleet
from issuer.fleet.member import Standing
from issuer.lookups import Kind, Lookups
from issuer.outbox.relay import RelayState
from issuer.users.login_queue import LoginQueue

ANSWERS: Final = web.AppKey("answers", Counter[tuple[str, int]])


@web.middleware
async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count every answer by its route, not its address: a metric must not grow with what callers make up."""
    response = await handler(request)
    request.app[ANSWERS][route_of(request), response.status] += 1
    return response


async def metrics(request: web.Request) -> web.Response:
    """The metrics of this process, and of all workers beside it, each sample with its worker."""

    async def own() -> bytes:
        return await own_metrics(request.app)

    siblings = request.app.get(SIBLINGS)
    body = await own() if siblings is None else _exposed(await siblings.metrics(own))
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def own_metrics(app: web.Application) -> bytes:
    """The metrics of this process alone."""
    return _exposed(await _IssuerMetrics.read(app))


def _exposed(collector: Collector) -> bytes:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry)


class _IssuerMetrics(Collector):
    """A snapshot: what has to be awaited has been read before."""

    def __init__(self, app: web.Application, published: dict[str, int], agents: Counter[Standing]) -> None:
        self._app = app
        self._published = published
        self._agents = agents

    @classmethod
    async def read(cls, app: web.Application) -> "_IssuerMetrics":
        relay = app[SERVICES].relay
        try:
            published = {str(stream): await relay.published(stream) for stream in SEQUENCED}
            members, now = await app[SERVICES].fleet.members()
        except StoreUnavailable:
            return cls(app, {}, Counter())  # when the store is away, the other metrics are wanted most
        return cls(app, published, Counter(member.standing(now) for member in members))

    def collect(self) -> Iterator[Metric]:
        """See ``Collector.collect``."""
        services = self._app[SERVICES]
        state = services.own_agent.verifier.state
        answers = CounterMetricFamily("tocsin_http_answers", "Answers, by route and status", labels=["route", "status"])
        for (route, status), count in self._app[ANSWERS].items():
            answers.add_metric([route, str(status)], count)
        yield answers
        decided = GaugeMetricFamily("tocsin_stream_decided", "Newest seq known to this process", labels=["stream"])
        published = GaugeMetricFamily("tocsin_stream_published", "Newest seq in the event log", labels=["stream"])
        for stream, sequence in state.sequences.items():
            decided.add_metric([stream], sequence.contiguous())
            if stream in self._published:
                published.add_metric([stream], self._published[stream])
        yield decided
        yield published
        relay = GaugeMetricFamily("tocsin_relay_state", "1 for the state of this process's relay", labels=["state"])
        for name in RelayState:
            relay.add_metric([name], services.relay.state is name)
        yield relay
        revocations = GaugeMetricFamily("tocsin_revocations", "Revocations in force", labels=["kind"])
        revocations.add_metric(["selector"], state.revocations.selectors)
        revocations.add_metric(["digest"], state.revocations.digests)
        yield revocations
        yield from _feed(services.feed)
        yield from _fleet(services.fleet, self._agents)
        yield from _limits(services)
        yield from _self_service(services)
        yield from _lookups(services.lookups)
        yield from _logins(services.users.queue)


def _limits(services: Services) -> Iterator[Metric]:
    refused = CounterMetricFamily("tocsin_rate_limited", "Requests answered 429, by limit", labels=["limit"])
    for limit, count in services.limits.refused.items():
        refused.add_metric([limit], count)
    refused.add_metric(["login"], services.throttle.refused)
    yield refused
    ignored = CounterMetricFamily(
        "tocsin_proxy_header_ignored", "Headers about a client's address not believed", labels=["reason"]
    )
    for reason, count in services.proxies.ignored.items():
        ignored.add_metric([reason], count)
    yield ignored


def _self_service(services: Services) -> Iterator[Metric]:
    given_back, turns = services.self_service, services.database.turns
    groups = CounterMetricFamily("tocsin_self_service_groups", "Groups of RFC 7009 revocations", labels=["outcome"])
    groups.add_metric(["committed"], given_back.groups)
    groups.add_metric(["failed"], given_back.failed)
    yield groups
    yield CounterMetricFamily("tocsin_self_service_tokens", "Tokens that clients gave back", value=given_back.tokens)
    yield GaugeMetricFamily("tocsin_self_service_waiting", "Tokens not committed yet", value=given_back.waiting)
    waiting = GaugeMetricFamily("tocsin_store_writers_waiting", "Transactions that wait to write", labels=["queue"])
    for queue, count in zip(("urgent", "ordinary"), turns.waiting, strict=True):
        waiting.add_metric([queue], count)
    yield waiting


def _logins(queue: LoginQueue) -> Iterator[Metric]:
    yield GaugeMetricFamily("tocsin_logins_waiting", "Logins that wait for their turn", value=queue.waiting)
    yield CounterMetricFamily("tocsin_logins_turned_away", "Logins that found the line full", value=queue.refused)


def _feed(feed: Feed) -> Iterator[Metric]:
    yield GaugeMetricFamily("tocsin_feed_readers", "Connections to the event feed", value=feed.readers)
    told = CounterMetricFamily("tocsin_feed_events", "Events sent by the event feed", labels=["stream"])
    for stream, count in feed.told.items():
        told.add_metric([stream], count)
    yield told
    cut_off = CounterMetricFamily("tocsin_feed_cut_off", "Readers of the feed that were cut off", labels=["reason"])
    for reason, count in feed.cut_off.items():
        cut_off.add_metric([reason], count)
    yield cut_off


def _fleet(fleet: Fleet, agents: Counter[Standing]) -> Iterator[Metric]:
    standing = GaugeMetricFamily("tocsin_agents", "Enrolled agents, by how they stand", labels=["standing"])
    for name in Standing:
        standing.add_metric([name], agents[name])
    yield standing
    yield CounterMetricFamily("tocsin_agent_statuses", "Statuses of agents taken here", value=fleet.heard)
    refused = CounterMetricFamily("tocsin_agent_statuses_refused", "Statuses refused here", labels=["code"])
    for code, count in fleet.refused.items():
        refused.add_metric([code], count)
    yield refused


def _lookups(lookups: Mapping[Kind, Lookups[Any]]) -> Iterator[Metric]:
    """What became of each look-up, so the answers of a kind add up to all that were asked for."""
    asked = CounterMetricFamily("tocsin_lookups", "Look-ups, by how they were answered", labels=["kind", "answer"])
    dropped = CounterMetricFamily("tocsin_lookup_drops", "Changes for which something was let go of", labels=["kind"])
    held = GaugeMetricFamily("tocsin_lookups_held", "What is remembered", labels=["kind", "what"])
    for kind, each in lookups.items():
        asked.add_metric([kind, "held"], each.hits)
        asked.add_metric([kind, "known_absent"], each.empty_hits)
        asked.add_metric([kind, "loaded"], each.misses)
        asked.add_metric([kind, "waited"], each.waits)
        dropped.add_metric([kind], each.drops)
        for what, count in zip(("value", "absent"), each.sizes, strict=True):
            held.add_metric([kind, what], count)
    yield asked
    yield dropped
    yield held
