"""What clients use."""

from collections.abc import Mapping
from typing import Final

from issuer.endpoints.admin import REVOKE
from issuer.endpoints.global_revocation import Body as SubjectBody
from issuer.openapi.bodies import AboutToken, BearerForm, DeviceCodes, DeviceForm, Introspection, TokenForm, UserInfo
from issuer.openapi.operation import BODY_ERRORS, FORM, Answer, Operation
from issuer.tokens.token_service import IssuedToken

_NEVER_KEPT: Final = {"Cache-Control": "no-store: an answer is for whoever asked, and now."}


def _by_client(summary: str, body: type, answer: Answer, example: dict[str, str]) -> Operation:
    """A form that a client sends, authenticated."""
    return Operation(
        tag="oauth",
        summary=summary,
        security={"client": ()},
        body=body,
        media=FORM,
        example=example,
        answers={200: answer},
        errors=(*BODY_ERRORS, 401, 429, 503),
    )


def _userinfo(**body: object) -> Operation:
    return Operation(
        tag="oauth",
        summary="What a client may know of its user (OpenID Connect Core section 5.3)",
        security={"bearer": ("openid",)},
        answers={200: Answer("The claims that the scopes of the token let through.", UserInfo, headers=_NEVER_KEPT)},
        errors=(401, 403, 503, *(BODY_ERRORS if body else ())),
        **body,  # type: ignore[arg-type]
    )


OAUTH: Final[Mapping[str, Operation]] = {
    "POST /oauth2/token": _by_client(
        "An access token by one of the grants (RFC 6749 section 3.2)",
        TokenForm,
        Answer("The token.", IssuedToken, headers=_NEVER_KEPT),
        {"grant_type": "client_credentials"},
    ),
    "POST /oauth2/revoke": _by_client(
        "A client gives back a token of its own (RFC 7009)",
        AboutToken,
        Answer("It is no good any more, or never was.", media=(), headers=_NEVER_KEPT),
        {"token": "eyJhbGciOiJFUzI1NiIs"},
    ),
    "POST /oauth2/device_authorization": _by_client(
        "Codes for a device without a browser (RFC 8628 section 3.1)",
        DeviceForm,
        Answer("The codes.", DeviceCodes, headers=_NEVER_KEPT),
        {"scope": "read"},
    ),
    "POST /oauth2/global-token-revocation": Operation(
        tag="oauth",
        summary="Everything of one user ends (draft-parecki-oauth-global-token-revocation)",
        security={"bearer": (REVOKE,)},
        body=SubjectBody,
        example={"sub_id": {"format": "opaque", "id": "alice"}},
        answers={204: Answer("It has ended.", media=(), headers=_NEVER_KEPT)},
        errors=(*BODY_ERRORS, 401, 403, 404, 503),
    ),
    "POST /oauth2/introspect": _by_client(
        "Whether a token is active, and what it says (RFC 7662)",
        AboutToken,
        Answer("What is known.", Introspection, headers=_NEVER_KEPT),
        {"token": "eyJhbGciOiJFUzI1NiIs"},
    ),
    "GET /oauth2/userinfo": _userinfo(),
    "POST /oauth2/userinfo": _userinfo(body=BearerForm, media=FORM, body_required=False),
    "OPTIONS /oauth2/userinfo": Operation(
        tag="oauth",
        summary="What a browser asks before a page of another origin may ask",
        answers={204: Answer("It may, with a bearer token.", media=(), headers={"Access-Control-Allow-Methods": ""})},
    ),
}
