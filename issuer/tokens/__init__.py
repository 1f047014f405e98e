"""Tokens: created and read by the token service, their claims extended by enhancers."""

from issuer.tokens.enhancers import Enhancer, load_enhancers
from issuer.tokens.token_service import IssuedToken, TokenService

__all__ = ["Enhancer", "IssuedToken", "TokenService", "load_enhancers"]
