"""Grants: how a client comes to a token. Each is a strategy with one method, composed when the issuer starts."""

from issuer.grants.grant import Authorization, Grant, GrantRequest
from issuer.grants.registry import load_grants, offered_grants

__all__ = ["Authorization", "Grant", "GrantRequest", "load_grants", "offered_grants"]
