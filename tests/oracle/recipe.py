"""A token before it is signed, and the keys that sign it."""

import json
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import jwt

from events import KeyState
from tests.simulator import AUDIENCE, ISSUER, NOON, IssuerSimulator, SigningKey, b64, signing_key

GOOD_KEYS: Final = [signing_key(alg, f"{alg}-{number}") for alg in ("ES256", "RS256", "EdDSA") for number in (1, 2)]
STATES: Final = [KeyState.ACTIVE, KeyState.RETIRING, KeyState.PENDING] * 2
GONE_KEYS: Final = {
    signing_key("ES256", "retired"): KeyState.RETIRED,
    signing_key("EdDSA", "revoked"): KeyState.REVOKED,
}
STRANGER: Final = signing_key("ES256", "stranger")


def publish(issuer: IssuerSimulator) -> dict[str, dict[str, str]]:
    """Have the issuer say all keys in their states; returns the JWKs of those that verify, by ``kid``."""
    published = [*zip(GOOD_KEYS, STATES, strict=True), *GONE_KEYS.items()]
    issuer.keys = {key.kid: key.published(state) for key, state in published}
    issuer.publish_keys()
    return {key.kid: key.jwk() for key in GOOD_KEYS}


@dataclass
class Recipe:
    """What goes into one token.

    Attributes:
        random: where changes take their choices from.
        key: what signs.
        header: as members.
        payload: as members.
        header_text: signed in place of ``header`` when it is given.
        payload_text: signed in place of ``payload`` when it is given.
    """

    random: Random
    key: SigningKey
    header: dict[str, Any]
    payload: dict[str, Any]
    header_text: bytes | None = None
    payload_text: bytes | None = None

    def texts(self) -> tuple[bytes, bytes]:
        """Header and payload as they will be signed."""
        return (
            json.dumps(self.header).encode() if self.header_text is None else self.header_text,
            json.dumps(self.payload).encode() if self.payload_text is None else self.payload_text,
        )

    def signed(self) -> str:
        """The compact JWS."""
        unsigned = ".".join(map(b64, self.texts()))
        return f"{unsigned}.{b64(jwt.get_algorithm_by_name(self.key.alg).sign(unsigned.encode(), self.key.private))}"


def good_recipe(random: Random) -> Recipe:
    """What makes a token that everybody accepts."""
    key = random.choice(GOOD_KEYS)
    now = int(NOON)
    payload = {
        "iss": ISSUER,
        "sub": random.choice(["alice", "b\u00f6b", ""]),
        "aud": AUDIENCE,
        "client_id": "web",
        "iat": now - random.randrange(600),
        "exp": now + random.randrange(1, 600),
        "jti": f"{random.getrandbits(64):x}",
        "scope": "orders:read orders:write",
        "rsq": random.getrandbits(52),
    }
    return Recipe(random, key, {"alg": key.alg, "kid": key.kid, "typ": "at+jwt"}, payload)
