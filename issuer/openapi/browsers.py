"""Where browsers are sent, and what people see there."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from issuer.openapi.bodies import AuthorizationForm, ConsentForm, LoginForm, LogoutForm, LogoutRequest, UserCodeForm
from issuer.openapi.operation import BODY_ERRORS, FORM, HTML, Answer, Operation, Parameter

_PAGE: Final = Answer("A page for the person.", media=(HTML,))
_ELSEWHERE: Final = Answer("The browser goes on, by GET.", media=(), headers={"Location": "Where."})
_REQUEST: Final = Parameter("request", "query", "What goes on, sealed by us.")


def _parameters(form: type) -> tuple[Parameter, ...]:
    """Those of a form that may come in the address too."""
    fields = msgspec.structs.fields(form)
    return tuple(Parameter(field.name, "query", "As in the form.", required=field.required) for field in fields)


def _shows(
    summary: str, *parameters: Parameter, answers: Mapping[int, Answer], errors: tuple[int, ...] = ()
) -> Operation:
    return Operation(
        tag="browsers",
        summary=summary,
        parameters=parameters,
        answers=answers,
        errors=(400, *errors, 503),
        error_media=HTML,
    )


def _takes(summary: str, body: Any, answers: Mapping[int, Answer], **example: str) -> Operation:
    return Operation(
        tag="browsers",
        summary=summary,
        body=body,
        media=FORM,
        example=example or None,
        answers=answers,
        errors=(*BODY_ERRORS, 429, 503),
        error_media=HTML,
    )


BROWSERS: Final[Mapping[str, Operation]] = {
    "GET /oauth2/authorize": _shows(
        "A client asks for a code (RFC 6749 section 4.1.1), after login and consent",
        *_parameters(AuthorizationForm),
        answers={200: _PAGE, 303: _ELSEWHERE},
    ),
    "POST /oauth2/authorize": _takes(
        "The same by form (OpenID Connect Core section 3.1.2.1)",
        AuthorizationForm,
        {303: _ELSEWHERE},
        response_type="code",
        client_id="web",
        redirect_uri="https://app.example/callback",
    ),
    "GET /oauth2/continue": _shows(
        "A client's request goes on after a login", _REQUEST, answers={200: _PAGE, 303: _ELSEWHERE}
    ),
    "POST /oauth2/login": _takes("The form of the login page", LoginForm, {200: _PAGE, 303: _ELSEWHERE}),
    "POST /oauth2/consent": _takes("The form of the consent page", ConsentForm, {200: _PAGE, 303: _ELSEWHERE}),
    "GET /oauth2/device": _shows(
        "Where a person lets a device in (RFC 8628 section 3.3)",
        Parameter("user_code", "query", "Is filled in."),
        _REQUEST,
        answers={200: _PAGE},
        errors=(429,),
    ),
    "POST /oauth2/device": _takes("The form of that page", UserCodeForm, {200: _PAGE}),
    "POST /oauth2/device/decision": _takes("The form of the page that asks", ConsentForm, {200: _PAGE}),
    "GET /oauth2/logout": _shows(
        "A client asks to log its user out (OpenID Connect RP-Initiated Logout)",
        *_parameters(LogoutRequest),
        answers={200: _PAGE, 303: _ELSEWHERE},
    ),
    "POST /oauth2/logout": _takes(
        "The same by form, and the form of the page that asks the user",
        LogoutForm,
        {200: _PAGE, 303: _ELSEWHERE},
        client_id="web",
    ),
    "GET /oauth2/pages/{name}": Operation(
        tag="browsers",
        summary="The stylesheet of the pages, named by its content",
        parameters=(
            Parameter(
                "name", "path", "Of the stylesheet.", {"type": "string", "pattern": r"^style-[0-9a-f]{16}\.css$"}
            ),
        ),
        answers={200: Answer("It may be kept for ever.", media=("text/css",), headers={"Cache-Control": "For ever."})},
        errors=(404,),
    ),
}
