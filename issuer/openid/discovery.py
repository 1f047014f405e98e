"""What OpenID Connect Discovery (section 3) adds to the metadata of RFC 8414: what works, and nothing else."""

from collections.abc import Sequence
from typing import Any, Final

from issuer.openid.scope_claims import CLAIMS_OF, SCOPES

_OF_ID_TOKENS: Final = ("iss", "sub", "aud", "exp", "iat", "auth_time", "amr", "at_hash", "sid", "nonce")


def provider_metadata(issuer: str, algorithms: Sequence[str]) -> dict[str, Any]:
    """The members that RFC 8414 does not have, or leaves to OpenID Connect.

    Args:
        issuer: its identifier.
        algorithms: for which there are keys.
    """
    of_users = (name for names in CLAIMS_OF.values() for name in names)
    return {
        "userinfo_endpoint": f"{issuer}/oauth2/userinfo",
        "scopes_supported": list(SCOPES),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(algorithms),
        "claim_types_supported": ["normal"],
        "claims_supported": [*_OF_ID_TOKENS, *of_users],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,  # which would be true if nothing were said
    }
