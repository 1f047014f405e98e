"""The issuer's own event feed as a log that can be read: server-sent events over HTTP (``docs/http.md``).

Its positions are sequences. Events are signed, so it does not matter who passes them on. aiohttp is an extra
(``tocsin[sidecar]``): this module is imported when a URL asks for it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn, Self

import aiohttp
import msgspec

from events.errors import LogMisconfigured, LogUnavailable, PositionLost
from events.log.cursor import format_cursor, is_position, parse_cursor
from events.log.feed_access import CALL_SECONDS, FeedAccess, error_code, read_some
from events.log.feed_connection import FeedConnection
from events.log.feed_settings import FeedSettings
from events.log.protocol import Entry
from events.log.server_sent import MEDIA_TYPE
from events.streams import FOLLOWED, Stream

SILENCE_SECONDS: Final = 15.0
"""The feed says something every five seconds, if only that it is there."""
LEVEL_SECONDS: Final = 5.0
"""Longest wait for the next event while the feed still sends what there was when it was opened."""

_MISCONFIGURED: Final = {
    400: "does not understand the request",
    401: "needs an access token: put client and secret into the URL, as in https://client:secret@host/events",
    403: "does not let this client read: it needs the scope tocsin.events",
    404: "is not there: the issuer's setting 'feed' may be off",
}
_FOR_OTHERS: Final = "its tokens must be for the issuer itself, by the client's first audience or the option resource"


class FeedLog:
    """A connection to the feed, made when it is first read and thrown away when it fails."""

    def __init__(self, settings: FeedSettings) -> None:
        self._settings = settings
        self._access = FeedAccess(settings)
        self._session: aiohttp.ClientSession | None = None
        self._connection: FeedConnection | None = None
        self._reading = asyncio.Lock()  # a connection is at one place at a time
        self._closed = False

    @classmethod
    def at(cls, url: str) -> Self:
        """The feed at ``url``.

        Raises:
            LogMisconfigured: as ``FeedSettings.parse``.
        """
        return cls(FeedSettings.parse(url))

    async def append(self, stream: Stream, events: Sequence[bytes]) -> NoReturn:  # noqa: ARG002 - as EventLog has it
        """See ``EventLog.append``. What a feed carries is decided in its issuer's store.

        Raises:
            LogMisconfigured: always, unless it is closed.
        """
        self._check_open()
        raise LogMisconfigured("an event feed can only be read")

    async def read(self, after: Mapping[Stream, int | None], *, wait: float, limit: int = 1000) -> list[Entry]:
        """See ``EventLog.read``. Reads of one log object follow each other."""
        async with self._reading:
            try:
                return await self._read(after, wait, limit)
            except LogUnavailable:
                self._drop()
                raise

    async def head(self, stream: Stream) -> int | None:
        """See ``EventLog.head``. That of the heartbeats is ``None`` while nobody reads them: none are made then."""
        try:
            async with asyncio.timeout(2 * CALL_SECONDS):
                response = await self._ask("application/json", {stream: None})
                async with response:
                    heads = msgspec.json.decode(await read_some(response), type=dict[str, str])
            return parse_cursor(heads["cursor"]).get(stream)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unavailable("does not answer", error) from error
        except (msgspec.MsgspecError, ValueError, KeyError) as error:
            raise LogMisconfigured(f"{self._settings.url} answers with something else than the heads") from error

    def place_behind(self, seq: int) -> int | None:
        """See ``NumberedLog``."""
        return seq if is_position(seq) else None

    async def check(self) -> list[str]:
        """See ``EventLog.check``: the issuer keeps all of its events in its store; what refuses us is named."""
        try:
            await self.head(Stream.KEYS)
        except LogMisconfigured as error:
            return [str(error)]
        return []

    async def close(self) -> None:
        """See ``EventLog.close``."""
        self._closed = True
        self._drop()
        if self._session is not None:
            await self._session.close()

    async def _read(self, after: Mapping[Stream, int | None], wait: float, limit: int) -> list[Entry]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        connection = await self._standing_at(after)
        while True:
            if found := connection.take(limit):
                return found
            left = max(deadline - loop.time(), 0.0) if connection.level else LEVEL_SECONDS
            try:
                async with asyncio.timeout(left):
                    await connection.hear()
            except TimeoutError:
                if connection.level:
                    return []
                raise LogUnavailable(f"{self._settings.url} does not say what it has") from None
            self._check_open()

    async def _standing_at(self, after: Mapping[Stream, int | None]) -> FeedConnection:
        """The open connection if it is where the reader is, or else a new one."""
        self._check_open()
        connection = self._connection
        fresh = connection is not None and asyncio.get_running_loop().time() < connection.renew_at
        if connection is not None and fresh and connection.stands_at(after):
            return connection
        self._drop()
        for stream, position in after.items():
            if position is not None and not is_position(position):
                raise PositionLost(stream, position)
        try:
            async with asyncio.timeout(2 * CALL_SECONDS):
                response = await self._ask(MEDIA_TYPE, after)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unavailable("does not answer", error) from error
        if self._closed:
            response.close()
            self._check_open()
        self._connection = FeedConnection(response, after, renew_at=self._access.renew_at)
        return self._connection

    async def _ask(self, accept: str, after: Mapping[Stream, int | None]) -> aiohttp.ClientResponse:
        """The feed's answer, its headers read; a token that is not taken is replaced once."""
        if unheard_of := set(after) - set(FOLLOWED):
            raise LogMisconfigured(f"an event feed does not carry {min(unheard_of)}")
        session = self._opened()
        cursor = format_cursor({stream: position for stream, position in after.items() if position is not None})
        headers = {"Accept": accept, "Accept-Encoding": "identity", "Cache-Control": "no-store"}
        if cursor:
            headers["Last-Event-ID"] = cursor
        params = [("stream", str(stream)) for stream in after]
        for last in (False, True):
            access = await self._access.headers(session)
            response = await session.get(
                self._settings.url, params=params, headers=headers | access, allow_redirects=False
            )
            if response.status != 401 or not self._access.refused() or last:
                break
            response.close()
        if response.status != 200:
            async with response:
                await self._refuse(response, after)
        if response.content_type != accept or "Content-Encoding" in response.headers:
            response.close()
            raise LogMisconfigured(f"{self._settings.url} is no event feed: it answers with {response.content_type}")
        return response

    async def _refuse(self, response: aiohttp.ClientResponse, after: Mapping[Stream, int | None]) -> NoReturn:
        status, body = response.status, await read_some(response)
        if status == 410:
            raise _lost(body, after)
        if status == 401 and self._settings.client_id is not None:
            raise LogMisconfigured(f"{self._settings.url} takes no token of this client: {_FOR_OTHERS}")
        if status in _MISCONFIGURED:
            raise LogMisconfigured(f"{self._settings.url} {_MISCONFIGURED[status]} ({status} {error_code(body)})")
        if status < 400:
            raise LogMisconfigured(f"{self._settings.url} answers {status}; where it points is not followed")
        retry = response.headers.get("Retry-After", "")
        when = f"; again in {retry} s" if retry.isdecimal() and len(retry) < 6 else ""
        raise LogUnavailable(f"{self._settings.url} answers {status} {error_code(body)}{when}")

    def _opened(self) -> aiohttp.ClientSession:
        self._check_open()
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._settings.ssl()),
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=CALL_SECONDS, sock_connect=CALL_SECONDS, sock_read=SILENCE_SECONDS
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    def _unavailable(self, what: str, error: BaseException) -> LogUnavailable:
        return LogUnavailable(f"{self._settings.url} {what}: {type(error).__name__} {error}".strip())

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("this log has been closed")


def _lost(body: bytes, after: Mapping[Stream, int | None]) -> PositionLost | LogMisconfigured:
    try:
        named = msgspec.json.decode(body, type=dict[str, str]).get("stream")
    except (msgspec.MsgspecError, ValueError):
        named = None
    for stream, position in after.items():
        if stream == named and position is not None:
            return PositionLost(stream, position)
    return LogMisconfigured("the event feed is gone (410)")
