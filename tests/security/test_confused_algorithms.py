"""A key put to another use than its own: the algorithm is the key's, whatever the token says."""

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from events import KeyState, PublishedKey
from tests.security.forging import issuer_signing_with, signed_with
from tests.simulator import IssuerSimulator, Listener, SigningKey, b64, signing_key, unb64
from verifier_agent import RejectionCode

ALGORITHMS = ["ES256", "RS256", "EdDSA"]
SPKI = PublicFormat.SubjectPublicKeyInfo


def signing_input(issuer: IssuerSimulator, **header: Any) -> str:
    """A good payload under a header that tries something."""
    members = {"alg": issuer.key.alg, "kid": issuer.key.kid, "typ": "at+jwt"} | header
    return f"{b64(json.dumps(members).encode())}.{issuer.token().split('.')[1]}"


def public(key: SigningKey, encoding: Encoding, form: PublicFormat = SPKI) -> bytes:
    found: bytes = key.private.public_key().public_bytes(encoding, form)
    return found


SECRETS: dict[str, Callable[[SigningKey], bytes]] = {
    "pem": lambda key: public(key, Encoding.PEM),
    "pem without its last line break": lambda key: public(key, Encoding.PEM).strip(),
    "pem with white space before it": lambda key: b"\n " + public(key, Encoding.PEM),  # fast-jwt, CVE-2026-34950
    "pem with CRLF": lambda key: public(key, Encoding.PEM).replace(b"\n", b"\r\n"),
    "der": lambda key: public(key, Encoding.DER),
    "jwk": lambda key: json.dumps(key.jwk()).encode(),
    "jwk without spaces": lambda key: json.dumps(key.jwk(), separators=(",", ":")).encode(),
    "kid": lambda key: key.kid.encode(),
    "nothing": lambda _: b"",
}
RSA_SECRETS: dict[str, Callable[[SigningKey], bytes]] = {
    "pkcs 1 pem": lambda key: public(key, Encoding.PEM, PublicFormat.PKCS1),
    "modulus": lambda key: unb64(key.jwk()["n"]),
    "modulus as text": lambda key: key.jwk()["n"].encode(),
}


@pytest.mark.parametrize("form", [*SECRETS, *RSA_SECRETS])
def test_public_key_as_hmac_secret(form: str) -> None:
    for alg in ALGORITHMS if form in SECRETS else ["RS256"]:
        issuer = issuer_signing_with(alg)
        listener = Listener.caught_up(issuer)
        secret = (SECRETS | RSA_SECRETS)[form](issuer.key)
        for named, digest in (("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512"), (alg, "sha256")):
            unsigned = signing_input(issuer, alg=named)
            forged = f"{unsigned}.{b64(hmac.digest(secret, unsigned.encode(), digest))}"

            expected = RejectionCode.BAD_SIGNATURE if named == alg else RejectionCode.WRONG_ALGORITHM
            assert listener.rejection(forged) is expected


def odd_key(alg: str, private: Any) -> SigningKey:
    return SigningKey("odd", alg, private)


P384 = odd_key("ES384", ec.generate_private_key(ec.SECP384R1()))
P521 = odd_key("ES512", ec.generate_private_key(ec.SECP521R1()))
K256 = odd_key("ES256K", ec.generate_private_key(ec.SECP256K1()))
ED448 = odd_key("EdDSA", ed448.Ed448PrivateKey.generate())
SHORT = odd_key("RS256", rsa.generate_private_key(65537, 1024))  # noqa: S505 - to be refused


@pytest.mark.parametrize(
    ("key", "said"),
    [(P384, "ES256"), (P521, "ES256"), (K256, "ES256"), (ED448, "EdDSA"), (SHORT, "RS256"), (P384, "ES384")],
    ids=["P-384", "P-521", "secp256k1", "Ed448", "RSA of 1024 bits", "P-384 under its own name"],
)
def test_key_event_with_a_key_of_another_curve_or_too_short(
    issuer: IssuerSimulator, listener: Listener, key: SigningKey, said: str
) -> None:
    issuer.keys["odd"] = PublishedKey(kid="odd", alg=said, state=KeyState.ACTIVE, jwk=key.jwk() | {"alg": said})
    listener.hear(issuer.publish_keys())

    for named in (key.alg, said):
        assert listener.rejection(issuer.token(key=key, header={"alg": named})) is RejectionCode.UNKNOWN_KEY
    assert listener.rejection(issuer.token()) is None  # the other keys work on


