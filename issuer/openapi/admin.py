"""What operators use."""

from collections.abc import Mapping
from typing import Any, Final

from issuer.endpoints.admin import KEYS, READ, REVOKE
from issuer.endpoints.admin_agents import RemoveBody
from issuer.endpoints.admin_keys import RevokeKeyBody, RotateBody
from issuer.endpoints.admin_revocations import LiftBody, RevokeBody
from issuer.endpoints.admin_users import ReasonBody
from issuer.openapi.bodies import (
    AgentNamed,
    ClientEnd,
    ClientNamed,
    EventReceipt,
    Fleet,
    KeyDecision,
    ListedTokenKeys,
    Revocations,
    UserDecision,
    UserEnd,
)
from issuer.openapi.operation import BODY_ERRORS, Answer, Operation, Parameter
from issuer.revocations import Revocation
from verifier_agent.hot.report import ConfigurationReport

_WAIT: Final = Parameter(
    "Prefer",
    "header",
    "wait=n: the answer waits up to n seconds until the log has what was decided (RFC 7240).",
    {"type": "string", "pattern": "^wait=[0-9]$"},
)
_KEY: Final = Parameter(
    "Idempotency-Key",
    "header",
    "By what the caller will know this call again; goes with digests.",
    {"type": "string", "pattern": "^[!#-~]{1,128}$"},
)
_ID: Final = Parameter("id", "path", "Of a revocation.", {"type": "string", "pattern": r"^[0-9]{1,5}\.[0-9]{1,9}$"})
_WAIT_ALL: Final = Parameter(
    "Prefer",
    "header",
    "wait=n: the answer waits up to n seconds until all have (RFC 7240).",
    _WAIT.schema,
)
_KEY_SET: Final = Parameter("id", "path", "Of a key set.", _ID.schema)
_AGENT: Final = Parameter("id", "path", "Of an agent.")
_KID: Final = Parameter("kid", "path", "Of a key.")
_CLIENT: Final = Parameter("client_id", "path", "Of a client.")
_USER: Final = Parameter("username", "path", "Of a user.")
_LIMIT: Final = Parameter("limit", "query", "How many.", {"type": "integer", "minimum": 1, "maximum": 1000})
_BEFORE: Final = Parameter("before", "query", "Go on after the revocation with this id.", _ID.schema)


def _reads(summary: str, *parameters: Parameter, body: Any, errors: tuple[int, ...] = ()) -> Operation:
    return Operation(
        tag="admin",
        summary=summary,
        security={"bearer": (READ,)},
        parameters=parameters,
        answers={200: Answer("What there is.", body)},
        errors=(401, 403, *errors, 503),
    )


def _decides(
    summary: str,
    scope: str,
    *parameters: Parameter,
    body: Any,
    answers: Mapping[int, Answer],
    errors: tuple[int, ...] = (),
    example: Mapping[str, Any] | None = None,
) -> Operation:
    return Operation(
        tag="admin",
        summary=summary,
        security={"bearer": (scope,)},
        parameters=parameters,
        body=body,
        example={"reason": "laptop stolen", **(example or {})},
        answers=answers,
        errors=(*BODY_ERRORS, 401, 403, *errors, 503),
    )


ADMIN: Final[Mapping[str, Operation]] = {
    "POST /admin/v1/revocations": _decides(
        "Revoke tokens",
        REVOKE,
        *(_WAIT, _KEY),
        body=RevokeBody,
        example={"selector": {"sub": "alice"}},
        answers={
            201: Answer("It is durable, and enforced here.", Revocation, headers={"Location": "Where it is shown."}),
            200: Answer(
                "It was decided before, under this key.", Revocation, headers={"Location": "Where it is shown."}
            ),
        },
        errors=(409,),
    ),
    "GET /admin/v1/revocations": _reads(
        "Revocations, the newest first", _LIMIT, _BEFORE, body=Revocations, errors=(400, 404)
    ),
    "GET /admin/v1/revocations/{id}": _reads("A revocation", _ID, body=Revocation, errors=(404,)),
    "POST /admin/v1/revocations/{id}/lift": _decides(
        "Take exactly this one back",
        REVOKE,
        *(_ID, _WAIT),
        body=LiftBody,
        answers={200: Answer("It is lifted.", Revocation)},
        errors=(404, 409),
    ),
    "GET /admin/v1/keys": _reads("Every token key with its state", body=ListedTokenKeys),
    "POST /admin/v1/keys/rotate": _decides(
        "The standby signs from now on",
        KEYS,
        _WAIT,
        body=RotateBody,
        example={"force": True},
        answers={200: Answer("It does.", KeyDecision)},
        errors=(404, 409),
    ),
    "POST /admin/v1/keys/{kid}/revoke": _decides(
        "Every token of this key is refused, for good",
        KEYS,
        *(_KID, _WAIT),
        body=RevokeKeyBody,
        answers={200: Answer("They are.", KeyDecision)},
        errors=(404, 409),
    ),
    "GET /admin/v1/revocations/{id}/receipts": _reads(
        "Which agents have applied it", _ID, _WAIT_ALL, body=EventReceipt, errors=(404,)
    ),
    "GET /admin/v1/keys/receipts/{id}": _reads(
        "Which agents have applied that key set", _KEY_SET, _WAIT_ALL, body=EventReceipt, errors=(404,)
    ),
    "GET /admin/v1/agents": _reads("Every agent with how it stands", body=Fleet),
    "POST /admin/v1/agents/{id}/remove": _decides(
        "Nothing waits for this agent any more",
        KEYS,
        _AGENT,
        body=RemoveBody,
        answers={200: Answer("Nothing does.", AgentNamed)},
        errors=(404, 409),
    ),
    "POST /admin/v1/users/{username}/disable": _decides(
        "The user may do nothing any more, and everything of theirs is revoked",
        REVOKE,
        _USER,
        body=ReasonBody,
        answers={200: Answer("So it is.", UserEnd)},
        errors=(404, 409),
    ),
    "POST /admin/v1/users/{username}/enable": _decides(
        "The user may log in again",
        REVOKE,
        _USER,
        body=ReasonBody,
        answers={200: Answer("They may.", UserDecision)},
        errors=(404, 409),
    ),
    "POST /admin/v1/users/{username}/delete": _decides(
        "The user's record is gone for good, and everything of theirs is revoked",
        REVOKE,
        _USER,
        body=ReasonBody,
        answers={200: Answer("So it is.", UserEnd)},
        errors=(404, 409),
    ),
    "POST /admin/v1/clients/{client_id}/disable": _decides(
        "The client may do nothing any more, and all of its tokens are revoked",
        REVOKE,
        _CLIENT,
        body=ReasonBody,
        answers={200: Answer("So it is.", ClientEnd)},
        errors=(404, 409),
    ),
    "POST /admin/v1/clients/{client_id}/enable": _decides(
        "The client may ask for tokens again",
        REVOKE,
        _CLIENT,
        body=ReasonBody,
        answers={200: Answer("It may.", ClientNamed)},
        errors=(404,),
    ),
    "POST /admin/v1/clients/{client_id}/delete": _decides(
        "Nothing is left of the client, and all of its tokens are revoked",
        REVOKE,
        _CLIENT,
        body=ReasonBody,
        answers={200: Answer("So it is.", ClientEnd)},
        errors=(404, 409),
    ),
    "GET /admin/v1/config": _reads(
        "What configuration is in force at the process that answers", body=ConfigurationReport, errors=(404,)
    ),
}
