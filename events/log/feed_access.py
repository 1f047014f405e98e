"""Access tokens for reading a feed, by the client credentials grant (RFC 6749 section 4.4)."""

import asyncio
import re
from typing import Annotated, Any, Final
from urllib.parse import quote_plus

import aiohttp
import msgspec

from events.errors import LogMisconfigured, LogUnavailable
from events.log.feed_settings import SCOPE, FeedSettings

CALL_SECONDS: Final = 5.0
"""Longest wait for an answer to begin, the connection included."""
RENEW_AFTER: Final = 0.8
"""Part of a token's life after which a new one is taken."""
MAX_ANSWER: Final = 64 * 1024

_CODE: Final = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]{1,64}")
"""RFC 6749 section 5.2: what an error code is made of."""


class _TokenAnswer(msgspec.Struct, frozen=True):
    access_token: Annotated[str, msgspec.Meta(pattern=r"^[\x21-\x7e]+\Z", max_length=16_384)]
    expires_in: Annotated[float, msgspec.Meta(ge=1)] = 60.0


class FeedAccess:
    """Keeps one token and takes a new one before it ends.

    Attributes:
        renew_at: event loop's time after which the token is to be replaced; infinite without credentials.
    """

    def __init__(self, settings: FeedSettings, scope: str = SCOPE) -> None:
        self.renew_at = float("inf")
        self._settings = settings
        self._scope = scope
        self._token: str | None = None
        self._asking = asyncio.Lock()

    async def headers(self, session: aiohttp.ClientSession) -> dict[str, str]:
        """What a request to the feed proves itself with; nothing without credentials.

        Raises:
            LogMisconfigured: the issuer knows no such client, or does not let it read.
            LogUnavailable: it does not answer.
        """
        if self._settings.client_id is None:
            return {}
        async with self._asking:
            if self._token is None or asyncio.get_running_loop().time() >= self.renew_at:
                self._token = await self._ask(session)
            return {"Authorization": f"Bearer {self._token}"}

    def refused(self) -> bool:
        """Forget a token that the feed did not take; whether there was one, so that another may be tried."""
        had, self._token = self._token is not None, None
        return had

    async def _ask(self, session: aiohttp.ClientSession) -> str:
        settings = self._settings
        form = {"grant_type": "client_credentials", "scope": self._scope}
        if settings.resource is not None:
            form["resource"] = settings.resource
        credentials = [quote_plus(text or "") for text in (settings.client_id, settings.client_secret)]
        headers = {"Authorization": aiohttp.encode_basic_auth(*credentials)}
        asked_at = asyncio.get_running_loop().time()
        try:
            async with (
                asyncio.timeout(CALL_SECONDS),
                session.post(settings.token_endpoint, data=form, headers=headers, allow_redirects=False) as response,
            ):
                status, body = response.status, await read_some(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LogUnavailable(f"{settings.token_endpoint} does not answer: {type(error).__name__}") from error
        if status in (400, 401, 403, 404):
            raise LogMisconfigured(
                f"{settings.token_endpoint} gives client {settings.client_id!r} no token: {status} {error_code(body)}"
            )
        if status != 200:
            raise LogUnavailable(f"{settings.token_endpoint} answers {status} {error_code(body)}".rstrip())
        try:
            answer = msgspec.json.decode(body, type=_TokenAnswer)
        except (msgspec.MsgspecError, ValueError) as error:
            raise LogUnavailable(f"{settings.token_endpoint} answers with something else than a token") from error
        self.renew_at = asked_at + RENEW_AFTER * answer.expires_in
        return answer.access_token


async def read_some(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of an answer, as much of it as any of ours has."""
    body = bytearray()
    async for piece in response.content.iter_chunked(16 * 1024):
        body += piece
        if len(body) >= MAX_ANSWER:
            break
    return bytes(body)


def error_code(body: bytes) -> str:
    """The ``error`` of an answer of RFC 6749 section 5.2, or nothing."""
    try:
        answer: Any = msgspec.json.decode(body)
        code = answer["error"]
        return code if _CODE.fullmatch(code) else ""
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError, RecursionError):
        return ""
