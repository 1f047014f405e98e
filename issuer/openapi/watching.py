"""What those use who keep the issuer running."""

from collections.abc import Mapping
from typing import Final

from issuer.openapi.bodies import Health, Readiness
from issuer.openapi.operation import Answer, Operation

WATCHING: Final[Mapping[str, Operation]] = {
    "GET /livez": Operation(
        tag="watching", summary="Whether the process answers", answers={200: Answer("It does.", Health)}
    ),
    "GET /readyz": Operation(
        tag="watching",
        summary="Whether it can issue and revoke",
        answers={200: Answer("It can.", Readiness), 503: Answer("It cannot.", Readiness)},
    ),
    "GET /metrics": Operation(
        tag="watching",
        summary="Metrics, for Prometheus",
        answers={200: Answer("What this process counts and knows.", media=("text/plain",))},
    ),
}
