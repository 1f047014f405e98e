"""Creates and reads access tokens (RFC 9068)."""

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from issuer.grants import Authorization
from issuer.keys.key_service import KeyService
from issuer.outbox.own_agent import OwnAgent
from issuer.settings import IssuerSettings
from issuer.tokens.enhancers import Enhancer, enhanced
from verifier_agent import Claims
from verifier_agent.clocks import Clock


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A successful answer (RFC 6749 section 5.1). Its ``repr`` would show the token, so it has none."""

    access_token: str
    expires_in: int
    scope: str
    token_type: str = "Bearer"  # noqa: S105 - RFC 6750

    def __repr__(self) -> str:
        return "IssuedToken(…)"


class TokenService:
    """Signs what was authorized; reads what was signed."""

    def __init__(
        self,
        settings: IssuerSettings,
        keys: KeyService,
        own_agent: OwnAgent,
        enhancers: Sequence[Enhancer],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._own_agent = own_agent
        self._enhancers = enhancers
        self._clock = clock

    async def create(self, authorization: Authorization) -> IssuedToken:
        """An access token that says what was authorized.

        It carries ``rsq``, the revocation knowledge that the authorization rests on: a revocation after that hits it.
        """
        client = authorization.client
        wanted = client.token_lifetime or self._settings.access_token_lifetime
        lifetime = int(min(wanted, self._settings.token_lifetime_ceiling))
        now = int(self._clock.now())
        key = await self._keys.signing_key(self._own_agent.verifier.state.keys.published, client.token_alg)
        claims: dict[str, Any] = await enhanced(authorization, self._enhancers)
        claims |= {
            "iss": self._settings.issuer,
            "sub": authorization.subject,
            "aud": authorization.audience[0] if len(authorization.audience) == 1 else authorization.audience,
            "exp": now + lifetime,
            "iat": now,
            "jti": secrets.token_urlsafe(16),
            "client_id": client.client_id,
            "rsq": authorization.rsq,
        }
        scope = " ".join(authorization.scope)
        if scope:
            claims["scope"] = scope
        return IssuedToken(access_token=key.sign(claims, "at+jwt"), expires_in=lifetime, scope=scope)

    def read(self, token: str, *, audience: str | None = None, scope: str | None = None) -> Claims:
        """The claims of a token of ours that is good now; for any audience unless one is named.

        Raises:
            TokenRejected: it is not.
            VerificationUnavailable: we cannot say.
        """
        return self._own_agent.verify(token, audience=audience, scope=scope)
