"""The issuer's feed over a source in memory, served on this machine."""

import asyncio
import datetime
import ipaddress
from collections.abc import Mapping, Sequence
from pathlib import Path
from ssl import SSLContext
from typing import Self

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from events import Stream, pack
from events.log import Entry, EventLog
from events.streams import FOLLOWED
from issuer.endpoints.events import tell
from issuer.endpoints.middleware import errors, request_ids
from issuer.feed.feed import Feed
from issuer.feed.source import Ends
from issuer.outbox.outbox import StoredEvent

MANY_READERS = 200


class KeptEvents:
    """Events numbered as an outbox does; ``below`` a floor they are gone.

    Attributes:
        floors: lowest ``seq`` that is live, of each stream.
        beats: how many heartbeats have been asked for.
        reads: how often events have been read.
        chain: successions of event keys.
    """

    def __init__(self) -> None:
        self.chain: list[StoredEvent] = []
        self.floors = dict.fromkeys(Stream, pack(1, 1))
        self.beats = 0
        self.reads = 0
        self._kept: dict[Stream, list[StoredEvent]] = {stream: [] for stream in Stream}

    def add(self, stream: Stream, *texts: bytes) -> list[StoredEvent]:
        """Decide something."""
        kept = self._kept[stream]
        added = [
            StoredEvent(stream, pack(1, number), f"{number}", text) for number, text in enumerate(texts, len(kept) + 1)
        ]
        kept += added
        return added

    def prune(self, stream: Stream, count: int) -> None:
        """Lose the oldest events."""
        del self._kept[stream][:count]
        self.floors[stream] = self._kept[stream][0].seq

    async def ends(self) -> Mapping[Stream, Ends]:
        """See ``EventSource.ends``."""
        return {
            stream: Ends(self.floors[stream], self._kept[stream][-1].seq if self._kept[stream] else 0)
            for stream in FOLLOWED
        }

    async def holds(self, stream: Stream, seq: int) -> bool:
        """See ``EventSource.holds``."""
        return any(event.seq == seq for event in self._kept[stream])

    async def after(self, stream: Stream, seq: int) -> Sequence[StoredEvent]:
        """See ``EventSource.after``."""
        self.reads += 1
        return [event for event in self._kept[stream] if event.seq > seq][:10]

    async def successions(self) -> Sequence[StoredEvent]:
        """See ``EventSource.successions``."""
        return self.chain

    async def beat(self) -> None:
        """See ``EventSource.beat``."""
        self.beats += 1


class ServedFeed:
    """A feed and its server.

    Attributes:
        url: of the feed.
        kept: its source.
        feed: what is served.
    """

    def __init__(self, url: str, kept: KeptEvents, feed: Feed, runner: web.AppRunner) -> None:
        self.url = url
        self.kept = kept
        self.feed = feed
        self._runner = runner
        self._following = asyncio.create_task(feed.run())

    @classmethod
    async def start(cls, kept: KeptEvents | None = None, *, tls: SSLContext | None = None) -> Self:
        """Serve ``kept``."""
        kept = kept or KeptEvents()
        feed = Feed(kept, MANY_READERS)
        await feed.start()

        async def events(request: web.Request) -> web.StreamResponse:
            return await tell(request, feed, lambda: None)

        app = web.Application(middlewares=[request_ids, errors])
        app.add_routes([web.get("/events", events, allow_head=False)])
        runner = web.AppRunner(app, shutdown_timeout=1.0, handle_signals=False)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        scheme = "https" if tls else "http"
        return cls(f"{scheme}://127.0.0.1:{runner.addresses[0][1]}/events", kept, feed, runner)

    def add(self, stream: Stream, *texts: bytes) -> list[StoredEvent]:
        """Decide something, and have it told."""
        added = self.kept.add(stream, *texts)
        self.feed.look()
        return added

    async def stop(self) -> None:
        """End every reader, and the server."""
        self.feed.end()
        self._following.cancel()
        await asyncio.wait([self._following])
        await self._runner.cleanup()

    def written(self, log: EventLog) -> EventLog:
        """The log as it is, but what is appended to it is decided here."""
        return _Written(log, self)


class _Written:
    def __init__(self, log: EventLog, served: ServedFeed) -> None:
        self._log = log
        self._served = served
        self._closed = False

    async def append(self, stream: Stream, events: Sequence[bytes]) -> None:
        if self._closed:
            await self._log.append(stream, events)
        self._served.add(stream, *events)

    async def read(self, after: Mapping[Stream, int | None], *, wait: float, limit: int = 1000) -> list[Entry]:
        return await self._log.read(after, wait=wait, limit=limit)

    async def head(self, stream: Stream) -> int | None:
        return await self._log.head(stream)

    async def check(self) -> list[str]:
        return await self._log.check()

    async def close(self) -> None:
        self._closed = True
        await self._log.close()


def self_signed(folder: Path) -> Path:
    """A key and its certificate for 127.0.0.1, good for an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return path
