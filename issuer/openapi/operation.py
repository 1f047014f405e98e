"""What is said of an endpoint: what it takes, what it answers, who may ask."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Literal

import msgspec

from issuer.openapi.bodies import Error

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
HTML: Final = "text/html"

ERRORS: Final[Mapping[int, str]] = {
    400: "The request lacks something, repeats something, or asks for what is not possible.",
    401: "Nobody has authenticated, or not well.",
    403: "Whoever asks may not do this.",
    404: "What was named is not there.",
    409: "What is there does not allow it.",
    410: "The position is not in the store any more.",
    413: "The body is too large.",
    429: "It was asked too often; Retry-After says when to come again.",
    503: "It cannot be done right now.",
}
"""When an error is answered; the answer itself says more."""

_WORD: Final = re.compile(r"[A-Za-z0-9]+")

BODY_ERRORS: Final = (400, 413)
"""What any call with a body may be answered."""


class Parameter(msgspec.Struct, frozen=True):
    """A parameter in the address or a header.

    Attributes:
        name: of it.
        where: it stands.
        what: it means.
        schema: as in JSON Schema; text without it.
        required: whether it has to be there; in a path it has.
    """

    name: str
    where: Literal["path", "query", "header"]
    what: str
    schema: dict[str, Any] = {}
    required: bool = False

    def described(self) -> dict[str, Any]:
        """The parameter object."""
        return {
            "name": self.name,
            "in": self.where,
            "description": self.what,
            "required": self.required or self.where == "path",
            "schema": self.schema or {"type": "string"},
        }


class Answer(msgspec.Struct, frozen=True):
    """An answer that is no error.

    Attributes:
        what: it means.
        body: its type; ``None`` for one that has no schema, or no body.
        media: its content types; none when it has no body.
        headers: that come with it, with what they say.
    """

    what: str
    body: Any = None
    media: tuple[str, ...] = (JSON,)
    headers: Mapping[str, str] = {}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A method at an address.

    Attributes:
        tag: what it belongs to.
        summary: in a few words.
        security: one of the schemes of ``document``, and the scopes that it takes; none is needed where this is empty.
        parameters: in the address and the headers.
        body: type of the request's body; ``None`` for none.
        media: content type of the body.
        body_required: whether it has to be there.
        example: of a body that is taken.
        answers: by status, those that are no errors.
        errors: status of each error that is answered.
        error_media: content type of the errors.
    """

    tag: str
    summary: str
    security: Mapping[str, tuple[str, ...]] = {}
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    media: str = JSON
    body_required: bool = True
    example: Mapping[str, Any] | None = None
    answers: Mapping[int, Answer]
    errors: tuple[int, ...] = ()
    error_media: str = JSON

    def described(self, path: str, method: str, schemas: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
        """The operation object.

        Args:
            path: of the address.
            method: in lower case.
            schemas: of each type in ``bodies``, by its ``id``.
        """
        said: dict[str, Any] = {
            "operationId": "_".join([method, *_WORD.findall(path)]),
            "tags": [self.tag],
            "summary": self.summary,
            "responses": {
                **{str(status): _answer(status, answer, schemas) for status, answer in self.answers.items()},
                **{str(status): self._error(status, schemas) for status in self.errors},
            },
        }
        if self.security:
            said["security"] = [{scheme: list(scopes)} for scheme, scopes in self.security.items()]
        if self.parameters:
            said["parameters"] = [parameter.described() for parameter in self.parameters]
        if self.body is not None:
            taken: dict[str, Any] = {"schema": schemas[id(self.body)]}
            if self.example is not None:
                taken["example"] = self.example
            said["requestBody"] = {"required": self.body_required, "content": {self.media: taken}}
        return said

    def bodies(self) -> list[Any]:
        """Every type that has a schema."""
        bodies = [self.body, *(answer.body for answer in self.answers.values())]
        return [Error, *(body for body in bodies if body is not None)]

    def _error(self, status: int, schemas: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
        schema = schemas[id(Error)] if self.error_media == JSON else {}
        return {"description": ERRORS[status], "content": {self.error_media: {"schema": schema}}}


def _answer(status: int, answer: Answer, schemas: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    said: dict[str, Any] = {"description": answer.what or HTTPStatus(status).phrase}
    schema = {} if answer.body is None else schemas[id(answer.body)]
    if answer.media:
        said["content"] = {media: {"schema": schema if media == JSON else {}} for media in answer.media}
    if answer.headers:
        said["headers"] = {
            name: {"description": what, "required": True, "schema": {"type": "string"}}
            for name, what in answer.headers.items()
        }
    return said
