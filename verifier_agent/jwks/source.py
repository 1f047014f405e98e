"""Gets an issuer's newest document: finds out where it is, asks for it, reads it. When to do so is others' business."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

from verifier_agent.jwks.cache_rules import max_age
from verifier_agent.jwks.discovery import MAX_METADATA_BYTES, jwks_uri_of, metadata_urls
from verifier_agent.jwks.document import MAX_BYTES, JwksDocument, parse_jwks
from verifier_agent.jwks.errors import FailureCode, JwksFailed
from verifier_agent.jwks.settings import ForeignIssuer

log = logging.getLogger(__name__)

METADATA_SECONDS: Final = 3600.0
"""How long the metadata's word for where the keys are is taken; until then only a failure makes us look again."""
MAX_ETAG_CHARS: Final = 256

_OK: Final = 200
_NOT_MODIFIED: Final = 304


class Answer(NamedTuple):
    """An answer to a GET.

    Attributes:
        status: of HTTP.
        headers: by lower-case name.
        body: no longer than was allowed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class JwksFetcher(Protocol):
    """Asks over the network."""

    async def fetch(self, url: str, *, limit: int, etag: str | None) -> Answer:
        """GET ``url`` as it is: no redirect is followed. The caller sees to the time it may take.

        Args:
            url: checked by the caller.
            limit: bytes of the body that may be read; more are never held.
            etag: of what is known, for ``If-None-Match``.

        Raises:
            JwksFailed: ``unreachable``, ``oversized``, ``encoded`` or ``timed_out``.
        """


class Loaded(NamedTuple):
    """What a load brought.

    Attributes:
        document: ``None``: the last one is still the newest.
        max_age: seconds for which it is fresh; ``None`` when nothing was said.
    """

    document: JwksDocument | None
    max_age: float | None


class JwksSource:
    """Where one issuer's document comes from.

    The place is the settings' or, by default, the metadata's. These are read again after an hour, and after a failure;
    when that fails too the place known last is asked: that an issuer's metadata are away takes no keys away.
    """

    def __init__(self, issuer: ForeignIssuer, fetcher: JwksFetcher) -> None:
        self._issuer = issuer
        self._fetcher = fetcher
        self._place = issuer.jwks_uri
        self._place_until = float("inf") if issuer.jwks_uri is not None else float("-inf")
        self._etag: str | None = None

    async def load(self, now: float) -> Loaded:
        """The newest document. A second call must wait for the first.

        Args:
            now: boot-time clock, seconds.

        Raises:
            JwksFailed: it could not be had, or is none.
        """
        try:
            place = await self._find_place(now)
            answer = await self._fetch(place, MAX_BYTES, self._etag)
            if answer.status == _NOT_MODIFIED and self._etag is not None:
                return Loaded(None, max_age(answer.headers))
            _check_status(answer)
            # Parsing many keys takes milliseconds, and PyJWT is imported for the first: not on the event loop.
            document = await asyncio.to_thread(parse_jwks, answer.body, self._issuer.algorithms)
        except JwksFailed:
            self._etag = None  # whatever went wrong, ask for the whole next time
            if self._issuer.jwks_uri is None:
                self._place_until = float("-inf")
            raise
        etag = answer.headers.get("etag", "")
        self._etag = etag if 0 < len(etag) <= MAX_ETAG_CHARS and etag.isprintable() else None
        return Loaded(document, max_age(answer.headers))

    async def _find_place(self, now: float) -> str:
        if self._place is not None and now < self._place_until:
            return self._place
        try:
            place = await self._discover()
        except JwksFailed as error:
            if self._place is None:
                raise
            log.warning("jwks_metadata_unreadable", extra={"issuer": self._issuer.issuer, "error": str(error)})
            return self._place
        if place != self._place:
            self._place, self._etag = place, None
        self._place_until = now + METADATA_SECONDS
        return place

    async def _discover(self) -> str:
        """Ask each place where metadata may be; one that has none of this issuer sends us on to the next."""
        first: JwksFailed | None = None
        for url in metadata_urls(self._issuer.issuer):
            answer = await self._fetch(url, MAX_METADATA_BYTES, None)
            try:
                _check_status(answer)
                return jwks_uri_of(answer.body, self._issuer.issuer)
            except JwksFailed as error:
                first = first or error
        raise first or JwksFailed(FailureCode.NOT_METADATA, "there is no place for metadata")

    async def _fetch(self, url: str, limit: int, etag: str | None) -> Answer:
        try:
            async with asyncio.timeout(self._issuer.timeout):
                answer = await self._fetcher.fetch(url, limit=limit, etag=etag)
        except TimeoutError as error:
            raise JwksFailed(FailureCode.TIMED_OUT, f"no whole answer in {self._issuer.timeout:g} s") from error
        if len(answer.body) > limit:
            raise JwksFailed(FailureCode.OVERSIZED, f"more than {limit} bytes")
        return answer


def _check_status(answer: Answer) -> None:
    if 300 <= answer.status < 400:
        raise JwksFailed(FailureCode.REDIRECTED, f"status {answer.status}: set jwks_uri to where the keys are")
    if answer.status != _OK:
        raise JwksFailed(FailureCode.BAD_STATUS, f"status {answer.status}")
