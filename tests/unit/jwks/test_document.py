"""Which keys of a JWK Set are taken, and what becomes of the rest."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator import b64, signing_key, unb64
from tests.unit.jwks.foreign_issuer import document, jwk, jwks, key
from verifier_agent.jwks import FailureCode, JwksFailed, parse_jwks
from verifier_agent.jwks.document import MAX_BYTES, MAX_KEYS


def reason(entry: Any, *, near: str = "good") -> str:
    """Why a key is skipped beside a good one, which must not suffer from it."""
    parsed = document(near, entry)
    assert set(parsed.keys) == {near}
    assert len(parsed.skipped) == 1
    return next(iter(parsed.skipped.values()))


def rsa_jwk(numbers: rsa.RSAPublicNumbers, **members: Any) -> dict[str, Any]:
    """An RSA key as issuers publish it."""
    n, e = (value.to_bytes((value.bit_length() + 7) // 8, "big") for value in (numbers.n, numbers.e))
    return {"kty": "RSA", "kid": "rsa", "n": b64(n), "e": b64(e)} | members


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
@pytest.mark.parametrize("names_alg", [True, False])
def test_a_key_has_the_one_algorithm_of_its_kind_whether_it_names_it_or_not(alg: str, names_alg: bool) -> None:
    signer = signing_key(alg, f"{alg}-foreign")
    entry = {**signer.jwk(), "use": "sig", "x5t": "ignored", "x5c": ["ignored"]}
    if not names_alg:
        del entry["alg"]

    found = document(entry).keys[signer.kid]

    assert found.alg == alg
    signing_input, _, signature = signer.jws({"alg": alg}, b"{}").rpartition(".")
    found.verify(unb64(signature), signing_input.encode())


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"use": "enc"}, "signatures"),
        ({"use": 1}, "signatures"),
        ({"key_ops": ["sign"]}, "signatures"),
        ({"key_ops": []}, "signatures"),
        ({"key_ops": "verify"}, "signatures"),
        ({"kid": None}, "kid"),
        ({"kid": 7}, "kid"),
        ({"kid": ""}, "kid"),
        ({"kid": "k" * 257}, "kid"),
        ({"kid": "line\nbreak"}, "kid"),
        ({"kid": "\ud800"}, "kid"),
        ({"alg": "ES384"}, "ES384"),
        ({"alg": "none"}, "none"),
        ({"alg": "HS256"}, "HS256"),
        ({"alg": ["ES256"]}, "ES256"),
        ({"crv": "P-384"}, "P-384"),
        ({"crv": "secp256k1"}, "secp256k1"),
        ({"crv": None}, "not supported"),
        ({"kty": "AKP", "alg": "ML-DSA-65"}, "AKP"),
        ({"kty": None}, "not supported"),
        ({"kty": ["EC"]}, "not supported"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "no public key"),
        ({"k": "c2VjcmV0"}, "no public key"),
        ({"d": "c2VjcmV0"}, "no public key"),
        ({"d": ""}, "no public key"),
        ({"x": None}, "'x'"),
        ({"x": 5}, "'x'"),
        ({"x": "A" * 5000}, "'x'"),
    ],
)
def test_a_key_that_cannot_be_used_is_named_and_leaves_the_others(members: dict[str, Any], why: str) -> None:
    assert why in reason(jwk("other", **members))


@pytest.mark.parametrize("entry", [None, 1, [], {}, {"kty": "EC"}, jwk("other", x="AAAA"), jwk("other", x="!")])
def test_what_is_no_key_at_all_leaves_the_others(entry: Any) -> None:
    assert reason(entry)


def test_members_that_are_null_are_taken_for_absent() -> None:
    entry = {**jwk("one"), "use": None, "key_ops": None, "alg": None}

    assert set(document(entry).keys) == {"one"}


def test_a_point_off_the_curve_is_no_key() -> None:
    assert reason({**jwk("other"), "y": jwk("good")["y"]})


@pytest.mark.parametrize(("bits", "taken"), [(1024, False), (2047, False), (2048, True)])
def test_rsa_keys_need_2048_bits(bits: int, taken: bool) -> None:
    numbers = rsa.generate_private_key(65537, bits).public_key().public_numbers()

    assert bool(document("good", rsa_jwk(numbers)).keys.get("rsa")) is taken


@pytest.mark.parametrize("numbers", [rsa.RSAPublicNumbers(3, 2**8192 + 1), rsa.RSAPublicNumbers(3, 2**90_000 + 1)])
def test_rsa_keys_of_which_one_signature_takes_long_are_refused(numbers: rsa.RSAPublicNumbers) -> None:
    assert reason(rsa_jwk(numbers))


@pytest.mark.parametrize("exponent", [1, 2, 4])
def test_rsa_keys_with_a_degenerate_exponent_are_refused(exponent: int) -> None:
    modulus = signing_key("RS256", "degenerate").private.public_key().public_numbers().n

    assert reason(rsa_jwk(rsa.RSAPublicNumbers(exponent, modulus)))


@pytest.mark.parametrize("alg", ["PS256", "RS512", "RS1", "RSA-OAEP"])
def test_an_rsa_key_for_another_algorithm_is_not_taken_for_rs256(alg: str) -> None:
    assert alg in reason({**signing_key("RS256", "rsa").jwk(), "alg": alg})


def test_only_the_algorithms_of_the_issuer_are_taken() -> None:
    parsed = parse_jwks(jwks("one", signing_key("EdDSA", "ed").jwk()), ["EdDSA"])

    assert set(parsed.keys) == {"ed"}
    assert parsed.skipped == {"one (key 1)": "ES256 is not allowed for this issuer"}


def test_of_usable_keys_with_one_kid_none_is_taken() -> None:
    parsed = document("one", "two", jwk("three", kid="one"))

    assert set(parsed.keys) == {"two"}
    assert parsed.skipped == {"one (key 1)": "2 keys have this kid", "one (key 3)": "2 keys have this kid"}


def test_a_key_for_encryption_does_not_make_the_one_for_signatures_ambiguous() -> None:
    assert set(document("one", jwk("two", kid="one", use="enc")).keys) == {"one"}


def test_a_document_without_any_usable_key_is_one_all_the_same() -> None:
    parsed = document(jwk("one", use="enc"))

    assert not parsed.keys
    assert len(parsed.skipped) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"keys": null}',
        b'{"keys": {}}',
        b'{"keys": []}',
        b"<html>502 Bad Gateway</html>",
        jwks("one")[:-1],
        jwks("one") + b"x",
        "﻿{}".encode(),
        jwks("one").decode().encode("utf-16"),
        b"\xff",
        b"[" * 100_000,
        b'{"keys":' + b"[" * 100_000,
        b'{"keys": [' + b"1" * 10_000 + b"]}",
        b'{"keys": [{}], "keys": [{}]}',
    ],
    ids=lambda data: repr(data[:12]),
)
def test_what_is_no_key_set_is_refused_whole(data: bytes) -> None:
    with pytest.raises(JwksFailed) as refused:
        parse_jwks(data)

    assert refused.value.code is FailureCode.NOT_JWKS


def test_a_key_that_names_a_member_twice_is_skipped() -> None:
    twice = json.dumps(jwk("other"))[:-1] + ', "kid": "another"}'

    parsed = parse_jwks(b'{"keys": [' + json.dumps(jwk("good")).encode() + b"," + twice.encode() + b"]}")

    assert set(parsed.keys) == {"good"}


def test_as_many_keys_are_taken_as_are_allowed_and_no_more() -> None:
    kids = [f"kid {number}" for number in range(MAX_KEYS + 1)]

    assert len(document(*(jwk("one", kid=kid) for kid in kids[:MAX_KEYS])).keys) == MAX_KEYS
    with pytest.raises(JwksFailed, match=f"{MAX_KEYS + 1} keys"):
        document(*(jwk("one", kid=kid) for kid in kids))


def test_a_document_that_is_too_long_is_not_even_parsed() -> None:
    with pytest.raises(JwksFailed) as refused:
        parse_jwks(jwks("one") + b" " * MAX_BYTES)

    assert refused.value.code is FailureCode.OVERSIZED


def test_the_same_key_in_two_documents_is_equal_and_another_one_of_its_name_is_not() -> None:
    assert document("one").keys["one"] == document("one", "two").keys["one"]
    assert document("one").keys["one"] != document(jwk("two", kid="one")).keys["one"]


def test_skipped_keys_do_not_repeat_what_they_hold() -> None:
    secret = b64(key("one").private.private_numbers().private_value.to_bytes(32, "big"))

    parsed = document({**jwk("one"), "d": secret})

    assert secret not in repr(parsed)


def test_a_key_on_another_curve_that_says_p_256_is_refused() -> None:
    numbers = ec.generate_private_key(ec.SECP256K1()).public_key().public_numbers()
    x, y = (b64(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))

    assert reason(jwk("other", x=x, y=y))


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["EC", "RSA", "OKP"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(jwk("one"))), inner, max_size=4),
    max_leaves=8,
)


@given(
    st.lists(_VALUES.filter(lambda value: not isinstance(value, str)), max_size=4),
    st.dictionaries(st.sampled_from(["kty", "x", "n", "e"]), _VALUES),
)
def test_whatever_else_a_document_holds_its_good_key_is_found(others: list[Any], odd: dict[str, Any]) -> None:
    parsed = document("good", jwk("odd", **odd), *others)

    assert "good" in parsed.keys
    assert len(parsed.keys) + len(parsed.skipped) == len(others) + 2


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_way(data: bytes) -> None:
    with pytest.raises(JwksFailed) as refused:
        parse_jwks(data)

    assert refused.value.code is FailureCode.NOT_JWKS
