"""``/metrics`` of several workers: whoever is asked asks the others, and says of each sample whose it is.

A scrape reaches any one of the workers. Counters of one worker now and of another then would be of no use, and sums
cannot be taken apart. So each has a socket in a folder of their own, where it tells the others its metrics alone.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector, web
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

ANSWER_SECONDS: Final = 2.0
"""Longest that another worker may take to tell its metrics."""

Own = Callable[[], Awaitable[bytes]]


@dataclass(frozen=True)
class Siblings:
    """The workers that listen on one port.

    Attributes:
        index: which of them this process is, from 0.
        count: how many there are.
        folder: where their sockets are; nobody else can look there.
    """

    index: int
    count: int
    folder: Path

    @asynccontextmanager
    async def told(self, own: Own) -> AsyncIterator[None]:
        """Tell the others this process's metrics, while the block lasts."""
        app = web.Application()

        async def metrics(_request: web.Request) -> web.Response:
            return web.Response(body=await own())

        app.router.add_get("/metrics", metrics)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=ANSWER_SECONDS)
        await runner.setup()
        try:
            await web.UnixSite(runner, str(self._socket(self.index))).start()
            yield
        finally:
            await runner.cleanup()

    async def metrics(self, own: Own) -> "WorkersMetrics":
        """Those of all; of one that does not answer in time it is said that it is not up."""
        others = [index for index in range(self.count) if index != self.index]
        texts = await asyncio.gather(*(self._ask(index) for index in others))
        found: dict[int, bytes | None] = {self.index: await own(), **dict(zip(others, texts, strict=True))}
        return WorkersMetrics(dict(sorted(found.items())))

    async def _ask(self, index: int) -> bytes | None:
        connector = UnixConnector(str(self._socket(index)))
        try:
            async with (
                ClientSession(connector=connector, timeout=ClientTimeout(total=ANSWER_SECONDS)) as session,
                session.get("http://worker/metrics", raise_for_status=True) as answer,
            ):
                return await answer.read()
        except (ClientError, OSError, TimeoutError):
            return None

    def _socket(self, index: int) -> Path:
        return self.folder / f"{index}.socket"


class WorkersMetrics(Collector):
    """Metrics of several workers as one document: each family once, each sample with its ``worker``."""

    def __init__(self, texts: Mapping[int, bytes | None]) -> None:
        self._texts = texts

    def collect(self) -> Iterator[Metric]:
        """See ``Collector.collect``."""
        up = GaugeMetricFamily("tocsin_worker_up", "1 for a worker that told its metrics", labels=["worker"])
        families: dict[str, Metric] = {}
        for index, text in self._texts.items():
            up.add_metric([str(index)], text is not None)
            for family in text_string_to_metric_families((text or b"").decode()):
                whole = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    whole.add_sample(sample.name, {**sample.labels, "worker": str(index)}, sample.value)
        yield up
        yield from families.values()


SIBLINGS: Final = web.AppKey("siblings", Siblings)
