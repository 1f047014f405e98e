"""Enrols at the issuer and hands statuses to it, over HTTP. Needs aiohttp, which is an extra: imported late."""

from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import msgspec

from events.errors import LogError, LogMisconfigured
from events.log.feed_access import FeedAccess, error_code, read_some
from events.log.feed_settings import FeedSettings
from verifier_agent.errors import SettingInvalid
from verifier_agent.fleet.sinks import ISSUER_PATH, Enrolled, StatusRefused

PATH: Final = "/agents"
SCOPE: Final = "tocsin.agent"
"""What an access token must allow for an agent to enrol and to say how it is."""
ANSWER_SECONDS: Final = 10.0


class _EnrolAnswer(msgspec.Struct, frozen=True):
    after: int


class IssuerRegistry:
    """The issuer's ``/agents``; one connection, made when it is needed."""

    path = ISSUER_PATH

    def __init__(self, url: str) -> None:
        """Prepare; nothing is connected yet.

        Args:
            url: ``https://[client:secret@]host[:port][/prefix]/agents[?option=value…]``; client and options are those
                of an event feed, see ``FeedSettings``.

        Raises:
            SettingInvalid: it is no such URL; the message holds no secret.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.path.endswith(PATH):
            raise SettingInvalid("setting 'enrol_url' looks like https://client:secret@host[:port]/agents")
        feed = urlunsplit(parts._replace(path=parts.path.removesuffix(PATH) + "/events"))
        try:
            self._settings = FeedSettings.parse(feed)
            self._ssl = self._settings.ssl()
        except LogMisconfigured as error:
            words = str(error).replace("an event feed is read", "an agent enrols")
            raise SettingInvalid(f"setting 'enrol_url': {words}") from error
        if self._settings.client_id is None:
            raise SettingInvalid("setting 'enrol_url' needs a client and its secret: https://client:secret@host/agents")
        self._url = self._settings.url.removesuffix("/events") + PATH
        self._access = FeedAccess(self._settings, SCOPE)
        self._session: aiohttp.ClientSession | None = None

    async def enrol(self, body: dict[str, Any]) -> Enrolled:
        """See ``Registry.enrol``."""
        answer = await self._post(self._url, msgspec.json.encode(body), "application/json")
        try:
            return Enrolled(msgspec.json.decode(answer, type=_EnrolAnswer).after)
        except (msgspec.MsgspecError, ValueError) as error:
            raise StatusRefused(f"{self._url} answers with something else than an enrolment") from error

    async def send(self, status: bytes) -> None:
        """See ``StatusSink.send``."""
        await self._post(f"{self._url}/status", status, "application/secevent+jwt")

    async def close(self) -> None:
        """See ``StatusSink.close``."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, url: str, body: bytes, content_type: str) -> bytes:
        try:
            for last in (False, True):
                session = self._opened()
                headers = {"Content-Type": content_type, **await self._access.headers(session)}
                async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                    status, answer = response.status, await read_some(response)
                if status != HTTPStatus.UNAUTHORIZED or not self._access.refused() or last:
                    break
        except (aiohttp.ClientError, TimeoutError, OSError, LogError) as error:
            raise StatusRefused(f"{url}: {type(error).__name__} {error}".strip()) from error
        if status // 100 != 2:
            unknown = status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
            raise StatusRefused(f"{url} answers {status} {error_code(answer)}".rstrip(), unknown=unknown)
        return answer

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._ssl),
                timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session
