"""Keys of foreign issuers (Keycloak, Auth0 …) from their JWKS documents.

For the keys of our own issuer this package is not: they come from signed events alone (see ``refuse_own_issuer``).
``verifier_agent.jwks.http_fetcher`` needs aiohttp, an extra, and is imported by who fetches.
"""

from verifier_agent.jwks.document import ForeignKey, JwksDocument, parse_jwks
from verifier_agent.jwks.errors import FailureCode, JwksFailed
from verifier_agent.jwks.foreign_keys import ForeignKeys
from verifier_agent.jwks.refresher import JwksRefresher
from verifier_agent.jwks.settings import ForeignIssuer, read_foreign_issuers, refuse_own_issuer
from verifier_agent.jwks.source import Answer, JwksFetcher
from verifier_agent.jwks.unknown_kids import Missing

__all__ = [
    "Answer",
    "FailureCode",
    "ForeignIssuer",
    "ForeignKey",
    "ForeignKeys",
    "JwksDocument",
    "JwksFailed",
    "JwksFetcher",
    "JwksRefresher",
    "Missing",
    "parse_jwks",
    "read_foreign_issuers",
    "refuse_own_issuer",
]
