"""Issuer and sidecar as their clients see them: over HTTP, through the ports that are published."""

import base64
import http.client
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.compose.stack import StackFailed

ANSWER_SECONDS = 10


@dataclass(frozen=True)
class Answer:
    """An HTTP answer with a JSON body."""

    status: int
    body: Any


@dataclass(frozen=True)
class Client:
    """A registered client of the issuer."""

    client_id: str
    client_secret: str

    @property
    def basic(self) -> dict[str, str]:
        """Its authentication (RFC 6749 section 2.3.1); what the server generates needs no escaping."""
        pair = f"{self.client_id}:{self.client_secret}".encode()
        return {"Authorization": "Basic " + base64.b64encode(pair).decode()}


class IssuerProgram:
    """The issuer on a port of 127.0.0.1."""

    def __init__(self, port: int, client: Client) -> None:
        self._port = port
        self._client = client

    @property
    def url(self) -> str:
        """Its identifier, which is where it is published."""
        return f"http://127.0.0.1:{self._port}"

    def token(self) -> str:
        """A new access token of the client."""
        return str(self._issue()["access_token"])

    def token_lifetime(self) -> int:
        """For how many seconds a new token is good."""
        return int(self._issue()["expires_in"])

    def active(self, token: str) -> bool:
        """What introspection says (RFC 7662)."""
        answer = self._post("/oauth2/introspect", token=token)
        if answer.status != 200:
            raise StackFailed(f"no introspection: {answer}")
        return bool(answer.body["active"])

    def get(self, path: str) -> Any:
        """What stands at an address that everybody may read."""
        answer = _ask(self._port, "GET", path, {})
        if answer.status != 200:
            raise StackFailed(f"{path}: {answer}")
        return answer.body

    def health(self) -> Any:
        """What ``/readyz`` says."""
        return _ask(self._port, "GET", "/readyz", {}).body

    def _issue(self) -> Any:
        answer = self._post("/oauth2/token", grant_type="client_credentials")
        if answer.status != 200:
            raise StackFailed(f"no token: {answer}")
        return answer.body

    def _post(self, path: str, **form: str) -> Answer:
        headers = {**self._client.basic, "Content-Type": "application/x-www-form-urlencoded"}
        return _ask(self._port, "POST", path, headers, urlencode(form))


class SidecarProgram:
    """The sidecar on a port of 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self._port = port

    def judges(self, token: str) -> int:
        """The status of its answer: 200, 401 or 503."""
        return _ask(self._port, "GET", "/verify", {"Authorization": f"Bearer {token}"}).status

    def freshness(self) -> float:
        """The age of what it knows, in seconds."""
        return float(_ask(self._port, "GET", "/status", {}).body["freshness"])

    def setting(self, name: str) -> tuple[Any, str]:
        """A setting's value that is in force, and where it came from."""
        settings = _ask(self._port, "GET", "/config", {}).body["settings"]
        return next((each["value"], each["source"]) for each in settings if each["name"] == name)

    def wait(self, token: str, status: int, seconds: float = 30) -> str:
        """Wait until it judges so, and say how long that took."""
        began = time.monotonic()
        while (judged := self.judges(token)) != status:
            if time.monotonic() > began + seconds:
                raise StackFailed(f"the sidecar still answers {judged}, not {status}, after {seconds:.0f} s")
            time.sleep(0.005)
        return f"{1000 * (time.monotonic() - began):.0f} ms"


def _ask(port: int, method: str, path: str, headers: dict[str, str], body: str | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return Answer(answer.status, json.loads(answer.read()))
    except http.client.HTTPException as error:
        raise StackFailed(f"port {port} answers no HTTP: {error!r}") from error
    finally:
        connection.close()
