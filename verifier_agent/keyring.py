"""The token keys of one issuer, as its key events have told them.

A key's algorithm is the key's, never the token's. A revoked key is terminal: no later or earlier event, and no other
source, brings it back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from events import KeySet, KeyState, PublishedKey
from events.digests import TokenDigest, digest_of

VerifySignature = Callable[[bytes, bytes], TokenDigest | None]
"""(signature, signing input); raises ``InvalidSignature`` or ``ValueError``.

Where the signature is over the SHA-256 of the signing input, that hash is taken once, and the digest that it begins
with, by which one token is revoked, is what comes back.
"""

MIN_RSA_BITS: Final = 2048
_P256_BYTES: Final = 32
_ED25519_P: Final = 2**255 - 19
_ORDER_8: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER: Final = frozenset({0, 1, _ED25519_P - 1, _ED25519_P, _ED25519_P + 1, _ORDER_8, _ED25519_P - _ORDER_8})
"""The y of every point of order 1, 2, 4 or 8 on Ed25519, also where it is spelled without being reduced (RFC 8032
section 5.1.3; Chalkias, Garillot and Nikolaenko, "Taming the many EdDSAs", 2020)."""
_SHA256: Final = Prehashed(hashes.SHA256())


def _es256(key: Any) -> VerifySignature:
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("ES256 needs a public key on P-256")
    algorithm = ec.ECDSA(_SHA256)

    def verify(signature: bytes, signing_input: bytes) -> TokenDigest:
        hashed = sha256(signing_input).digest()
        key.verify(_in_der(signature), hashed, algorithm)
        return digest_of(hashed)

    return verify


def _in_der(signature: bytes) -> bytes:
    """The form of an ECDSA signature that OpenSSL reads (RFC 3279 section 2.2.3), from that of JOSE (RFC 7518 3.4)."""
    if len(signature) != 2 * _P256_BYTES:
        raise InvalidSignature
    r, s = signature[:_P256_BYTES].lstrip(b"\0"), signature[_P256_BYTES:].lstrip(b"\0")
    if not r or not s:
        raise InvalidSignature
    if r[0] & 0x80:  # it would read as a negative number
        r = b"\0" + r
    if s[0] & 0x80:
        s = b"\0" + s
    return b"\x30%c\x02%c%b\x02%c%b" % (len(r) + len(s) + 4, len(r), r, len(s), s)


def _rs256(key: Any) -> VerifySignature:
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < MIN_RSA_BITS:
        raise ValueError(f"RS256 needs a public RSA key of {MIN_RSA_BITS} bits or more")
    scheme = padding.PKCS1v15()

    def verify(signature: bytes, signing_input: bytes) -> TokenDigest:
        hashed = sha256(signing_input).digest()
        key.verify(signature, hashed, scheme, _SHA256)
        return digest_of(hashed)

    return verify


def _eddsa(key: Any) -> VerifySignature:
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise ValueError("EdDSA needs a public Ed25519 key")
    if int.from_bytes(key.public_bytes_raw(), "little") % 2**255 in _SMALL_ORDER:
        raise ValueError("EdDSA needs a key of large order: under this one anybody can sign")
    verify: VerifySignature = key.verify  # the method itself, and nothing between: it returns None
    return verify


ALGORITHMS: Final[dict[str, Callable[[Any], VerifySignature]]] = {"ES256": _es256, "RS256": _rs256, "EdDSA": _eddsa}


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """One key, parsed once."""

    published: PublishedKey
    verify: VerifySignature

    @property
    def kid(self) -> str:
        """Its name."""
        return self.published.kid


class Keyring:
    """Keys by ``kid``.

    Attributes:
        seq: of the newest key set; 0 when none has been heard.
        unusable: ``kid`` of a published key that could not be parsed, and why; its tokens are of an unknown key.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.unusable: dict[str, str] = {}
        self._current = KeySet(keys=())
        self._keys: dict[str, VerifyingKey] = {}
        self._revoked: set[str] = set()

    def apply(self, seq: int, key_set: KeySet) -> None:
        """Take over a key set; an older one than the newest known can only add to what is revoked."""
        self._revoked.update(key.kid for key in key_set.keys if key.state is KeyState.REVOKED)
        if seq > self.seq:
            self.seq, self._current = seq, key_set
            self._parse()

    def get(self, kid: str) -> VerifyingKey | None:
        """The key, whatever its state; ``None`` when no usable key has this ``kid``."""
        return self._keys.get(kid)

    def is_revoked(self, kid: str) -> bool:
        """Whether the key has ever been said to be revoked."""
        return kid in self._revoked

    def verifies(self, kid: str) -> bool:
        """Whether signatures by this key count."""
        key = self._keys.get(kid)
        return key is not None and kid not in self._revoked and key.published.state.verifies

    def verifying(self) -> dict[str, VerifySignature]:
        """By ``kid``, what checks the signatures that count. The same key keeps the same function."""
        return {kid: key.verify for kid, key in self._keys.items() if self.verifies(kid)}

    @property
    def published(self) -> tuple[PublishedKey, ...]:
        """The newest key set."""
        return self._current.keys

    @property
    def revoked(self) -> frozenset[str]:
        """Every ``kid`` known as revoked."""
        return frozenset(self._revoked)

    def restore(self, seq: int, key_set: KeySet, revoked: frozenset[str]) -> None:
        """Merge what a snapshot held; what is newer here stays."""
        self.apply(seq, key_set)
        self._revoked |= revoked

    def _parse(self) -> None:
        keys: dict[str, VerifyingKey] = {}
        unusable: dict[str, str] = {}
        for published in self._current.keys:
            old = self._keys.get(published.kid)
            if old is not None and old.published.jwk == published.jwk and old.published.alg == published.alg:
                keys[published.kid] = VerifyingKey(published, old.verify)
            elif published.jwk is not None:
                try:
                    keys[published.kid] = VerifyingKey(published, _parse_key(published.alg, published.jwk))
                except ValueError as error:
                    unusable[published.kid] = str(error)
        self._keys, self.unusable = keys, unusable  # as a whole: others may be verifying


def _parse_key(alg: str, jwk: dict[str, str]) -> VerifySignature:
    from events import jose

    if alg not in ALGORITHMS:
        raise ValueError(f"algorithm {alg!r} is not supported")
    if "d" in jwk or jwk.get("kty") == "oct":
        raise ValueError("a published key must be a public key")
    return ALGORITHMS[alg](jose.parse_key({**jwk, "alg": alg}).key)
