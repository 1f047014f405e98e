"""How long an agent takes to start with a million revocations: from its folder, and by replay of the log."""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from benchmarks.benchmark import Benchmark, Document, Table
from benchmarks.plots import bars
from benchmarks.resident import in_fresh_process
from benchmarks.starting_agent import TRUST
from events import Heartbeat, SignedEvent, Snapshot, Stream
from events.log import Retention, open_log, prepare_log
from tocsin.own_topics import own_topics
from tocsin.verification.issuer import MeasuredIssuer, digest_batches
from verifier_agent import Verifier
from verifier_agent.saved import SealedSnapshot
from verifier_agent.saved.disk import DiskStore

STATE: Final = "state"
WAYS: Final = {
    "disk": "from its folder, nothing new in the log",
    "sqlite": "by replay, log in an SQLite file",
    "kafka": "by replay, log in Kafka",
    "disk kafka": "from its folder, log in Kafka",
}


def measure(options: argparse.Namespace) -> Document:
    """Each way in processes that have done nothing before."""
    issuer = MeasuredIssuer("ES256", tokens=1)
    events = [*issuer.opening[:2], *_revocations(issuer, options.digests, options.selectors)]
    events.append(issuer.beat(events[0], events[-1]))
    with tempfile.TemporaryDirectory(prefix="tocsin-start-") as name:
        folder = Path(name)
        issuer.trust.save(folder / TRUST)
        logs = {"sqlite": f"sqlite:///{folder}/events.db"}
        if options.kafka is not None:
            logs["kafka"] = str(own_topics(options.kafka, "bench"))
        for log in logs.values():
            asyncio.run(_fill(log, events))
        making = asyncio.run(_save(issuer, events, folder / STATE))
        ways: dict[str, tuple[str, ...]] = {"disk": (logs["sqlite"], STATE), "sqlite": (logs["sqlite"],)}
        if "kafka" in logs:
            ways |= {"kafka": (logs["kafka"],), "disk kafka": (logs["kafka"], STATE)}
        runs = {
            way: [in_fresh_process("benchmarks.starting_agent", name, *how) for _ in range(options.runs)]
            for way, how in ways.items()
        }
    return {"digests": options.digests, "selectors": options.selectors, "making": making, "runs": runs}


def _revocations(issuer: MeasuredIssuer, digests: int, selectors: int) -> list[SignedEvent]:
    batches = [issuer.revoke_digests(packed) for packed in digest_batches(digests)]
    return [*batches, *(issuer.unrelated() for _ in range(selectors))]


async def _fill(url: str, events: Sequence[SignedEvent]) -> None:
    await prepare_log(url, Retention())
    log = open_log(url)
    try:
        for stream in Stream:
            texts = [event.text for event in events if event.stream is stream]
            for start in range(0, len(texts), 500):
                await log.append(stream, texts[start : start + 500])
    finally:
        await log.close()


async def _save(issuer: MeasuredIssuer, events: Sequence[SignedEvent], folder: Path) -> dict[str, float]:
    """Seal all that was said as the issuer does, and say how long that holds its event loop at most."""
    verifier = Verifier(issuer.trust)
    for event in events:
        verifier.apply(event.stream, event.text)
    beat = events[-1].record
    if not isinstance(beat, Heartbeat):
        raise TypeError("the last event is a heartbeat")
    began = before = time.thread_time()
    pieces, longest = [], 0.0
    for piece in verifier.state.dump_slowly():
        pieces.append(piece)
        now = time.thread_time()
        longest, before = max(longest, now - before), now
    seconds, data = time.thread_time() - began, b"".join(pieces)
    seal = Snapshot(sha256=sha256(data).hexdigest(), size=len(data), time=beat.time, heads=beat.heads)
    store = DiskStore(folder)
    await store.replace(SealedSnapshot(issuer.say(Stream.HEARTBEATS, seal).text, data), [])
    await store.close()
    return {"seconds": seconds, "longest_piece": longest, "bytes": len(data)}


def tables(document: Document) -> Sequence[Table]:
    """Times of each run, the fastest first."""
    title = f"Start with {document['digests']:,} digests and {document['selectors']:,} selectors, seconds"
    rows = []
    for way, runs in document["runs"].items():
        ready = sorted(run["ready"] for run in runs)
        known = min(run["recalled"] for run in runs) if runs[0]["from"] != "log" else None
        memory = f"{runs[0]['resident'] / 1e6:.0f}"
        cpu = f"{min(run['cpu'] for run in runs):.2f}"
        times = (f"{ready[0]:.2f}", f"{ready[len(ready) // 2]:.2f}", f"{ready[-1]:.2f}")
        rows.append((WAYS[way], "-" if known is None else f"{known:.2f}", *times, cpu, memory))
    making = document["making"]
    made = (f"{making['seconds']:.2f}", f"{1000 * making['longest_piece']:.1f}", f"{making['bytes'] / 1e6:.1f}")
    return [
        Table(title, ["", ">VERIFYING", ">READY, BEST", ">MEDIAN", ">WORST", ">CPU, BEST", ">RESIDENT, MB"], rows),
        Table("The issuer makes the snapshot (its CPU time)", [">SECONDS", ">LONGEST PIECE, ms", ">MB"], [made]),
    ]


def draw(figure: Any, document: Document) -> None:
    """The medians."""
    figure.set_size_inches(9, 2.2)
    medians = {
        WAYS[way]: sorted(run["ready"] for run in runs)[len(runs) // 2] for way, runs in document["runs"].items()
    }
    bars(figure.subplots(), medians, ours=[WAYS["disk"]], unit="s")


BENCHMARK: Final = Benchmark(
    name="start",
    what=__doc__ or "",
    measure=measure,
    tables=tables,
    draw=draw,
    arguments={
        "digests": (1_000_000, "in batches of 50,000"),
        "selectors": (100_000, "of one subject each"),
        "runs": (5, "of each way"),
        "kafka": (None, "URL of a broker, kafka://host:port; topics of our own are made there"),
    },
)

if __name__ == "__main__":
    BENCHMARK.main()
