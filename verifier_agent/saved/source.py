"""Where new snapshots come from: the issuer, by ``GET /snapshot``. Needs aiohttp, which is an extra: imported late."""

from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from events.errors import LogError, LogMisconfigured
from events.log.feed_access import FeedAccess
from events.log.feed_settings import FeedSettings
from verifier_agent.errors import SettingInvalid, StoreUnavailable
from verifier_agent.saved.protocol import LONGEST_SEAL, SealedSnapshot

PATH: Final = "/snapshot"
CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 30.0
FETCH_SECONDS: Final = 120.0
MAX_BYTES: Final = 1 << 30
_CHUNK: Final = 64 * 1024


class IssuerSource:
    """Asks the issuer. A connection for each request: there is one an hour."""

    def __init__(self, url: str) -> None:
        """Prepare; nothing is connected yet.

        Args:
            url: ``https://[client:secret@]host[:port][/prefix]/snapshot[?option=value…]``; client and options are
                those of an event feed, see ``FeedSettings``.

        Raises:
            SettingInvalid: it is no such URL; the message holds no secret.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.path.endswith(PATH):
            raise SettingInvalid("setting 'snapshot_url' must be https://host[:port]/snapshot")
        feed = urlunsplit(parts._replace(path=parts.path.removesuffix(PATH) + "/events"))
        try:
            self._settings = FeedSettings.parse(feed)
            self._ssl = self._settings.ssl()
        except LogMisconfigured as error:
            raise SettingInvalid(f"setting 'snapshot_url': {error}") from error
        self._url = self._settings.url.removesuffix("/events") + PATH
        self._access = FeedAccess(self._settings)

    async def fetch(self) -> SealedSnapshot:
        """See ``SnapshotSource.fetch``: no redirect, not compressed, of bounded size, within ``FETCH_SECONDS``."""
        connector = aiohttp.TCPConnector(ssl=self._ssl)
        timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS)
        try:
            async with aiohttp.ClientSession(
                connector=connector,
                timeout=timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=LONGEST_SEAL // 2,  # a line may have twice as many
            ) as session:
                return await self._get(session)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise StoreUnavailable(f"{self._url}: {type(error).__name__} {error}".strip(), "source_away") from error
        except LogError as error:
            raise StoreUnavailable(str(error), "source_refused") from error

    async def _get(self, session: aiohttp.ClientSession, *, again: bool = True) -> SealedSnapshot:
        headers = {"Accept-Encoding": "identity", **await self._access.headers(session)}
        async with session.get(self._url, headers=headers, allow_redirects=False) as response:
            status = response.status
            if status == HTTPStatus.OK:
                return await self._read(response)
        if status == HTTPStatus.UNAUTHORIZED and self._access.refused() and again:
            return await self._get(session, again=False)  # with a new token
        raise StoreUnavailable(f"{self._url} answers {status}", "source_refused")

    async def _read(self, response: aiohttp.ClientResponse) -> SealedSnapshot:
        seal = await response.content.readline()
        pieces, size = [], 0
        async for piece in response.content.iter_chunked(_CHUNK):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_BYTES:
                raise StoreUnavailable(f"{self._url} answers with more than {MAX_BYTES} bytes", "source_refused")
        return SealedSnapshot(seal=seal.removesuffix(b"\n"), data=b"".join(pieces))
