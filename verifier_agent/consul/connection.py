"""Consul's HTTP API: py-consul's calls over a transport of our own.

py-consul's ``consul.aio`` has no time-out unless each call brings one, hands TLS to aiohttp in a way that is
deprecated there, and takes an ACL token from the environment over the one that it was given.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar

import aiohttp
import msgspec
from consul import base
from consul.exceptions import ACLDisabled, ACLPermissionDenied, ConsulException

from verifier_agent.consul.errors import ConsulUnavailable
from verifier_agent.consul.settings import ConsulPlace

T = TypeVar("T")

ANSWER_SECONDS: Final = 2.0
"""Longest wait for an answer; a blocking query may take its own time beside it."""
CONNECT_SECONDS: Final = 1.0
MAX_ANSWER_BYTES: Final = 1024 * 1024


FILTERED: Final = "X-Consul-Results-Filtered-By-ACLs"
DEFAULT_POLICY: Final = "X-Consul-Default-ACL-Policy"


class _Transport(base.HTTPClient):  # type: ignore[misc] # the library has no types
    """What py-consul sends its calls through."""

    def __init__(self, place: ConsulPlace) -> None:
        super().__init__(place.host, place.port, "https" if place.tls else "http")
        if ":" in place.host:
            self.base_uri = f"{self.scheme}://[{place.host}]:{place.port}"
        context = place.tls_context()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=True if context is None else context),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        )

    async def send(
        self, method: str, callback: Callable[[base.Response], T], path: str, params: Any, headers: Any, data: Any
    ) -> T:
        async with self._session.request(method, self.uri(path, params), headers=headers, data=data) as answer:
            body = await answer.content.read(MAX_ANSWER_BYTES + 1)
            while len(body) <= MAX_ANSWER_BYTES and (more := await answer.content.read(MAX_ANSWER_BYTES)):
                body += more
            if len(body) > MAX_ANSWER_BYTES:
                raise ConsulException(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
            _check_withheld(answer, headers or {})
            return callback(base.Response(answer.status, answer.headers, body.decode()))

    def get(self, callback: Any, path: str, params: Any = None, headers: Any = None, **_: Any) -> Any:
        return self.send("GET", callback, path, params, headers, None)

    def put(self, callback: Any, path: str, params: Any = None, data: Any = "", headers: Any = None, **_: Any) -> Any:
        return self.send("PUT", callback, path, params, headers, data)

    def delete(
        self, callback: Any, path: str, params: Any = None, data: Any = "", headers: Any = None, **_: Any
    ) -> Any:
        return self.send("DELETE", callback, path, params, headers, data)

    def post(self, callback: Any, path: str, params: Any = None, data: Any = "", headers: Any = None, **_: Any) -> Any:
        return self.send("POST", callback, path, params, headers, data)

    async def close(self) -> None:
        await self._session.close()


def _check_withheld(answer: aiohttp.ClientResponse, sent: Mapping[str, str]) -> None:
    """Make sure that an answer that holds less than was asked for is not taken for one of an empty folder.

    Consul leaves out what a token may not read, and says so in a header alone; to who has no token not even there.

    Raises:
        ACLPermissionDenied: something was left out, or may have been.
    """
    if answer.headers.get(FILTERED, "").lower() == "true":
        raise ACLPermissionDenied("it may not read all that there is")
    if answer.status == 404 and answer.headers.get(DEFAULT_POLICY) == "deny" and "X-Consul-Token" not in sent:
        raise ACLPermissionDenied("there is none, and without one Consul shows nothing")


class _Api(base.Consul):  # type: ignore[misc] # the library has no types
    def __init__(self, place: ConsulPlace) -> None:
        self._place = place
        super().__init__(place.host, place.port, dc=place.dc)
        self.token = None if place.token is None else place.token.reveal()  # and not the environment's

    def http_connect(self, *_: Any, **__: Any) -> _Transport:
        return _Transport(self._place)


class Folder(NamedTuple):
    """What a folder holds.

    Attributes:
        store_index: of the store when it was read; grows with every change, unless the store has lost its data.
        values: by name below the folder.
        versions: of each name, to write only over what was read.
    """

    store_index: int
    values: dict[str, bytes]
    versions: dict[str, int]


class ConsulConnection:
    """Calls that end: each answers in time or raises ``ConsulUnavailable``. Use as a context."""

    def __init__(self, place: ConsulPlace) -> None:
        self.place = place
        self._api: _Api | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close what is open."""
        api, self._api = self._api, None
        if api is not None:
            await api.http.close()

    async def ask(self, call: Callable[[Any], Awaitable[T]], *, seconds: float = ANSWER_SECONDS) -> T:
        """What ``call`` gets out of py-consul's API.

        Args:
            call: is handed the API.
            seconds: longest that it may take.

        Raises:
            ConsulUnavailable: it did not answer in time, or not as it should.
        """
        try:
            async with asyncio.timeout(seconds):
                return await call(self._opened())
        except TimeoutError as error:
            raise ConsulUnavailable(f"no answer within {seconds:g} s") from error
        except (ACLPermissionDenied, ACLDisabled) as error:
            said = f": {str(error).strip()[:200]}" if str(error).strip() else ""
            raise ConsulUnavailable(f"the ACL token does not allow it{said}", denied=True) from error
        except aiohttp.ClientConnectorCertificateError as error:
            authority = f"'ca' ({self.place.ca})" if self.place.ca else "this machine's authorities"
            why = str(error.certificate_error).strip()[:200]
            raise ConsulUnavailable(f"its certificate is not good by {authority}: {why}") from error
        except (ConsulException, aiohttp.ClientError, OSError, UnicodeDecodeError) as error:
            raise ConsulUnavailable(str(error).strip()[:200] or type(error).__name__) from error

    async def folder(self, folder: str, *, index: int | None = None, wait: float = 0.0) -> Folder:
        """Everything in a folder below the prefix, at one moment.

        Args:
            folder: its name.
            index: wait until the store has gone beyond this; answer at once without it.
            wait: seconds to wait for that at most.

        Raises:
            ConsulUnavailable: see ``ask``.
        """
        path = f"{self.place.prefix}/{folder}/"
        blocking: dict[str, str] = {}
        seconds = ANSWER_SECONDS
        if index is not None:
            blocking = {"index": str(index), "wait": f"{wait:.0f}s"}
            seconds += wait * 17 / 16  # Consul adds up to a sixteenth, so that not all come again at once
        got, items = await self.ask(lambda api: api.kv.get(path, recurse=True, **blocking), seconds=seconds)
        try:
            found = {item["Key"].removeprefix(path): item for item in items or [] if not item["Key"].endswith("/")}
            values = {name: item["Value"] or b"" for name, item in found.items()}
            return Folder(int(got), values, {name: item["ModifyIndex"] for name, item in found.items()})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConsulUnavailable("an answer that is not Consul's") from error

    async def write(self, folder: str, changes: Mapping[str, str | None], versions: Mapping[str, int]) -> bool:
        """Change a folder in one transaction, if it still is as it was read; whether it was.

        Args:
            folder: its name.
            changes: by name in it; ``None`` deletes.
            versions: of all that was read there.

        Raises:
            ConsulUnavailable: see ``ask``.
        """
        path = f"{self.place.prefix}/{folder}/"
        operations = [_operation(path + name, value, versions.get(name, 0)) for name, value in changes.items()]
        operations += [
            {"KV": {"Verb": "check-index", "Key": path + name, "Index": version}}
            for name, version in versions.items()
            if name not in changes
        ]
        # py-consul's own call for transactions leaves the ACL token out.
        return await self.ask(
            lambda api: api.http.put(
                _committed,
                "/v1/txn",
                data=msgspec.json.encode(operations),
                headers=api.prepare_headers(),
                params=[("dc", api.dc)] if api.dc else None,
            )
        )

    def _opened(self) -> _Api:
        if self._api is None:
            self._api = _Api(self.place)
        return self._api


class _Error(msgspec.Struct, rename="pascal"):
    what: str = ""


class _Undone(msgspec.Struct, rename="pascal"):
    errors: list[_Error] | None = None


def _operation(key: str, value: str | None, version: int) -> dict[str, Any]:
    if value is None:
        return {"KV": {"Verb": "delete-cas", "Key": key, "Index": version}}
    return {"KV": {"Verb": "cas", "Key": key, "Index": version, "Value": base64.b64encode(value.encode()).decode()}}


def _committed(answer: base.Response) -> bool:
    """Whether a transaction happened: 409 says that a key was not what it should have been, or may not be written."""
    if answer.code == 409:
        try:
            errors = msgspec.json.decode(answer.body, type=_Undone).errors
        except msgspec.MsgspecError as error:
            raise ConsulException("an answer that is not Consul's") from error
        denied = [error.what for error in errors or () if "permission denied" in error.what.lower()]
        if denied:
            raise ACLPermissionDenied(denied[0])
        return False
    if answer.code == 403:
        raise ACLPermissionDenied(answer.body)
    if answer.code != 200:
        raise ConsulException(f"{answer.code} {answer.body}")
    return True
