"""Somebody who knows the OpenAPI document alone, and sends what it allows and what it does not."""

from collections.abc import Callable
from typing import Any, Final

import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict
from schemathesis import Case, GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi import checks as of_openapi

from tests.issuer_under_test import ANSWER_SECONDS, Credentials

CHECKS: Final[list[Any]] = [
    schemathesis.checks.not_a_server_error,
    of_openapi.status_code_conformance,
    of_openapi.content_type_conformance,
    of_openapi.response_schema_conformance,
    of_openapi.response_headers_conformance,
]
EXAMPLES: Final = 12
"""Requests for each operation and kind: enough to reach every member, and all operations within a minute."""


@schemathesis.serializer("application/secevent+jwt")
def signed_event(_ctx: object, value: object) -> bytes:
    """What claims to be a signed event."""
    return str(value).encode(errors="replace")


WAYS: Final = ("as made up", "as made up", "about something", "about something", "bare", "as the example")
"""About nothing in particular; about what is there; without saying who asks; and as the document shows it."""


class Stranger:
    """Sends requests, the same ones in each run, and holds the answers against the document.

    Attributes:
        seen: every status that came.
    """

    def __init__(
        self, url: str, client: Credentials, bearer: Callable[[], str], known: Callable[[str], str | None]
    ) -> None:
        """Where, as whom, and what there is.

        Args:
            url: of the issuer.
            client: that authenticates where a client has to.
            bearer: gives an access token that will do.
            known: gives the value of a parameter in the address, of something that exists now.
        """
        self.seen: set[int] = set()
        self._url = url
        self._client = client
        self._bearer = bearer
        self._known = known

    def try_out(self, operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode) -> None:
        """Send a few requests of one operation."""

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), way=st.sampled_from(WAYS))
        def send(case: Case[Any], way: str) -> None:
            self._send(case, way)

        send()

    def _send(self, case: Case[Any], way: str) -> None:
        described = case.operation.definition.raw
        if way in ("about something", "as the example"):
            case.path_parameters = {name: self._known(name) or value for name, value in case.path_parameters.items()}
            case.query = {name: self._known(name) or value for name, value in case.query.items()}
        if way == "as the example":
            content = described.get("requestBody", {}).get("content", {})
            case.body = content.get(case.media_type, {}).get("example", case.body)
            case.headers = CaseInsensitiveDict()
        headers = {"Accept": "application/json"}  # without it the event feed has no end
        auth = None
        schemes = () if way == "bare" else {name for each in described.get("security", ()) for name in each}
        if "client" in schemes:
            auth = (self._client.client_id, self._client.secret)
        if "bearer" in schemes:
            headers["Authorization"] = f"Bearer {self._bearer()}"
        with requests.Session() as session:
            session.trust_env = False
            response = case.call(
                base_url=self._url,
                session=session,
                headers=headers,
                auth=auth,
                timeout=ANSWER_SECONDS,
                allow_redirects=False,
            )
        self.seen.add(response.status_code)
        case.validate_response(response, checks=CHECKS)
