"""Private keys from files of others, and back into files."""

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519

from issuer.keys.exchange import Format, KeyUnusable, read_key, same_key, write_key
from issuer.keys.generation import PrivateJwk, generate, public
from issuer.keys.signing import SigningKey

ALGORITHMS = ("ES256", "RS256", "EdDSA")
KEYS = {alg: generate(alg) for alg in ALGORITHMS}
PASSPHRASE = "c0rrect horse"

RFC_7517_A2 = {
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
    "use": "sig",
    "kid": "1",
}
"""RFC 7517 appendix A.2; its use is enc there."""
RFC_8037_A1 = {
    "kty": "OKP",
    "crv": "Ed25519",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
"""RFC 8037 appendix A.1."""


def pem(key: Any, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> bytes:
    content: bytes = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return content


def changed(jwk: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({name: value for name, value in {**jwk, **changes}.items() if value is not None}).encode()


@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.parametrize("form", ["pem", "jwk"])
def test_what_is_written_is_read_as_the_same_key(alg: str, form: Format) -> None:
    assert read_key(write_key(KEYS[alg], form)) == KEYS[alg]


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_key_under_a_passphrase_is_read_with_it_alone(alg: str) -> None:
    content = write_key(KEYS[alg], "pem", PASSPHRASE)

    assert content.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert read_key(content, PASSPHRASE) == KEYS[alg]
    with pytest.raises(KeyUnusable, match="its passphrase is needed"):
        read_key(content)
    with pytest.raises(KeyUnusable, match="its passphrase is wrong, or it is damaged") as refused:
        read_key(content, "wr0ng")
    assert "wr0ng" not in str(refused.value)


@pytest.mark.parametrize("jwk", [RFC_7517_A2, RFC_8037_A1], ids=["RFC 7517 A.2", "RFC 8037 A.1"])
def test_the_keys_of_the_standards_are_read(jwk: dict[str, str]) -> None:
    read = read_key(json.dumps(jwk).encode())

    assert same_key(read, jwk)
    assert read["kid"] == jwk.get("kid", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")


def test_what_was_read_signs_what_its_public_half_verifies() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    read = read_key(pem(key, serialization.PrivateFormat.TraditionalOpenSSL), kid="from-openssl")

    token = SigningKey(read).sign({"sub": "alice"}, "at+jwt")

    assert jwt.decode(token, jwt.PyJWK(public(read)), algorithms=["RS256"]) == {"sub": "alice"}
    assert read["kid"] == "from-openssl"


def test_an_rsa_jwk_without_its_primes_is_read() -> None:
    bare = {name: value for name, value in KEYS["RS256"].items() if name in ("kty", "n", "e", "d", "kid")}

    assert same_key(read_key(json.dumps(bare).encode()), KEYS["RS256"])


def test_a_kid_that_is_given_goes_before_that_of_the_file() -> None:
    assert read_key(json.dumps(RFC_7517_A2).encode(), kid="mine")["kid"] == "mine"


SMALL = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - to be refused
CURVE = ec.generate_private_key(ec.SECP384R1())
OTHER_EC = generate("ES256")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (pem(SMALL), "RSA key of 1024 bits, and RS256 needs 2048"),
        (changed(json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(SMALL))), "RSA key of 1024 bits"),
        (pem(CURVE), "a key on secp384r1, and ES256 needs one on P-256"),
        (changed(json.loads(jwt.algorithms.ECAlgorithm.to_jwk(CURVE))), "on secp384r1"),
        (pem(ed448.Ed448PrivateKey.generate()), "private key Ed448"),
        (pem(x25519.X25519PrivateKey.generate()), "private key X25519"),
        (pem(dsa.generate_private_key(2048)), "private key DSA"),
        (changed(RFC_8037_A1, crv="Ed25520"), "damaged, or on a curve that is not known"),
        (changed(KEYS["ES256"], alg="RS256"), "says alg 'RS256', and is a key for ES256"),
        (changed(KEYS["ES256"], use="enc"), "use is not sig"),
        (changed(KEYS["ES256"], key_ops=["verify"]), "do not have sign"),
        (changed(KEYS["ES256"], kid="a b"), "kid 'a b' must be"),
        (changed(KEYS["ES256"], kid="x" * 65), "must be 1 to 64"),
        (changed(KEYS["ES256"], kid=""), "kid '' must be"),
        (changed(KEYS["ES256"], d=None), "no private half"),
        (changed(KEYS["ES256"], d="AAAA"), "damaged"),
        (changed(KEYS["ES256"], x=OTHER_EC["x"], y=OTHER_EC["y"]), "damaged"),
        (changed(KEYS["EdDSA"], x=generate("EdDSA")["x"]), "damaged"),
        (changed({"kty": "oct", "k": "c2VjcmV0", "d": "x"}), "kty is 'oct'"),
        (changed({"keys": [KEYS["ES256"]]}), "JWK Set"),
        (b"{", "no JSON object"),
        (b"", "neither a PEM with a private key nor a JWK"),
        (b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n", "neither a PEM with a private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", "it is damaged"),
        (pem(CURVE) + pem(SMALL), "several things"),
        (b"eyJhbGciOiJQQkVTMi1IUzI1NitBMTI4S1cifQ.a.b.c.d", "a JWE"),
        (b"x" * 100_000, "100000 bytes"),
    ],
)
def test_a_key_of_no_use_is_refused_with_what_is_wrong_and_nothing_of_it_shown(content: bytes, why: str) -> None:
    with pytest.raises(KeyUnusable, match=why) as refused:
        read_key(content)

    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    for secret in (KEYS["ES256"]["d"], KEYS["EdDSA"]["d"], RFC_8037_A1["d"], "c2VjcmV0"):
        assert secret not in str(refused.value)


def test_a_damaged_pem_is_refused_without_quoting_it() -> None:
    content = bytearray(pem(ed25519.Ed25519PrivateKey.generate()))
    content[40:44] = b"!!!!"

    with pytest.raises(KeyUnusable, match="it is damaged"):
        read_key(bytes(content))


def test_a_jwk_is_not_written_under_a_passphrase() -> None:
    with pytest.raises(KeyUnusable, match="form pem"):
        write_key(KEYS["ES256"], "jwk", PASSPHRASE)


def test_the_repr_of_a_private_jwk_names_it_and_no_more() -> None:
    jwk = generate("RS256")

    shown = f"{jwk!r} {jwk} {[jwk]!r} {SigningKey(jwk)!r}"

    assert jwk["kid"] in shown
    assert isinstance(jwk, PrivateJwk)
    for secret in (jwk["d"], jwk["p"], base64.urlsafe_b64decode(jwk["q"] + "==").hex()):
        assert secret not in shown
