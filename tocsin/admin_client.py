"""The issuer's admin API, as an operator uses it."""

import os
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec

from tocsin.errors import FAILED, WRONG_USE, CommandFailed
from tocsin.settings import Credentials

ANSWER_SECONDS: Final = 40.0
"""Longer than the longest wait that the issuer grants."""


BUSY: Final = (429, 502, 503, 504)
"""Statuses after which the same call may succeed."""


class IssuerBusy(CommandFailed):
    """The issuer cannot be reached, or asks to come again.

    Attributes:
        retry_after: seconds after which it asks to come again.
        may_have_happened: whether what was asked for may have been done all the same.
    """

    def __init__(self, message: str, *, code: str, retry_after: float = 0.0, may_have_happened: bool = True) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after
        self.may_have_happened = may_have_happened


class AdminClient:
    """Calls with a token of the operator's, fetched when first needed."""

    def __init__(self, issuer: str, credentials: Credentials) -> None:
        self._issuer = issuer
        self._credentials = credentials
        self._token: str | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS, connect=5)
        self._session = aiohttp.ClientSession(timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, *, wait: float = 0) -> Any:
        """The JSON answer of a ``GET``; the issuer is asked to wait up to ``wait`` seconds for what it is about.

        Raises:
            IssuerBusy: the issuer cannot be reached, or not now.
            CommandFailed: it refuses; the message has its words.
        """
        return (await self._call("GET", path, headers=_preferring(wait)))[1]

    async def post(self, path: str, body: object, *, wait: float = 0) -> Any:
        """The JSON answer of a ``POST``; the issuer is asked to wait up to ``wait`` seconds for the event log.

        Raises:
            CommandFailed: as ``get``.
        """
        return (await self._call("POST", path, body, _preferring(wait)))[1]

    async def post_once(self, path: str, body: object, key: str) -> tuple[Any, bool]:
        """The answer of a ``POST`` that the issuer does once, however often it comes with this key; whether it is new.

        Raises:
            CommandFailed: as ``get``.
        """
        status, answer = await self._call("POST", path, body, {"Idempotency-Key": key})
        return answer, status == 201

    async def _call(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        data = None if body is None else msgspec.json.encode(body)
        for last in (False, True):
            fresh = self._token is None
            if self._token is None:
                self._token = await self._authenticate()
            sent = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json", **(headers or {})}
            try:
                return await self._send(method, path, headers=sent, data=data)
            except _TokenRefused:
                self._token = None  # its end has come, or it was among what we have revoked
                if fresh or last:
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _authenticate(self) -> str:
        who = aiohttp.encode_basic_auth(self._credentials.client_id, self._credentials.client_secret)
        form = {"grant_type": "client_credentials"}
        try:
            _, answer = await self._send("POST", "/oauth2/token", data=form, headers={"Authorization": who})
        except _TokenRefused as error:
            reason = f"the issuer at {self._issuer} refuses operator {self._credentials.client_id!r}: {error}"
            raise _TokenRefused(reason, code=error.code) from error
        token: str = answer["access_token"]
        return token

    async def _send(self, method: str, path: str, **arguments: Any) -> tuple[int, Any]:
        if self._session is None:
            raise RuntimeError("use the client as a context: async with AdminClient(…)")
        try:
            async with self._session.request(method, self._issuer + path, **arguments) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise IssuerBusy(
                f"the issuer at {self._issuer} cannot be reached: {_reason(error)}",
                code="unreachable",
                may_have_happened=not isinstance(error, aiohttp.ClientConnectorError),
            ) from error
        if response.status in BUSY:
            raise _busy(response, body)
        try:
            answer = msgspec.json.decode(body)
        except msgspec.MsgspecError as error:
            raise CommandFailed(f"{self._issuer} answered {response.status} without JSON: is it an issuer?") from error
        if response.status >= 400:
            raise (_TokenRefused if response.status == 401 else CommandFailed)(
                answer.get("error_description") or f"status {response.status}",
                code=answer.get("error", "failed"),
                exit_code=WRONG_USE if response.status in (400, 404) else FAILED,
            )
        return response.status, answer


def _preferring(wait: float) -> dict[str, str]:
    """RFC 7240 section 4.3."""
    return {"Prefer": f"wait={int(wait)}"} if wait >= 1 else {}


class _TokenRefused(CommandFailed):
    """The operator's token, or who asks for it, is not taken."""


def _reason(error: aiohttp.ClientError | TimeoutError) -> str:
    """Why there is no answer, in the system's words where it has some."""
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ConnectionError):
        return os.strerror(error.os_error.errno or 0)
    return str(error) or "time-out"


def _busy(response: aiohttp.ClientResponse, body: bytes) -> IssuerBusy:
    """In the issuer's words, or by the status alone when somebody in between has answered."""
    try:
        answer = msgspec.json.decode(body, type=dict[str, str])
    except (msgspec.MsgspecError, ValueError):
        answer = {}
    after = response.headers.get("Retry-After", "")
    return IssuerBusy(
        answer.get("error_description", f"status {response.status}"),
        code=answer.get("error", "temporarily_unavailable"),
        retry_after=float(after) if after.isdecimal() and len(after) < 4 else 0.0,
    )
