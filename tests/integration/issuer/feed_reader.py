"""Reading the issuer's feed: as a log, as raw server-sent events, and as somebody who stops listening."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from aiohttp import ClientSession, ClientTimeout

from events import Stream
from events.log import Entry, EventLog, open_log
from events.log.feed_settings import SCOPE
from events.log.server_sent import EventStreamParser, ServerSentEvent
from events.streams import FOLLOWED
from tests.issuer_under_test import AUDIENCE, Credentials, Installation, IssuerClient
from verifier_agent import Agent, AgentSettings

SOON = 60.0


async def reading_client(installation: Installation, client_id: str = "agents") -> Credentials:
    """A client whose tokens open the feed."""
    return await installation.client(client_id, audiences=(installation.settings.issuer,), scopes=(SCOPE,))


def feed_url(url: str, client: Credentials | None) -> str:
    """The feed of the issuer at ``url`` as agents are told it."""
    who = "" if client is None else f"{client.client_id}:{client.secret}@"
    return f"http://{who}{url.removeprefix('http://')}/events"


def agent_on(installation: Installation, url: str, client: Credentials) -> Agent:
    """An agent that hears the feed and nothing else."""
    log = feed_url(url, client)
    return Agent(AgentSettings(log=log, trust=installation.trust_file, audience=AUDIENCE))


@asynccontextmanager
async def feed_log(url: str, client: Credentials | None) -> AsyncIterator[EventLog]:
    """The feed as a log."""
    log = open_log(feed_url(url, client))
    try:
        yield log
    finally:
        await log.close()


async def read_until(
    log: EventLog, after: Mapping[Stream, int | None], enough: Callable[[list[Entry]], bool]
) -> list[Entry]:
    """Read on until what has been heard is enough."""
    found: list[Entry] = []
    at = dict(after)
    async with asyncio.timeout(SOON):
        while not enough(found):
            for entry in await log.read(at, wait=1.0):
                found.append(entry)
                at[entry.stream] = entry.position
    return found


async def bearer(issuer: IssuerClient, client: Credentials) -> dict[str, str]:
    """The header that opens the feed."""
    return {"Authorization": f"Bearer {await issuer.token(client)}"}


@asynccontextmanager
async def raw_events(
    url: str, headers: Mapping[str, str], query: str = ""
) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
    """What the feed sends, event by event, ``level`` among them; it ends when the feed ends."""
    timeout = ClientTimeout(total=SOON)
    async with (
        ClientSession(timeout=timeout) as session,
        session.get(f"{url}/events{query}", headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()
        parser = EventStreamParser()

        async def each() -> AsyncIterator[ServerSentEvent]:
            async for piece in answer.content.iter_any():
                for event in parser.feed(piece):
                    yield event

        yield each()


async def up_to_level(url: str, headers: Mapping[str, str], query: str = "") -> list[ServerSentEvent]:
    """Everything there is, without the newest heartbeats, whose number nobody can foretell."""
    found: list[ServerSentEvent] = []
    async with raw_events(url, headers, query) as events:
        async for event in events:
            if event.name == b"level":
                return found
            found.append(event)
    raise AssertionError("the feed ended before it was level")


@asynccontextmanager
async def not_listening(url: str, headers: Mapping[str, str]) -> AsyncIterator[asyncio.StreamReader]:
    """A reader that takes the beginning of the answer and nothing more."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1024)
    lines = [f"GET /events?stream={Stream.REVOCATIONS} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode())
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        yield reader
    finally:
        writer.transport.abort()


def starts() -> dict[Stream, int | None]:
    """All streams, from their start."""
    return dict.fromkeys(FOLLOWED)
