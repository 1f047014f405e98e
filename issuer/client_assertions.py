"""Client authentication by a signed JWT: ``private_key_jwt`` (RFC 7523, OpenID Connect Core section 9).

The audience is the issuer's identifier and nothing else (draft-ietf-oauth-rfc7523bis): an assertion for the token
endpoint's URL, or for several audiences, could be one that a client had made for somebody who pretends to be us.
"""

import hashlib
import logging
from typing import Any, Final

import msgspec
from sqlalchemy import delete, insert
from sqlalchemy.exc import IntegrityError

from events import base64url, jose
from issuer.clients import Client, ClientStore
from issuer.errors import OAuthError, invalid_client, invalid_request
from issuer.store.database import Database
from issuer.store.schema import assertions
from verifier_agent.clocks import Clock

log = logging.getLogger(__name__)

TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
METHOD: Final = "private_key_jwt"
MAX_CHARS: Final = 8192
MAX_LIFE: Final = 600.0
"""Seconds that an assertion may be good for; for so long its ``jti`` is kept."""
MAX_JTI: Final = 256
_TYPES: Final = (None, "JWT", "jwt", "client-authentication+jwt")


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str | None = None
    typ: str | None = None
    crit: Any = None


class _Said(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    aud: Any
    exp: float
    jti: str
    nbf: float | None = None
    iat: float | None = None


class ClientAssertions:
    """Takes each assertion once."""

    def __init__(self, issuer: str, skew: float, database: Database, clients: ClientStore, clock: Clock) -> None:
        """Set up.

        Args:
            issuer: identifier of the issuer, the audience that an assertion must have.
            skew: seconds by which a client's clock may differ.
            database: keeps what has been taken.
            clients: have the keys.
            clock: of this machine.
        """
        self._issuer = issuer
        self._skew = skew
        self._database = database
        self._clients = clients
        self._clock = clock

    async def authenticate(self, assertion_type: str, assertion: str) -> Client:
        """The client that signed the assertion.

        Raises:
            OAuthError: ``invalid_client``, with what is wrong about it; ``invalid_request`` for another type.
        """
        if assertion_type != TYPE:
            raise invalid_request(f"client_assertion_type must be {TYPE}")
        header, said, signing_input, signature = _parsed(assertion)
        client = await self._clients.find(said.sub)
        if client is None or said.iss != said.sub or not _is_signed(client, header, signing_input, signature):
            raise _refused("it is not signed by a key of this client")
        self._check(header, said)
        await self._take(said)
        return client

    async def purge(self) -> None:
        """Forget what is past."""
        async with self._database.write() as connection:
            await connection.execute(delete(assertions).where(assertions.c.expires_at < self._database.time()))

    def _check(self, header: _Header, said: _Said) -> None:
        now = self._clock.now()
        if header.typ not in _TYPES or header.crit is not None:
            raise _refused("its typ or crit is not that of a client assertion")
        if said.aud != self._issuer:
            raise _refused("its aud must be the issuer's identifier, as one string")
        if now >= said.exp + self._skew:
            raise _refused("its exp has passed")
        if said.exp > now + MAX_LIFE + self._skew:
            raise _refused(f"it is good for longer than {MAX_LIFE:.0f} s")
        if max(said.nbf or 0.0, said.iat or 0.0) > now + self._skew:
            raise _refused("its nbf or iat lies ahead")
        if not 1 <= len(said.jti) <= MAX_JTI:
            raise _refused(f"its jti must be 1 to {MAX_JTI} characters")

    async def _take(self, said: _Said) -> None:
        """Use it up; two that come at once with the same ``jti`` meet at the primary key."""
        name = hashlib.sha256(msgspec.json.encode([said.sub, said.jti])).digest()
        kept_until = self._database.time() + (said.exp - self._clock.now()) + 2 * self._skew
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(assertions).values(name=name, expires_at=kept_until))
        except IntegrityError as error:
            log.warning("client_assertion_replayed", extra={"client_id": said.sub})
            raise _refused("it was used before") from error


def check_keys(keys: tuple[dict[str, str], ...]) -> None:
    """Refuse keys that no assertion could be verified with, or that are not public.

    Raises:
        ValueError: names the key by its place, and what is wrong.
    """
    for place, key in enumerate(keys, start=1):
        if "d" in key or "k" in key:
            raise ValueError(f"key {place} is not a public key")
        try:
            jose.parse_key(key)
        except ValueError as error:
            raise ValueError(f"key {place}: {error}") from error


def _parsed(assertion: str) -> tuple[_Header, _Said, bytes, bytes]:
    if len(assertion) > MAX_CHARS:
        raise _refused(f"it is longer than {MAX_CHARS} characters")
    try:
        signing_input, _, signature = assertion.encode("ascii").rpartition(b".")
        header, _, payload = signing_input.partition(b".")
        return (
            msgspec.json.decode(base64url.decode(header), type=_Header),
            msgspec.json.decode(base64url.decode(payload), type=_Said),
            signing_input,
            base64url.decode(signature),
        )
    except (ValueError, RecursionError) as error:
        raise _refused("it is no JWT with iss, sub, aud, exp and jti") from error


def _is_signed(client: Client, header: _Header, signing_input: bytes, signature: bytes) -> bool:
    for each in client.jwks:
        if each["alg"] == header.alg and header.kid in (None, each.get("kid")):
            try:
                if jose.is_signed_by(jose.parse_key(each), signing_input, signature):
                    return True
            except ValueError:
                continue
    return False


def _refused(why: str) -> OAuthError:
    return invalid_client(f"the client assertion was refused: {why}")