@pytest.mark.parametrize("crv", ["P-256", "P-384", "secp256k1", "Ed25519", ""])
def test_p384_point_under_the_name_of_another_curve(issuer: IssuerSimulator, listener: Listener, crv: str) -> None:
    jwk = P384.jwk() | {"alg": "ES256", "crv": crv}
    issuer.keys["odd"] = PublishedKey(kid="odd", alg="ES256", state=KeyState.ACTIVE, jwk=jwk)
    listener.hear(issuer.publish_keys())

    assert listener.rejection(issuer.token(key=P384, header={"alg": "ES256"})) is RejectionCode.UNKNOWN_KEY


@pytest.mark.parametrize("named", ["ES256", "ES384"])
def test_p384_signature_under_the_kid_of_a_p256_key(issuer: IssuerSimulator, listener: Listener, named: str) -> None:
    forged = issuer.token(key=P384, header={"kid": issuer.key.kid, "alg": named})

    assert listener.rejection(forged) is (
        RejectionCode.BAD_SIGNATURE if named == "ES256" else RejectionCode.WRONG_ALGORITHM
    )


@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.parametrize(
    "spelled", ["none", "nOnE", "NONE", "None ", "{lower}", "{upper}", " {alg}", "{alg} ", "{alg}\0", "{alg}\n"]
)
def test_alg_spelled_in_another_case(alg: str, spelled: str) -> None:
    issuer = issuer_signing_with(alg)
    listener = Listener.caught_up(issuer)
    named = spelled.format(alg=alg, lower=alg.lower(), upper=alg.upper() if alg != alg.upper() else alg.title())
    token = issuer.token(header={"alg": named})
    unsigned = token.rpartition(".")[0]

    for forged in (token, signed_with(token, bytes(64))):
        assert listener.rejection(forged) is RejectionCode.WRONG_ALGORITHM
    assert listener.rejection(f"{unsigned}.") is RejectionCode.MALFORMED


def test_every_other_signature_of_an_rsa_key() -> None:
    issuer = issuer_signing_with("RS256")
    listener = Listener.caught_up(issuer)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
    others: list[tuple[str, Any, hashes.HashAlgorithm]] = [
        ("PS256", pss, hashes.SHA256()),
        ("RS384", padding.PKCS1v15(), hashes.SHA384()),
        ("RS512", padding.PKCS1v15(), hashes.SHA512()),
        ("RS1", padding.PKCS1v15(), hashes.SHA1()),  # noqa: S303 - to be refused
    ]
    for own, scheme, digest in others:
        for named in (own, "RS256"):
            unsigned = signing_input(issuer, alg=named)
            forged = f"{unsigned}.{b64(issuer.key.private.sign(unsigned.encode(), scheme, digest))}"

            expected = RejectionCode.BAD_SIGNATURE if named == "RS256" else RejectionCode.WRONG_ALGORITHM
            assert listener.rejection(forged) is expected


def test_every_other_signature_of_an_ec_key(issuer: IssuerSimulator, listener: Listener) -> None:
    unsigned = signing_input(issuer)
    der = issuer.key.private.sign(unsigned.encode(), ec.ECDSA(hashes.SHA256()))
    other_hash = issuer.key.private.sign(unsigned.encode(), ec.ECDSA(hashes.SHA512()))

    for signature in (der, other_hash, hashlib.sha256(unsigned.encode()).digest() * 2):
        assert listener.rejection(f"{unsigned}.{b64(signature)}") is RejectionCode.BAD_SIGNATURE


def test_one_kid_twice_in_a_key_event_does_not_join_two_keys(issuer: IssuerSimulator, listener: Listener) -> None:
    """Whichever counts: a signature by one under the algorithm of the other does not."""
    keys = [signing_key(alg, "twice") for alg in ("ES256", "RS256")]
    issuer.keys |= {key.alg: key.published() for key in keys}
    listener.hear(issuer.publish_keys())
    ec_key, rsa_key = keys

    assert listener.rejection(issuer.token(key=ec_key, header={"alg": "RS256"})) is not None
    assert listener.rejection(issuer.token(key=rsa_key, header={"alg": "ES256"})) is not None
    assert sum(listener.rejection(issuer.token(key=key)) is None for key in keys) <= 1


def test_private_half_in_a_key_event_is_no_public_key(issuer: IssuerSimulator, listener: Listener) -> None:
    for key in (signing_key("RS256", "odd"), odd_key("EdDSA", ed25519.Ed25519PrivateKey.generate())):
        issuer.keys["odd"] = PublishedKey(kid="odd", alg=key.alg, state=KeyState.ACTIVE, jwk=key.jwk(private=True))
        listener.hear(issuer.publish_keys())

        assert listener.rejection(issuer.token(key=key)) is RejectionCode.UNKNOWN_KEY
