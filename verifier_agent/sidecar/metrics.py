"""The agent's metrics, read from it when Prometheus asks."""

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from verifier_agent.agent import Agent
from verifier_agent.fleet import FleetReport
from verifier_agent.report import ForeignReport, RedisReport
from verifier_agent.saved.report import StoreReport


class AgentMetrics(Collector):
    """Counts verdicts, and reads the rest from the agent's status.

    Attributes:
        registry: holds these metrics alone.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._verdicts: Counter[str] = Counter()
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def count(self, verdict: str) -> None:
        """Count one answer of ``/verify``."""
        self._verdicts[str(verdict)] += 1

    def collect(self) -> Iterator[Metric]:
        """See ``Collector.collect``."""
        status = self._agent.status()
        verdicts = CounterMetricFamily("tocsin_verdicts", "Answers of /verify", labels=["verdict"])
        for verdict, count in self._verdicts.items():
            verdicts.add_metric([verdict], count)
        yield verdicts
        refused = CounterMetricFamily("tocsin_events_refused", "Events that did not take effect", labels=["code"])
        for code, count in status.refused.items():
            refused.add_metric([code], count)
        yield refused
        yield CounterMetricFamily("tocsin_log_failures", "Failed attempts to read a log", value=status.log_failures)
        failovers = "Times that the fallback log was begun with"
        yield CounterMetricFamily("tocsin_log_failovers", failovers, value=status.log_failovers)
        reading = GaugeMetricFamily("tocsin_log_read", "1 for the log that is relied on", labels=["log"])
        for name in ("log", "fallback_log"):
            reading.add_metric([name], status.log_read == name)
        yield reading
        error = GaugeMetricFamily("tocsin_log_error", "1 for a log that could not be read when tried", labels=["log"])
        for name in ("log", "fallback_log"):
            error.add_metric([name], name in status.log_errors)
        yield error
        freshness = float("inf") if status.freshness is None else status.freshness
        yield GaugeMetricFamily("tocsin_freshness_seconds", "Age of what is known; +Inf if never complete", freshness)
        skew = status.clock_skew or 0.0
        yield GaugeMetricFamily("tocsin_clock_skew_seconds", "Our clock ahead of the issuer's", skew)
        yield GaugeMetricFamily("tocsin_forks", "Streams that contradict themselves", len(status.forks))
        revocations = GaugeMetricFamily("tocsin_revocations", "Revocations in force", labels=["kind"])
        revocations.add_metric(["selector"], status.selectors)
        revocations.add_metric(["digest"], status.digests)
        yield revocations
        yield from _foreign(status.foreign)
        yield from _stores(status.stores)
        started = GaugeMetricFamily("tocsin_started_from", "1 for what the agent started from", labels=["source"])
        started.add_metric([status.started_from], 1)
        yield started
        yield GaugeMetricFamily("tocsin_stale", "1 when what is known is older than max_staleness", status.stale)
        if status.redis is not None:
            yield from _redis(status.redis)
        if status.fleet is not None:
            yield from _fleet(status.fleet)


def _stores(stores: Mapping[str, StoreReport]) -> Iterator[Metric]:
    """Of where the agent saves to."""
    age = GaugeMetricFamily("tocsin_snapshot_age_seconds", "Age of the saved snapshot; +Inf if none", labels=["store"])
    unsaved = GaugeMetricFamily("tocsin_unsaved_events", "Events that wait to be saved", labels=["store"])
    dropped = CounterMetricFamily("tocsin_dropped_events", "Events that waited too long", labels=["store"])
    failures = CounterMetricFamily("tocsin_store_failures", "What went wrong with a store", labels=["store", "code"])
    read_only = GaugeMetricFamily("tocsin_store_read_only", "1 where another agent saves", labels=["store"])
    for store, report in stores.items():
        read_only.add_metric([store], report.read_only)
        age.add_metric([store], float("inf") if report.snapshot_age is None else report.snapshot_age)
        unsaved.add_metric([store], report.unsaved)
        dropped.add_metric([store], report.dropped)
        for code, count in report.failures.items():
            failures.add_metric([store, code], count)
    yield from (age, read_only, unsaved, dropped, failures)


def _fleet(report: FleetReport) -> Iterator[Metric]:
    """Of what the agent says of itself."""
    yield GaugeMetricFamily("tocsin_enrolled", "1 when the issuer counts this agent", report.enrolled)
    yield CounterMetricFamily("tocsin_statuses_said", "Statuses that went out", report.said)
    yield CounterMetricFamily("tocsin_statuses_failed", "Attempts to enrol or to say one that failed", report.failures)


def _redis(report: RedisReport) -> Iterator[Metric]:
    """Of Redis."""
    yield CounterMetricFamily("tocsin_redis_failures", "Calls of Redis that failed", report.failures)
    yield GaugeMetricFamily("tocsin_redis_available", "1 when Redis answers", report.breaker == "closed")
    yield GaugeMetricFamily("tocsin_redis_writes", "1 at the agent that writes to Redis", report.writes)
    if report.deny_list_level is not None:
        level = report.deny_list_level
        yield GaugeMetricFamily("tocsin_deny_list_level", "1 when the deny-list holds all that is known", level)


def _foreign(issuers: Mapping[str, ForeignReport]) -> Iterator[Metric]:
    """Of foreign issuers and their keys."""
    usable = GaugeMetricFamily("tocsin_foreign_keys", "Keys of a foreign issuer that verify", labels=["issuer"])
    asked = CounterMetricFamily("tocsin_jwks_refreshes", "Attempts to read its keys", labels=["issuer", "result"])
    absent = CounterMetricFamily("tocsin_unknown_kids", "Unknown keys asked for", labels=["issuer", "answer"])
    for issuer, report in issuers.items():
        usable.add_metric([issuer], len(report.keys) if report.usable else 0)
        asked.add_metric([issuer, "good"], report.refreshes)
        asked.add_metric([issuer, "failed"], report.failures)
        absent.add_metric([issuer, "absent"], report.negative_hits)
        absent.add_metric([issuer, "cooling_down"], report.refused_by_cool_down)
    yield from (usable, asked, absent)
