"""Fetches by aiohttp. That is an extra (``tocsin[sidecar]``): import this module where foreign issuers are trusted."""

from ssl import SSLContext
from typing import Final

import aiohttp

from verifier_agent.jwks.errors import FailureCode, JwksFailed
from verifier_agent.jwks.source import Answer

_CHUNK: Final = 16 * 1024
_ACCEPT: Final = "application/jwk-set+json, application/json;q=0.9, */*;q=0.1"


class HttpFetcher:
    """A connection for each request: there is one every few minutes, and none can be left half-open between them."""

    def __init__(self, ssl: SSLContext | None = None) -> None:
        """Set up.

        Args:
            ssl: whose certificates to trust; by default those of the machine.
        """
        self._ssl = ssl

    async def fetch(self, url: str, *, limit: int, etag: str | None) -> Answer:
        """See ``JwksFetcher.fetch``.

        1 as it is: no redirect, no cookie, no proxy of the environment · 2 not compressed, or a small answer could grow
        without bound · 3 the length it announces · 4 the length it has.
        """
        headers = {"Accept": _ACCEPT, "Accept-Encoding": "identity"}  # 2
        if etag is not None:
            headers["If-None-Match"] = etag
        try:
            async with (
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session,
                session.get(url, headers=headers, allow_redirects=False, ssl=self._ssl or True) as response,  # 1
            ):
                if response.headers.get("Content-Encoding", "identity").lower() != "identity":  # 2
                    raise JwksFailed(FailureCode.ENCODED, "the answer is compressed though that was not asked for")
                body = await _read(response, limit)
                return Answer(response.status, {name.lower(): text for name, text in response.headers.items()}, body)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise JwksFailed(FailureCode.UNREACHABLE, f"{type(error).__name__}: {error}"[:200]) from error


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    announced = response.content_length
    if announced is not None and announced > limit:  # 3
        raise _oversized(limit)
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > limit:  # 4
            raise _oversized(limit)
    return bytes(body)


def _oversized(limit: int) -> JwksFailed:
    return JwksFailed(FailureCode.OVERSIZED, f"more than {limit} bytes")
