"""OpenID Connect: what clients are told of a user who has logged in, beside the access token."""

from issuer.openid.id_tokens import id_token_claims
from issuer.openid.scope_claims import OPENID, released

__all__ = ["OPENID", "id_token_claims", "released"]
