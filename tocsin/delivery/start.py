"""How long an agent takes to start with a million revocations: warm from its folder or Redis, and by replay."""

import asyncio
import secrets
import tempfile
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from events import Heartbeat, SignedEvent, Snapshot, Stream
from events.log import Retention, open_log, prepare_log
from tocsin.own_topics import own_topics
from tocsin.resident import in_fresh_process
from tocsin.verification.issuer import MeasuredIssuer, digest_batches
from verifier_agent import Verifier
from verifier_agent.clocks import SystemClock
from verifier_agent.saved import SealedSnapshot
from verifier_agent.saved.disk import DiskStore

TRUST: Final = "trust.json"
STATE: Final = "state"
WAYS: Final = {
    "disk": "from its folder, nothing new in the log",
    "redis": "from Redis, nothing new in the log",
    "sqlite": "by replay, log in an SQLite file",
    "kafka": "by replay, log in Kafka",
    "disk kafka": "from its folder, log in Kafka",
}


def measure_start(*, digests: int, selectors: int, runs: int, kafka: str | None, redis: str | None) -> dict[str, Any]:
    """Each way in processes that have done nothing before; as JSON values.

    Args:
        digests: revoked tokens, in batches of 50,000.
        selectors: revocations by selector, of one subject each.
        runs: of each way.
        kafka: URL of a broker, or ``None``.
        redis: URL of a server, or ``None``.
    """
    issuer = MeasuredIssuer("ES256", tokens=1)
    events = [*issuer.opening[:2], *_revocations(issuer, digests, selectors)]
    events.append(issuer.beat(events[0], events[-1]))
    with tempfile.TemporaryDirectory(prefix="tocsin-start-") as name:
        folder = Path(name)
        issuer.trust.save(folder / TRUST)
        logs = {"sqlite": f"sqlite:///{folder}/events.db"}
        if kafka is not None:
            logs["kafka"] = str(own_topics(kafka, "bench"))
        for log in logs.values():
            asyncio.run(_fill(log, events))
        snapshot, making = _snapshot(issuer, events)
        asyncio.run(_save(snapshot, folder / STATE))
        ways: dict[str, tuple[str, ...]] = {"disk": (logs["sqlite"], STATE), "sqlite": (logs["sqlite"],)}
        if redis is not None:
            prefix = f"tocsin-bench-{secrets.token_hex(6)}:"
            asyncio.run(_share(snapshot, redis, prefix, issuer))
            ways["redis"] = (logs["sqlite"], "", redis, prefix)
        if "kafka" in logs:
            ways |= {"kafka": (logs["kafka"],), "disk kafka": (logs["kafka"], STATE)}
        found = {
            way: [in_fresh_process("tocsin.delivery.starting_agent", name, *ways[way]) for _ in range(runs)]
            for way in WAYS
            if way in ways
        }
        if redis is not None:
            asyncio.run(clear(redis, prefix))
    return {"digests": digests, "selectors": selectors, "making": making, "runs": found}


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


def _snapshot(issuer: MeasuredIssuer, events: Sequence[SignedEvent]) -> tuple[SealedSnapshot, dict[str, float]]:
    """All that was said, sealed as the issuer does, and how long that holds its event loop at most."""
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
    making = {"seconds": seconds, "longest_piece": longest, "bytes": len(data)}
    return SealedSnapshot(issuer.say(Stream.HEARTBEATS, seal).text, data), making


async def _save(snapshot: SealedSnapshot, folder: Path) -> None:
    store = DiskStore(folder)
    await store.replace(snapshot, [])
    await store.close()


async def _share(snapshot: SealedSnapshot, url: str, prefix: str, issuer: MeasuredIssuer) -> None:
    from verifier_agent.redis import RedisConnection, RedisPlace, RedisStateStore  # noqa: PLC0415 - an extra
    from verifier_agent.redis.keys import RedisKeys  # noqa: PLC0415
    from verifier_agent.redis.lease import RedisLease  # noqa: PLC0415

    clock, keys = SystemClock(), RedisKeys(prefix, issuer.trust.issuer)
    connection = RedisConnection(RedisPlace.parse(url), clock, answer_seconds=5.0)
    store = RedisStateStore(connection, keys, RedisLease(connection, keys, clock))
    try:
        await store.replace(snapshot, [])
    finally:
        await store.close()
        await connection.close()


async def clear(url: str, prefix: str) -> None:
    """Remove the keys with this prefix from a Redis."""
    from redis.asyncio import Redis  # noqa: PLC0415 - an extra

    async with Redis.from_url(url) as client:
        async for key in client.scan_iter(match=f"{prefix}*", count=1000):
            await client.delete(key)
