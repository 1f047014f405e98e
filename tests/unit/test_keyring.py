"""Token keys, as key sets have told them."""

from itertools import permutations
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa

from events import KeySet, KeyState, PublishedKey, base64url
from events.digests import token_digest
from tests.simulator import SigningKey, signing_key
from verifier_agent.keyring import ALGORITHMS, Keyring

KEY = signing_key("ES256", "one")
OTHER = signing_key("ES256", "two")
ALL_STATES = list(KeyState)


def keyring_of(*keys: PublishedKey) -> Keyring:
    keyring = Keyring()
    keyring.apply(1, KeySet(keys=keys))
    return keyring


def published(jwk: dict[str, str] | None, alg: str = "ES256") -> PublishedKey:
    return PublishedKey(kid="one", alg=alg, state=KeyState.ACTIVE, jwk=jwk)


@pytest.mark.parametrize(
    ("state", "verifies"),
    [
        (KeyState.PENDING, True),
        (KeyState.ACTIVE, True),
        (KeyState.RETIRING, True),
        (KeyState.RETIRED, False),
        (KeyState.REVOKED, False),
    ],
)
def test_a_keys_state_decides_whether_it_verifies(state: KeyState, verifies: bool) -> None:
    keyring = keyring_of(KEY.published(state))

    assert keyring.verifies("one") is verifies
    assert keyring.is_revoked("one") is (state is KeyState.REVOKED)


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
def test_a_key_checks_signatures_of_its_algorithm(alg: str) -> None:
    key = signing_key(alg, "one")
    keyring = keyring_of(key.published())
    found = keyring.get("one")
    token = key.jws({}, b"payload").rpartition(".")[0].encode()

    assert found is not None
    for signature in (b"", b"\0" * 64, b"\xff" * 64, b"\0" * 63, b"\0" * 256, b"\xff" * 256):
        with pytest.raises((InvalidSignature, ValueError)):
            found.verify(signature, token)


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
def test_a_check_gives_the_digest_of_the_token_where_the_signature_is_over_its_hash(alg: str) -> None:
    key = signing_key(alg, "one")
    token = key.jws({}, b"payload")
    signed, _, signature = token.encode().rpartition(b".")
    found = keyring_of(key.published()).get("one")

    assert found is not None
    assert found.verify(base64url.decode(signature), signed) == (None if alg == "EdDSA" else token_digest(token))


def test_a_newer_key_set_replaces_the_older() -> None:
    keyring = keyring_of(KEY.published())
    keyring.apply(2, KeySet(keys=(OTHER.published(),)))

    assert (keyring.verifies("one"), keyring.verifies("two")) == (False, True)
    assert keyring.get("one") is None
    assert keyring.seq == 2


def test_an_older_key_set_changes_nothing_but_what_is_revoked() -> None:
    keyring = Keyring()
    keyring.apply(5, KeySet(keys=(OTHER.published(),)))
    keyring.apply(3, KeySet(keys=(KEY.published(), OTHER.published(KeyState.REVOKED))))

    assert keyring.get("one") is None
    assert keyring.is_revoked("two")
    assert not keyring.verifies("two")
    assert keyring.seq == 5


@pytest.mark.parametrize("order", list(permutations([1, 2, 3])))
def test_a_revoked_key_stays_revoked_in_any_order_of_key_sets(order: tuple[int, ...]) -> None:
    states = {1: KeyState.ACTIVE, 2: KeyState.REVOKED, 3: KeyState.ACTIVE}
    keyring = Keyring()
    for seq in order:
        keyring.apply(seq, KeySet(keys=(KEY.published(states[seq]),)))

    assert keyring.is_revoked("one")
    assert not keyring.verifies("one")
    assert keyring.revoked == {"one"}


def test_a_snapshot_cannot_bring_a_revoked_key_back() -> None:
    keyring = keyring_of(KEY.published(KeyState.REVOKED))
    keyring.restore(9, KeySet(keys=(KEY.published(),)), frozenset())

    assert not keyring.verifies("one")


def test_a_snapshot_adds_what_it_knows_as_revoked() -> None:
    keyring = keyring_of(KEY.published())
    keyring.restore(0, KeySet(keys=()), frozenset({"one"}))

    assert not keyring.verifies("one")
    assert keyring.seq == 1


