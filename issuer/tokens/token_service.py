"""Creates and reads access tokens (RFC 9068); creates the ID tokens that go with them."""

import logging
import math
import secrets
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from events import format_seq
from issuer.errors import OAuthError
from issuer.families import Family, Standing
from issuer.families.family_store import CLAIM
from issuer.grants import Authorization
from issuer.keys.key_service import KeyService
from issuer.keys.signing import SigningKey, SigningThreads
from issuer.openid import OPENID, id_token_claims
from issuer.openid.id_tokens import TYPE as ID_TOKEN
from issuer.outbox.own_agent import OwnAgent
from issuer.settings import IssuerSettings
from issuer.tokens.enhancers import Enhancer, enhanced
from verifier_agent import Claims, Secret
from verifier_agent.clocks import Clock
from verifier_agent.hot import Live

log = logging.getLogger(__name__)

BEARER: Final = "Bearer"
"""RFC 6750."""


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A successful answer (RFC 6749 section 5.1). Its ``repr`` would show the token, so it has none."""

    access_token: str
    expires_in: int
    scope: str
    token_type: str
    refresh_token: str | None = None
    issued_token_type: str | None = None
    id_token: str | None = None

    def __repr__(self) -> str:
        return "IssuedToken(…)"


class TokenService:
    """Signs what was authorized; reads what was signed."""

    def __init__(
        self,
        live: Live[IssuerSettings],
        keys: KeyService,
        own_agent: OwnAgent,
        enhancers: Sequence[Enhancer],
        standing: Standing,
        clock: Clock,
        threads: SigningThreads,
    ) -> None:
        self._live = live
        self._keys = keys
        self._own_agent = own_agent
        self._enhancers = enhancers
        self._standing = standing
        self._clock = clock
        self._threads = threads

    async def create(self, authorization: Authorization) -> IssuedToken:
        """An access token that says what was authorized; with scope ``openid`` of a user's, an ID token too.

        It carries ``rsq``, the revocation knowledge that the authorization rests on: a revocation after that hits it.
        What was granted before must still stand, held against the claims that are about to be signed.

        Raises:
            OAuthError: ``invalid_grant``, when it does not.
        """
        client, settings = authorization.client, self._live.now
        wanted = client.token_lifetime or settings.access_token_lifetime
        now = int(self._clock.now())
        lifetime = int(min(wanted, settings.token_lifetime_ceiling, (authorization.not_after or math.inf) - now))
        claims: dict[str, Any] = await enhanced(authorization, self._enhancers)
        claims |= {
            "iss": settings.issuer,
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
        if authorization.family is not None:
            self._check_standing(authorization.family, claims)
        key = await self._signing_key(client.token_alg)  # without one, nothing is to be taken
        refresh_token: Secret | None = None
        if authorization.take is not None:
            refresh_token = await authorization.take()
            key = await self._signing_key(client.token_alg)  # again: that may have taken long
        access_token = await self._threads.sign(key, claims, "at+jwt")
        return IssuedToken(
            access_token=access_token,
            expires_in=lifetime,
            scope=scope,
            token_type=BEARER,
            refresh_token=None if refresh_token is None else refresh_token.reveal(),
            issued_token_type=authorization.token_type,
            id_token=await self._id_token(authorization, key, access_token, now),
        )

    async def _signing_key(self, alg: str | None) -> SigningKey:
        """The key that signs, as it is published; also to a process that was stopped, and is going on."""
        await self._own_agent.wake_up()
        return await self._keys.signing.active(self._own_agent.verifier.state.keys.published, alg)

    async def _id_token(self, authorization: Authorization, key: SigningKey, access_token: str, now: int) -> str | None:
        if authorization.family is None or OPENID not in authorization.scope:
            return None
        settings = self._live.now
        claims = id_token_claims(
            authorization,
            authorization.family,
            issuer=settings.issuer,
            access_token=access_token,
            alg=key.alg,
            now=now,
            lifetime=settings.id_token_lifetime,
        )
        return await self._threads.sign(key, claims, ID_TOKEN)

    def stands(self, family: Family) -> bool:
        """Whether a family has not been revoked by anything but the claims that enhancers add."""
        claims = {"sub": family.sub, "client_id": family.client_id, "aud": family.audience[:1]}
        claims |= {"scope": " ".join(family.scope), **_family_claims(family)}
        return self._standing.ended_by(claims, family.gsq, family.auth_time) is None

    async def would_stand(self, authorization: Authorization) -> bool:
        """Whether a family that is to be begun has not been revoked already, claims that enhancers add included.

        A user whose login is older than such a revocation must log in again, and a code is too late to say so.
        """
        family = authorization.family
        if family is None:
            return True
        claims = await enhanced(authorization, self._enhancers)
        claims |= {"sub": family.sub, "client_id": family.client_id, "aud": family.audience}
        claims |= {"scope": " ".join(family.scope), **_family_claims(family)}
        return self._standing.ended_by(claims, family.gsq, family.auth_time) is None

    def _check_standing(self, family: Family, claims: dict[str, Any]) -> None:
        claims |= _family_claims(family)
        ended_by = self._standing.ended_by(claims, family.gsq, family.auth_time)
        if ended_by is not None:
            log.info("grant_revoked", extra={"grant_id": family.id, "revocation": format_seq(ended_by)})
            raise OAuthError("invalid_grant", "what was granted has been revoked")

    def read(self, token: str, *, audience: str | None = None, scope: str | None = None) -> Claims:
        """The claims of a token of ours that is good now; for any audience unless one is named.

        Raises:
            TokenRejected: it is not.
            VerificationUnavailable: we cannot say.
        """
        return self._own_agent.verify(token, audience=audience, scope=scope)


def _family_claims(family: Family) -> dict[str, Any]:
    """What every access token of a family says because it comes of it."""
    return {**family.claims, CLAIM: family.id, "auth_time": int(family.auth_time)}
