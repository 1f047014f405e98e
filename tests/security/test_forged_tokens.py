"""Tokens that nobody issued."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from events import Baseline, EventKey, EventSigner, KeyState, Stream, pack
from tests.simulator import IssuerSimulator, Listener, SigningKey, b64, signing_key, unb64
from verifier_agent import RejectionCode

STRANGER = signing_key("ES256", "stranger")


def with_header(token: str, signature: bytes = b"", **header: Any) -> str:
    """The same payload under another header and signature."""
    return f"{b64(json.dumps(header).encode())}.{token.split('.')[1]}.{b64(signature)}"


# -- algorithm


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
@pytest.mark.parametrize("signature", [b"", b"\0", b"\0" * 64])
def test_alg_none(issuer: IssuerSimulator, listener: Listener, alg: str, signature: bytes) -> None:
    forged = with_header(issuer.token(), signature, alg=alg, kid=issuer.key.kid, typ="at+jwt")

    assert listener.rejection(forged) in (RejectionCode.MALFORMED, RejectionCode.WRONG_ALGORITHM)


@pytest.mark.parametrize(
    ("encoding", "form"),
    [(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)],
)
@pytest.mark.parametrize("alg", ["HS256", "RS256"])
def test_rs256_public_key_as_hs256_secret(encoding: Encoding, form: PublicFormat, alg: str) -> None:
    issuer = IssuerSimulator(alg="RS256")
    secret = issuer.key.private.public_key().public_bytes(encoding, form)
    unsigned = with_header(issuer.token(), alg=alg, kid=issuer.key.kid, typ="at+jwt").removesuffix(".")
    forged = f"{unsigned}.{b64(hmac.digest(secret, unsigned.encode(), hashlib.sha256))}"

    expected = RejectionCode.WRONG_ALGORITHM if alg == "HS256" else RejectionCode.BAD_SIGNATURE
    assert Listener.caught_up(issuer).rejection(forged) is expected


@pytest.mark.parametrize("alg", ["RS256", "EdDSA"])
def test_another_algorithm_under_the_kid_of_an_es256_key(issuer: IssuerSimulator, listener: Listener, alg: str) -> None:
    forged = issuer.token(key=signing_key(alg, "stranger"), header={"kid": issuer.key.kid})

    assert listener.rejection(forged) is RejectionCode.WRONG_ALGORITHM


def test_another_algorithm_named_beside_a_good_signature(issuer: IssuerSimulator, listener: Listener) -> None:
    assert listener.rejection(issuer.token(header={"alg": "RS256"})) is RejectionCode.WRONG_ALGORITHM


@pytest.mark.parametrize("r", [0, 1, 2**256 - 1])
@pytest.mark.parametrize("s", [0, 1, 2**256 - 1])
def test_degenerate_ecdsa_signature(issuer: IssuerSimulator, listener: Listener, r: int, s: int) -> None:
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    forged = f"{issuer.token().rpartition('.')[0]}.{b64(signature)}"

    assert listener.rejection(forged) is RejectionCode.BAD_SIGNATURE


def test_signature_filled_up_with_zeros(issuer: IssuerSimulator, listener: Listener) -> None:
    token = issuer.token()
    signing_input, _, text = token.rpartition(".")
    r, s = unb64(text)[:32], unb64(text)[32:]
    assert listener.rejection(token) is None

    for filled in (r + b"\0" + s, r + b"\0" * 32 + s, b"\0" + r + s, r + s + b"\0"):
        assert listener.rejection(f"{signing_input}.{b64(filled)}") is RejectionCode.BAD_SIGNATURE


# -- key


def test_kid_of_another_key(issuer: IssuerSimulator) -> None:
    other = signing_key("ES256", "other")
    issuer.publish_key(other)

    assert Listener.caught_up(issuer).rejection(issuer.token(header={"kid": other.kid})) is RejectionCode.BAD_SIGNATURE


def test_key_of_a_stranger_under_our_kid(issuer: IssuerSimulator, listener: Listener) -> None:
    forged = issuer.token(key=STRANGER, header={"kid": issuer.key.kid})

    assert listener.rejection(forged) is RejectionCode.BAD_SIGNATURE


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "/dev/null",
        "file:///dev/null",
        "https://evil.example/key",
        "x' UNION SELECT 'key",
        "key\0",
        " ES256-key",
        "ES256-KEY",
        "__class__",
        "",
    ],
)
def test_kid_path_tricks(issuer: IssuerSimulator, listener: Listener, kid: str) -> None:
    assert listener.rejection(issuer.token(header={"kid": kid})) is RejectionCode.UNKNOWN_KEY


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c", "x5t"])
@pytest.mark.parametrize("kid", ["stranger", "ES256-key"])
def test_key_offered_in_the_header_is_ignored(issuer: IssuerSimulator, listener: Listener, name: str, kid: str) -> None:
    offered = {
        "jwk": STRANGER.jwk(),
        "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/cert",
        "x5c": [b64(b"certificate")],
        "x5t": b64(b"\0" * 20),
    }
    forged = issuer.token(key=STRANGER, header={"kid": kid, name: offered[name]})
    known = kid == issuer.key.kid

    assert listener.rejection(forged) is (RejectionCode.BAD_SIGNATURE if known else RejectionCode.UNKNOWN_KEY)
    assert listener.rejection(issuer.token(header={name: offered[name]})) is None


def test_event_key_signs_a_token(issuer: IssuerSimulator, listener: Listener) -> None:
    assert listener.rejection(issuer.token(key=issuer.event_key)) is RejectionCode.UNKNOWN_KEY


# -- header members that change the meaning


@pytest.mark.parametrize(
    "header",
    [{"crit": ["exp"], "exp": 0}, {"crit": []}, {"b64": False, "crit": ["b64"]}, {"b64": False}, {"b64": True}],
)
def test_crit_and_b64(issuer: IssuerSimulator, listener: Listener, header: dict[str, Any]) -> None:
    assert listener.rejection(issuer.token(header=header)) is RejectionCode.MALFORMED


@pytest.mark.parametrize("header", [{"enc": "A128GCM"}, {"zip": "DEF"}])
def test_encryption_and_compression(issuer: IssuerSimulator, listener: Listener, header: dict[str, Any]) -> None:
    assert listener.rejection(issuer.token(header=header)) is RejectionCode.MALFORMED


# -- one kind of token for another


@pytest.mark.parametrize(
    "typ", ["JWT", "jwt", "secevent+jwt", "logout+jwt", "dpop+jwt", "id+jwt", "at+jwt ", "xat+jwt"]
)
def test_other_kind_of_token_as_access_token(issuer: IssuerSimulator, listener: Listener, typ: str) -> None:
    assert listener.rejection(issuer.token(header={"typ": typ})) is RejectionCode.WRONG_TYPE


def test_event_as_access_token(issuer: IssuerSimulator, listener: Listener) -> None:
    event = issuer.said[0].text.decode()

    assert listener.rejection(event) is RejectionCode.UNKNOWN_KEY


def test_event_as_access_token_where_one_key_signs_both(issuer: IssuerSimulator) -> None:
    key = signing_key("ES256", "both")
    issuer.publish_key(key)
    signer = EventSigner(issuer.issuer, EventKey(key.jwk(private=True)))
    event = signer.sign(Stream.KEYS, pack(1, 9), Baseline(), time=issuer.clock.now(), txn="t").text.decode()

    assert Listener.caught_up(issuer).rejection(event, audience=None) is RejectionCode.WRONG_TYPE


def test_access_token_as_event(issuer: IssuerSimulator, listener: Listener) -> None:
    token = issuer.token(key=issuer.event_key).encode()

    assert [listener.hear_raw(stream, token) for stream in Stream] == ["wrong_type"] * len(Stream)


# -- one token spelled in two ways


def test_spare_base64_bits(issuer: IssuerSimulator, listener: Listener) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = issuer.token()
    assert listener.rejection(token) is None
    last = alphabet.index(token[-1])
    respelled = [token[:-1] + alphabet[last + spare] for spare in range(1, 16)]  # 64 bytes leave 4 spare bits

    assert {listener.rejection(twin) for twin in respelled} == {RejectionCode.MALFORMED}


@pytest.mark.parametrize("change", [lambda t: t + "=", lambda t: t + "==", lambda t: t.replace(".", "=.", 1)])
def test_padding(issuer: IssuerSimulator, listener: Listener, change: Any) -> None:
    assert listener.rejection(change(issuer.token())) is RejectionCode.MALFORMED


@pytest.mark.parametrize("junk", ["\n", " ", "\t", "\r\n", "\0", "\u200b"])
def test_white_space_inside_a_part(issuer: IssuerSimulator, listener: Listener, junk: str) -> None:
    token = issuer.token()
    at = len(token) // 2

    for spelled in (token[:at] + junk + token[at:], junk + token, token + junk):
        assert listener.rejection(spelled) is RejectionCode.MALFORMED


def test_standard_base64_alphabet(issuer: IssuerSimulator, listener: Listener) -> None:
    while "-" not in (token := issuer.token()) or "_" not in token:
        pass

    for spelled in (token.replace("-", "+"), token.replace("_", "/")):
        assert listener.rejection(spelled) is RejectionCode.MALFORMED


# -- keys that must not count


@pytest.mark.parametrize("state", [KeyState.RETIRED, KeyState.REVOKED])
def test_removed_key(issuer: IssuerSimulator, listener: Listener, state: KeyState) -> None:
    second = signing_key("ES256", "second")
    listener.hear(issuer.publish_key(second))
    token = issuer.token(key=second)
    assert listener.rejection(token) is None
    listener.hear(issuer.publish_key(second, state))

    assert listener.rejection(token) is not None
    assert listener.rejection(issuer.token(key=second)) is not None


def test_key_left_out_of_the_key_set(issuer: IssuerSimulator, listener: Listener) -> None:
    second = signing_key("ES256", "second")
    listener.hear(issuer.publish_key(second))
    token = issuer.token(key=second)
    assert listener.rejection(token) is None
    del issuer.keys[second.kid]
    listener.hear(issuer.publish_keys())

    assert listener.rejection(token) is RejectionCode.UNKNOWN_KEY


def test_older_key_set_brings_a_revoked_key_back(issuer: IssuerSimulator) -> None:
    second = signing_key("ES256", "second")
    older = issuer.publish_key(second)
    newer = issuer.publish_key(second, KeyState.REVOKED)
    newest = issuer.publish_key(second)  # not even the issuer itself can

    for order in ([older, newer], [newer, older], [newer, older, newest], [newest, newer], [newer, newest]):
        listener = Listener(issuer)
        listener.hear(*[event for event in issuer.said if event not in (older, newer, newest)], *order, issuer.beat())
        assert listener.verifier.state.keys.is_revoked("second")
        assert not listener.verifier.state.keys.verifies("second")


def test_stolen_key_stamps_any_rsq(issuer: IssuerSimulator, listener: Listener) -> None:
    listener.hear(issuer.publish_key(issuer.key, KeyState.REVOKED))
    for rsq in (0, pack(1, 1), 2**53 - 1):
        assert listener.rejection(issuer.token(rsq=rsq)) is RejectionCode.KEY_REVOKED


def test_symmetric_or_private_key_in_a_key_set(issuer: IssuerSimulator) -> None:
    for jwk in ({"kty": "oct", "k": b64(b"secret")}, STRANGER.jwk(private=True)):
        issuer.keys["odd"] = SigningKey("odd", "ES256", STRANGER.private).published()
        issuer.keys["odd"] = type(issuer.keys["odd"])(kid="odd", alg="ES256", state=KeyState.ACTIVE, jwk=jwk)
        issuer.publish_keys()
        token = issuer.token(key=STRANGER, header={"kid": "odd"})

        assert Listener.caught_up(issuer).rejection(token) is RejectionCode.UNKNOWN_KEY
