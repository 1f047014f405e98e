"""What verifiers say of themselves, and read where they cannot reach the event log."""

from collections.abc import Mapping
from typing import Final

from events.log.feed_settings import SCOPE
from events.log.server_sent import MEDIA_TYPE
from events.streams import FOLLOWED
from issuer.endpoints.agents import SCOPE as ENROL
from issuer.endpoints.agents import EnrolBody
from issuer.openapi.bodies import Enrolled, FeedHeads, Nothing, PositionLost
from issuer.openapi.operation import BODY_ERRORS, JSON, Answer, Operation, Parameter

_READER: Final[Mapping[str, tuple[str, ...]]] = {"bearer": (SCOPE,)}
_AGENT: Final[Mapping[str, tuple[str, ...]]] = {"bearer": (ENROL,)}
_STREAM: Final = Parameter(
    "stream", "query", "Which stream; all by default.", {"enum": [str(each) for each in FOLLOWED]}
)
_POSITION: Final = "Go on after this event."

AGENTS: Final[Mapping[str, Operation]] = {
    "POST /agents": Operation(
        tag="agents",
        summary="An agent enrols, and is waited for from then on",
        security=_AGENT,
        body=EnrolBody,
        answers={200: Answer("It is enrolled; the same key is the same agent.", Enrolled)},
        errors=(*BODY_ERRORS, 401, 403, 409, 503),
    ),
    "POST /agents/status": Operation(
        tag="agents",
        summary="An agent says how it is, by one signed event",
        security=_AGENT,
        body=str,
        media="application/secevent+jwt",
        answers={202: Answer("It is taken.", Nothing)},
        errors=(*BODY_ERRORS, 401, 403, 404, 503),
    ),
    "GET /events": Operation(
        tag="agents",
        summary="Every event, and then what is decided: for as long as the reader stays",
        security=_READER,
        parameters=(
            _STREAM,
            Parameter("last_event_id", "query", _POSITION),
            Parameter("Last-Event-ID", "header", _POSITION + " It counts before that in the address."),
        ),
        answers={
            200: Answer(
                "Server-sent events; with Accept: application/json their position.", FeedHeads, (MEDIA_TYPE, JSON)
            ),
            410: Answer("The position is not in the store any more.", PositionLost),
        },
        errors=(400, 401, 403, 404, 503),
    ),
    "GET /snapshot": Operation(
        tag="agents",
        summary="All that agents must know, for them to start from",
        security=_READER,
        parameters=(
            Parameter(
                "If-None-Match", "header", "What the reader has.", {"type": "string", "pattern": '^"[0-9a-f]{64}"$'}
            ),
        ),
        answers={
            200: Answer(
                "The seal in one line, then the bytes that it names.",
                media=("application/octet-stream",),
                headers={"ETag": "Its hash."},
            ),
            304: Answer("The reader has the newest.", media=()),
        },
        errors=(401, 403, 404, 503),
    ),
}
