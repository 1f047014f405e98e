"""What clients and verifiers find out by themselves."""

from collections.abc import Mapping
from typing import Any, Final

from issuer.openapi.bodies import Document, KeySet, ProviderMetadata, ServerMetadata
from issuer.openapi.operation import Answer, Operation

_KEPT: Final = {"Cache-Control": "For how long it may be kept."}


def _public(summary: str, what: str, body: Any) -> Operation:
    return Operation(tag="discovery", summary=summary, answers={200: Answer(what, body, headers=_KEPT)})


DISCOVERY: Final[Mapping[str, Operation]] = {
    "GET /.well-known/oauth-authorization-server": _public(
        "Metadata (RFC 8414)", "What works, and nothing else.", ServerMetadata
    ),
    "GET /.well-known/openid-configuration": _public(
        "Metadata (OpenID Connect Discovery)", "The same, and what only OpenID Connect has.", ProviderMetadata
    ),
    "GET /.well-known/jwks.json": _public("Keys that verify (RFC 7517)", "The standby is among them.", KeySet),
    "GET /admin/v1/openapi.json": _public("This document", "It names every endpoint.", Document),
}
