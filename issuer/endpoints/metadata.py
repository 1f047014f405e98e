"""Metadata (RFC 8414, OpenID Connect Discovery) and the JWK set (RFC 7517). They name what works, and nothing else."""

from typing import Any, Final

from aiohttp import web

from events import jose
from issuer.endpoints import global_revocation
from issuer.endpoints.answers import json_answer
from issuer.endpoints.client_authentication import METHODS, PROOFS
from issuer.endpoints.cross_origin import for_any_origin
from issuer.endpoints.services import SERVICES, Services
from issuer.openid.discovery import provider_metadata

KEPT: Final = {"Cache-Control": "public, max-age=300"}


@for_any_origin
async def metadata(request: web.Request) -> web.Response:
    """``GET /.well-known/oauth-authorization-server``."""
    return json_answer(_document(request.app[SERVICES]), headers=KEPT)


@for_any_origin
async def openid_configuration(request: web.Request) -> web.Response:
    """``GET /.well-known/openid-configuration``: the same, and what only OpenID Connect has."""
    services = request.app[SERVICES]
    settings = services.settings
    more = provider_metadata(settings.issuer, settings.signing_algorithms)
    return json_answer(_document(services) | more, headers=KEPT)


def _document(services: Services) -> dict[str, Any]:
    issuer = services.settings.issuer
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth2/authorize",
        "token_endpoint": f"{issuer}/oauth2/token",
        "device_authorization_endpoint": f"{issuer}/oauth2/device_authorization",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "grant_types_supported": sorted(services.grants),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "end_session_endpoint": f"{issuer}/oauth2/logout",
        "token_endpoint_auth_methods_supported": list(METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(jose.ALGORITHMS),
        "revocation_endpoint": f"{issuer}/oauth2/revoke",
        "revocation_endpoint_auth_methods_supported": list(METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": list(jose.ALGORITHMS),
        "global_token_revocation_endpoint": f"{issuer}/oauth2/global-token-revocation",
        "global_token_revocation_endpoint_auth_methods_supported": list(global_revocation.AUTH_METHODS),
        "introspection_endpoint": f"{issuer}/oauth2/introspect",
        "introspection_endpoint_auth_methods_supported": list(PROOFS),
        "introspection_endpoint_auth_signing_alg_values_supported": list(jose.ALGORITHMS),
    }


@for_any_origin
async def jwks(request: web.Request) -> web.Response:
    """``GET /.well-known/jwks.json``: the keys that verify, the standby among them."""
    keyring = request.app[SERVICES].own_agent.verifier.state.keys
    keys = [key.jwk for key in keyring.published if key.jwk is not None and keyring.verifies(key.kid)]
    return json_answer({"keys": keys}, headers={"Cache-Control": "public, max-age=60"})
