"""Private keys in files of others: PEM with PKCS #8 (RFC 5958), plain or encrypted, and JWK (RFC 7517), in and out.

Nothing of a key is in an error: messages say what it is and what is wanted.
"""

import re
from typing import Final, Literal, cast

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from events.jose import MIN_RSA_BITS
from issuer.keys.generation import Jwk, PrivateJwk, PrivateKey, private_jwk, public

Format = Literal["pem", "jwk"]

MAX_FILE: Final = 64 * 1024
_KID: Final = re.compile(r"[A-Za-z0-9._~-]{1,64}")
_FROM_JWK: Final = {"RSA": RSAAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk, "OKP": OKPAlgorithm.from_jwk}
_OTHERS: Final = {
    dsa.DSAPrivateKey: "DSA",
    ed448.Ed448PrivateKey: "Ed448",
    x25519.X25519PrivateKey: "X25519",
    x448.X448PrivateKey: "X448",
}


class KeyUnusable(ValueError):
    """A file that holds no key of use here; the message says why, and shows nothing of it."""


def read_key(content: bytes, passphrase: str | None = None, kid: str | None = None) -> PrivateJwk:
    """The private key in a file.

    Args:
        content: of the file.
        passphrase: of an encrypted PKCS #8.
        kid: what to name it; by default what a JWK says, or else its thumbprint (RFC 7638).

    Raises:
        KeyUnusable: it is none, of a kind that is not used here, too weak, damaged or the passphrase is wrong.
    """
    if len(content) > MAX_FILE:
        raise KeyUnusable(f"it has {len(content)} bytes, and a key has at most {MAX_FILE}")
    found, said = _from_jwk(content) if content.lstrip().startswith(b"{") else (_from_pem(content, passphrase), {})
    key, alg = _usable(found)
    if said.get("alg", alg) != alg:
        raise KeyUnusable(f"it says alg {said['alg']!r}, and is a key for {alg}")
    kid = kid or said.get("kid")
    if kid is not None and not _KID.fullmatch(kid):
        raise KeyUnusable(f"its kid {kid[:80]!r} must be 1 to 64 letters, digits or . _ ~ -")
    return private_jwk(key, alg, kid)


def write_key(jwk: PrivateJwk, form: Format, passphrase: str | None = None) -> bytes:
    """A private key as the content of a file.

    Args:
        jwk: the key.
        form: ``pem`` for PKCS #8, which loses the ``kid``; ``jwk`` keeps it.
        passphrase: to encrypt a PKCS #8 with (PBES2, AES-256).

    Raises:
        KeyUnusable: a JWK cannot be encrypted.
    """
    if form == "jwk":
        if passphrase is not None:
            raise KeyUnusable("a passphrase encrypts PKCS #8 alone: choose the form pem")
        return msgspec.json.encode(jwk) + b"\n"
    key = cast("PrivateKey", _FROM_JWK[jwk["kty"]](dict(jwk)))
    how: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        how = serialization.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


def _usable(key: object) -> tuple[PrivateKey, str]:
    """A key that signs here, and its algorithm."""
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < MIN_RSA_BITS:
            raise KeyUnusable(f"it is an RSA key of {key.key_size} bits, and RS256 needs {MIN_RSA_BITS} or more")
        return key, "RS256"
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if not isinstance(key.curve, ec.SECP256R1):
            raise KeyUnusable(f"it is a key on {key.curve.name}, and ES256 needs one on P-256 (secp256r1)")
        return key, "ES256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key, "EdDSA"
    kind = next((name for kind, name in _OTHERS.items() if isinstance(key, kind)), "of an unknown kind")
    raise KeyUnusable(f"it is a private key {kind}, and keys here are RSA, P-256 or Ed25519")


def _from_pem(content: bytes, passphrase: str | None) -> object:
    if b"PRIVATE KEY-----" not in content:
        if re.fullmatch(rb"\s*[\w-]+(\.[\w-]*){4}\s*", content):
            raise KeyUnusable("it is a JWE; a key under a passphrase must be a PKCS #8 in PEM")
        raise KeyUnusable("it is neither a PEM with a private key nor a JWK")
    if content.count(b"-----BEGIN ") > 1:
        raise KeyUnusable("it holds several things, and must hold one private key")
    encrypted = b"BEGIN ENCRYPTED PRIVATE KEY" in content or b"Proc-Type: 4,ENCRYPTED" in content
    if encrypted and not passphrase:
        raise KeyUnusable("it is encrypted: its passphrase is needed")
    try:
        return serialization.load_pem_private_key(content, passphrase.encode() if encrypted and passphrase else None)
    except UnsupportedAlgorithm:
        raise KeyUnusable("it is a private key of an unknown kind, or encrypted in an unknown way") from None
    except (ValueError, TypeError):  # without its words: they may quote the file
        what = "its passphrase is wrong, or it is damaged" if encrypted else "it is damaged"
        raise KeyUnusable(what) from None


def _from_jwk(content: bytes) -> tuple[object, Jwk]:
    try:
        said = msgspec.json.decode(content, type=dict[str, object])
    except msgspec.MsgspecError:  # without its words, as above
        raise KeyUnusable("it is no JSON object") from None
    if "keys" in said:
        raise KeyUnusable("it is a JWK Set: take the one key out of it")
    texts = {name: value for name, value in said.items() if isinstance(value, str)}
    if said.get("use", "sig") != "sig":
        raise KeyUnusable("its use is not sig: it is no key to sign with")
    operations = said.get("key_ops")
    if operations is not None and not (isinstance(operations, list) and "sign" in operations):
        raise KeyUnusable("its key_ops do not have sign: it is no key to sign with")
    if "d" not in texts:
        raise KeyUnusable("it has no private half")
    parse = _FROM_JWK.get(texts.get("kty", ""))
    if parse is None:
        raise KeyUnusable(f"its kty is {texts.get('kty', 'absent')!r}, and keys here are RSA, EC or OKP")
    try:
        return parse(dict(texts)), texts
    except (InvalidKeyError, UnsupportedAlgorithm, ValueError, TypeError, KeyError):  # without its words, as above
        raise KeyUnusable("it is damaged, or on a curve that is not known: it must be RSA, P-256 or Ed25519") from None


def same_key(one: Jwk, other: Jwk) -> bool:
    """Whether two JWKs have the same public half, whatever they are called."""
    names = ("kty", "crv", "x", "y", "n", "e")
    return [public(one).get(name) for name in names] == [public(other).get(name) for name in names]
