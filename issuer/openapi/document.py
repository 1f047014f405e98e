"""The OpenAPI document (version 3.1.1): what is said of each endpoint, and the schemas of the types it works with."""

from collections.abc import Mapping
from importlib.metadata import version
from inspect import cleandoc
from typing import Any, Final

import msgspec

from issuer.openapi.admin import ADMIN
from issuer.openapi.agents import AGENTS
from issuer.openapi.browsers import BROWSERS
from issuer.openapi.discovery import DISCOVERY
from issuer.openapi.oauth import OAUTH
from issuer.openapi.operation import Operation
from issuer.openapi.watching import WATCHING

OPERATIONS: Final[Mapping[str, Operation]] = {**OAUTH, **BROWSERS, **DISCOVERY, **ADMIN, **AGENTS, **WATCHING}
"""By method and path, as in ``issuer.endpoints.routes``; a test holds that neither has what the other lacks."""

_TAGS: Final = {
    "oauth": "What clients use: tokens, revocation, introspection, UserInfo.",
    "browsers": "Where browsers are sent, and what people see there.",
    "discovery": "What clients and verifiers find out by themselves.",
    "admin": "What operators use.",
    "agents": "What verifiers say of themselves, and read where they cannot reach the log.",
    "watching": "What those use who keep the issuer running.",
}

_CLIENT: Final = (
    "A client that has registered; also client_secret_post and private_key_jwt, whose parameters are in the form."
)
_BEARER: Final = (
    "An access token of this issuer, in the Authorization header (RFC 6750). A scope is named where one is needed."
)

_SECURITY: Final = {
    "client": {"type": "http", "scheme": "basic", "description": _CLIENT},
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": _BEARER},
}

_WORDS: Final = (
    "OAuth 2 with tokens that can be taken back within milliseconds. Each grant that is installed beside those of the "
    "issuer itself may take further parameters at the token endpoint."
)


def document(issuer: str) -> dict[str, Any]:
    """All endpoints of an issuer.

    Args:
        issuer: its identifier, below which they are.
    """
    bodies = [body for operation in OPERATIONS.values() for body in operation.bodies()]
    distinct = list({id(body): body for body in bodies}.values())
    schemas, components = msgspec.json.schema_components(distinct, ref_template="#/components/schemas/{name}")
    for schema in components.values():
        schema["description"] = cleandoc(schema["description"])
    by_body = {id(body): schema for body, schema in zip(distinct, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for place, operation in OPERATIONS.items():
        method, path = place.lower().split(" ")[0], place.split(" ")[1]
        paths.setdefault(path, {})[method] = operation.described(path, method, by_body)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Tocsin issuer",
            "version": version("tocsin"),
            "description": _WORDS,
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": issuer}],
        "tags": [{"name": name, "description": what} for name, what in _TAGS.items()],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SECURITY},
    }
