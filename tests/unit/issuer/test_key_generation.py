"""New keys, their names, and what of them is public."""

import json

import jwt
import pytest

from events.thumbprint import thumbprint
from issuer.keys.generation import generate, public
from issuer.keys.signing import SigningKey

ALGORITHMS = ("ES256", "RS256", "EdDSA")

RFC_7638_KEY = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
    "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6"
    "qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJ"
    "zKnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}
"""RFC 7638 section 3.1."""

RFC_8037_KEY = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
"""RFC 8037 appendix A.2 and A.3."""


@pytest.mark.parametrize(
    ("jwk", "expected"),
    [
        (RFC_7638_KEY, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (RFC_8037_KEY, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
    ],
    ids=["RFC 7638 section 3.1", "RFC 8037 appendix A.3"],
)
def test_the_thumbprint_is_the_known_answer(jwk: dict[str, str], expected: str) -> None:
    assert thumbprint(jwk) == expected


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_new_key_is_named_by_its_thumbprint_and_says_what_it_is_for(alg: str) -> None:
    jwk = generate(alg)

    assert jwk["kid"] == thumbprint(jwk) == thumbprint(public(jwk))
    assert (jwk["alg"], jwk["use"]) == (alg, "sig")


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_the_public_part_verifies_what_the_private_one_signs_and_cannot_sign(alg: str) -> None:
    jwk = generate(alg)
    token = SigningKey(jwk).sign({"sub": "alice"}, "at+jwt")

    assert jwt.decode(token, jwt.PyJWK(public(jwk)), algorithms=[alg]) == {"sub": "alice"}
    assert jwt.get_unverified_header(token) == {"alg": alg, "kid": jwk["kid"], "typ": "at+jwt"}
    with pytest.raises((TypeError, AttributeError, jwt.PyJWTError)):
        jwt.encode({}, jwt.PyJWK(public(jwk)), algorithm=alg)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_the_public_part_holds_no_private_member(alg: str) -> None:
    jwk = generate(alg)

    private = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & set(jwk)

    assert private
    assert set(public(jwk)) == set(jwk) - private
    assert jwk["d"] not in json.dumps(public(jwk))


def test_no_two_keys_are_the_same() -> None:
    assert generate("ES256")["kid"] != generate("ES256")["kid"]


@pytest.mark.parametrize("alg", ["HS256", "none", "es256", ""])
def test_there_are_no_keys_for_another_algorithm(alg: str) -> None:
    with pytest.raises(KeyError):
        generate(alg)


def test_a_signing_key_does_not_show_its_private_half() -> None:
    jwk = generate("ES256")

    shown = repr(SigningKey(jwk))

    assert jwk["kid"] in shown
    assert jwk["d"] not in shown


def test_no_kid_looks_like_an_option_of_a_command() -> None:
    assert not any(generate("EdDSA")["kid"].startswith("-") for _ in range(500))