def short_rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - to be refused


def short_rsa_jwk() -> dict[str, str]:
    return SigningKey("one", "RS256", short_rsa_key()).jwk()


def p384_jwk() -> dict[str, str]:
    return SigningKey("one", "ES384", ec.generate_private_key(ec.SECP384R1())).jwk()


def ed448_jwk() -> dict[str, str]:
    return SigningKey("one", "EdDSA", ed448.Ed448PrivateKey.generate()).jwk()


@pytest.mark.parametrize(
    ("alg", "jwk", "reason"),
    [
        ("RS256", short_rsa_jwk(), "2048 bits or more"),
        ("ES256", p384_jwk(), "P-256"),
        ("EdDSA", ed448_jwk(), "Ed25519"),
        ("HS256", {"kty": "oct", "k": "c2VjcmV0"}, "'HS256' is not supported"),
        ("none", KEY.jwk(), "'none' is not supported"),
        ("ES256", KEY.jwk(private=True), "must be a public key"),
        ("ES256", {"kty": "oct", "k": "c2VjcmV0"}, "must be a public key"),
        ("RS256", KEY.jwk(), ""),
        ("EdDSA", KEY.jwk(), ""),
        ("ES256", {}, ""),
        ("ES256", {"kty": "EC", "crv": "P-256"}, ""),
        ("ES256", KEY.jwk() | {"x": KEY.jwk()["y"]}, ""),
        ("ES256", KEY.jwk() | {"x": "\u00e9"}, ""),
        ("ES256", KEY.jwk() | {"x": ""}, ""),
        ("EdDSA", {"kty": "OKP", "crv": "Ed25519", "x": "AA"}, ""),
        ("RS256", {"kty": "RSA", "n": "", "e": ""}, ""),
        ("RS256", {"kty": "RSA", "n": "AQAB"}, ""),
        ("RS256", {"kty": "RSA", "n": "!", "e": "AQAB"}, ""),
    ],
)
def test_a_key_that_cannot_be_used_is_named_with_the_reason_and_the_others_work(
    alg: str, jwk: dict[str, str], reason: str
) -> None:
    keyring = keyring_of(published(jwk, alg), OTHER.published())

    assert keyring.get("one") is None
    assert list(keyring.unusable) == ["one"]
    assert reason in keyring.unusable["one"]
    assert keyring.verifies("two")


@pytest.mark.parametrize(
    ("alg", "key"),
    [
        ("ES256", ec.generate_private_key(ec.SECP384R1()).public_key()),
        ("ES256", ec.generate_private_key(ec.SECP256K1()).public_key()),
        ("ES256", ec.generate_private_key(ec.SECP256R1())),
        ("RS256", short_rsa_key().public_key()),
        ("EdDSA", ed448.Ed448PrivateKey.generate().public_key()),
        ("EdDSA", b"secret"),
    ],
)
def test_an_algorithm_takes_its_own_kind_of_key_alone(alg: str, key: Any) -> None:
    with pytest.raises(ValueError, match=f"{alg} needs a public"):
        ALGORITHMS[alg](key)


def test_a_key_that_becomes_usable_is_no_longer_named() -> None:
    keyring = keyring_of(published({}))
    keyring.apply(2, KeySet(keys=(KEY.published(),)))

    assert keyring.unusable == {}
    assert keyring.verifies("one")


def test_a_key_known_by_name_alone_does_not_verify() -> None:
    keyring = keyring_of(published(None))

    assert not keyring.verifies("one")
    assert keyring.unusable == {}


def test_a_key_is_parsed_once_and_its_state_follows_the_newest_set() -> None:
    keyring = keyring_of(KEY.published())
    before = keyring.get("one")
    keyring.apply(2, KeySet(keys=(KEY.published(KeyState.RETIRING),)))
    after = keyring.get("one")

    assert before is not None
    assert after is not None
    assert after.verify is before.verify
    assert after.published.state is KeyState.RETIRING


def test_another_key_under_the_same_kid_replaces_it() -> None:
    keyring = keyring_of(KEY.published())
    before = keyring.get("one")
    keyring.apply(2, KeySet(keys=(published(OTHER.jwk()),)))
    after = keyring.get("one")

    assert before is not None
    assert after is not None
    assert after.verify is not before.verify
