"""Signatures that only look like one: forged without the key, or spelled in a second way."""

import hashlib
import json
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from events import KeyState, PublishedKey
from tests.security.forging import issuer_signing_with, signed_with
from tests.security.test_evaded_revocations import P256_ORDER, twin_of
from tests.simulator import IssuerSimulator, Listener, SigningKey, b64, signing_key, unb64
from verifier_agent import RejectionCode

N: Final = P256_ORDER
ED25519_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
ED25519_SMALL_ORDER: Final = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]
"""Points of order 1, 2, 4 and 8, and other spellings of some (RFC 8032 section 5.1.3 refuses those)."""
SHA256_PREFIX: Final = bytes.fromhex("3031300d060960864801650304020105000420")
"""DigestInfo of SHA-256 (RFC 8017 section 9.2)."""


# -- ECDSA


@pytest.mark.parametrize("r", [0, 1, N - 1, N, N + 1, 2 * N - 2**256, 2**256 - 1])
def test_ecdsa_signature_out_of_range(issuer: IssuerSimulator, listener: Listener, r: int) -> None:
    """All zeros passed for any message in Java 15 to 18 (CVE-2022-21449, "psychic signatures")."""
    token = issuer.token()
    good_r, good_s = unb64(token.split(".")[2])[:32], unb64(token.split(".")[2])[32:]
    odd = (r % 2**256).to_bytes(32, "big")

    for signature in (odd + odd, odd + good_s, good_r + odd, odd + bytes(32), bytes(32) + odd):
        assert listener.rejection(signed_with(token, signature)) is RejectionCode.BAD_SIGNATURE


def test_ecdsa_halves_reduced_beyond_the_order(issuer: IssuerSimulator, listener: Listener) -> None:
    """s + n names the same number modulo n; it would be a third spelling of a signature."""
    token = issuer.token()
    r, s = unb64(token.split(".")[2])[:32], int.from_bytes(unb64(token.split(".")[2])[32:], "big")
    for number in (s + N, 2 * N - s):
        wide = number.to_bytes(33, "big")
        for signature in (r + wide, b"\0" + r + wide, r + wide[-32:]):
            assert listener.rejection(signed_with(token, signature)) is RejectionCode.BAD_SIGNATURE


@pytest.mark.parametrize("revoked", ["token", "twin"])
@pytest.mark.parametrize("verified_before", [True, False])
def test_ecdsa_twin_is_revoked_with_its_token(
    issuer: IssuerSimulator, listener: Listener, revoked: str, verified_before: bool
) -> None:
    """A deny-list of whole tokens missed (r, n - s); OWASP's cheat sheet advised one (its issue 2235)."""
    spelled = {"token": (token := issuer.token()), "twin": twin_of(token)}
    assert twin_of(spelled["twin"]) == token
    if verified_before:
        for text in spelled.values():
            listener.verify(text)
    event = issuer.revoke_tokens(spelled[revoked])
    listener.hear(event)

    for _ in range(2):
        assert {listener.rejection(text) for text in spelled.values()} == {RejectionCode.REVOKED}
    listener.hear(issuer.lift(event))
    assert {listener.rejection(text) for text in spelled.values()} == {None}


# -- EdDSA


@pytest.fixture
def edwards() -> IssuerSimulator:
    return issuer_signing_with("EdDSA")


def test_eddsa_s_beyond_the_order(edwards: IssuerSimulator) -> None:
    """S + L is the same number modulo L; RFC 8032 section 5.1.7 refuses it, so a signature has one spelling."""
    listener = Listener.caught_up(edwards)
    token = edwards.token()
    r, s = unb64(token.split(".")[2])[:32], int.from_bytes(unb64(token.split(".")[2])[32:], "little")
    assert listener.rejection(token) is None

    for times in range(1, 8):
        spelled = signed_with(token, r + (s + times * ED25519_ORDER).to_bytes(32, "little"))
        assert listener.rejection(spelled) is RejectionCode.BAD_SIGNATURE


@pytest.mark.parametrize("point", ED25519_SMALL_ORDER)
def test_eddsa_point_of_small_order(edwards: IssuerSimulator, point: str) -> None:
    listener = Listener.caught_up(edwards)
    for s in (0, 1, ED25519_ORDER - 1, ED25519_ORDER):
        forged = signed_with(edwards.token(), bytes.fromhex(point) + s.to_bytes(32, "little"))
        assert listener.rejection(forged) is RejectionCode.BAD_SIGNATURE


@pytest.mark.parametrize("text", ED25519_SMALL_ORDER)
def test_eddsa_key_of_small_order(edwards: IssuerSimulator, text: str) -> None:
    """Under a key of order 1 a signature of all zeros but one is good for every message."""
    point = bytes.fromhex(text)
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(point), "kid": "odd", "alg": "EdDSA"}
    edwards.keys["odd"] = PublishedKey(kid="odd", alg="EdDSA", state=KeyState.ACTIVE, jwk=jwk)
    edwards.publish_keys()
    forged = signed_with(edwards.token(header={"kid": "odd"}), point + bytes(32))

    assert Listener.caught_up(edwards).rejection(forged) is RejectionCode.UNKNOWN_KEY


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
@pytest.mark.parametrize("fill", [0, 1, 0x7F, 0x80, 0xFF])
def test_signature_of_one_repeated_byte(alg: str, fill: int) -> None:
    issuer = issuer_signing_with(alg)
    listener = Listener.caught_up(issuer)
    for length in (1, 31, 32, 63, 64, 65, 96, 114, 128, 255, 256, 257, 512):
        assert listener.rejection(signed_with(issuer.token(), bytes([fill]) * length)) is RejectionCode.BAD_SIGNATURE


# -- RSA, PKCS #1 v1.5


@pytest.fixture(scope="module")
def low_exponent() -> SigningKey:
    """A key with e = 3, for which a number with chosen leading bytes is easily cubed."""
    return SigningKey("cubed", "RS256", rsa.generate_private_key(public_exponent=3, key_size=2048))


def cube_root(number: int) -> int:
    """The smallest integer whose cube is not below ``number``."""
    low, high = 0, 1 << (number.bit_length() // 3 + 2)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if middle**3 < number else (low, middle)
    return low


def hashed(token: str) -> bytes:
    return hashlib.sha256(token.rpartition(".")[0].encode()).digest()


def test_rsa_padding_with_garbage_behind_the_digest(low_exponent: SigningKey) -> None:
    """Whoever looked at the start of the padding alone took a cube root for a signature (CVE-2006-4339)."""
    issuer = issuer_signing_with("RS256")
    issuer.publish_key(low_exponent)
    listener = Listener.caught_up(issuer)
    token = issuer.token(key=low_exponent)
    assert listener.rejection(token) is None
    for filling in (b"\xff" * 8, b"\xff", b""):
        start = b"\0\1" + filling + b"\0" + SHA256_PREFIX + hashed(token)
        root = cube_root(int.from_bytes(start.ljust(256, b"\0"), "big"))
        assert (root**3).to_bytes(256, "big").startswith(start)  # the forgery is as it should be

        assert listener.rejection(signed_with(token, root.to_bytes(256, "big"))) is RejectionCode.BAD_SIGNATURE


@pytest.mark.parametrize(
    "wrong",
    ["garbage behind", "short padding", "block type 2", "no digest info", "without NULL", "parameters", "other hash"],
)
def test_rsa_padding_that_is_not_exact(wrong: str) -> None:
    """Signed with the key itself, so that nothing but the padding is wrong (BERserk, CVE-2014-1568)."""
    issuer = issuer_signing_with("RS256")
    numbers = issuer.key.private.private_numbers()
    token = issuer.token()
    digest = hashed(token)
    bare = bytes.fromhex("302f300b0609608648016503040201") + b"\x04\x20"
    filled = bytes.fromhex("3039301506096086480165030402010508") + b"ABCDEFGH" + b"\x04\x20"
    blocks = {
        "good": b"\0\1" + b"\xff" * 202 + b"\0" + SHA256_PREFIX + digest,
        "garbage behind": b"\0\1" + b"\xff" * 102 + b"\0" + SHA256_PREFIX + digest + b"\xaa" * 100,
        "short padding": b"\0\1\0" + SHA256_PREFIX + digest + bytes(202),
        "block type 2": b"\0\2" + b"\xff" * 202 + b"\0" + SHA256_PREFIX + digest,
        "no digest info": b"\0\1" + b"\xff" * 221 + b"\0" + digest,
        "without NULL": b"\0\1" + b"\xff" * (253 - len(bare) - 32) + b"\0" + bare + digest,
        "parameters": b"\0\1" + b"\xff" * (253 - len(filled) - 32) + b"\0" + filled + digest,
        "other hash": b"\0\1" + b"\xff" * 202 + b"\0" + SHA256_PREFIX.replace(b"\2\1\5", b"\2\4\5") + digest,
    }
    assert all(len(block) == 256 for block in blocks.values())

    def signed(block: bytes) -> str:
        number = pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n)
        return signed_with(token, number.to_bytes(256, "big"))

    listener = Listener.caught_up(issuer)
    assert listener.rejection(signed(blocks["good"])) is None
    assert listener.rejection(signed(blocks[wrong])) is RejectionCode.BAD_SIGNATURE


def test_rsa_signature_beyond_the_modulus() -> None:
    """s + n and leading zeros name the same number; they would be more spellings of one signature."""
    issuer = issuer_signing_with("RS256")
    listener = Listener.caught_up(issuer)
    n = issuer.key.private.public_key().public_numbers().n
    token = issuer.token()
    signature = unb64(token.split(".")[2])
    beyond = int.from_bytes(signature, "big") + n
    spelled = [b"\0" + signature, signature + b"\0", beyond.to_bytes(257, "big"), bytes(256), (1).to_bytes(256, "big")]
    if beyond < 2**2048:
        spelled.append(beyond.to_bytes(256, "big"))

    for text in spelled:
        assert listener.rejection(signed_with(token, text)) is RejectionCode.BAD_SIGNATURE


@pytest.mark.parametrize("e", ["AA", "AQ", "Ag", ""], ids=["0", "1", "2", "none"])
def test_rsa_exponent_that_signs_for_everybody(e: str) -> None:
    """With e = 1 the padded digest is its own signature."""
    issuer = issuer_signing_with("RS256")
    jwk = signing_key("RS256", "odd").jwk() | {"e": e}
    issuer.keys["odd"] = PublishedKey(kid="odd", alg="RS256", state=KeyState.ACTIVE, jwk=jwk)
    issuer.publish_keys()
    token = issuer.token(header={"kid": "odd"})
    padded = b"\0\1" + b"\xff" * 202 + b"\0" + SHA256_PREFIX + hashed(token)

    assert Listener.caught_up(issuer).rejection(signed_with(token, padded)) is RejectionCode.UNKNOWN_KEY


# -- parts that do not belong together


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
def test_parts_of_two_tokens_swapped(alg: str) -> None:
    issuer = issuer_signing_with(alg)
    listener = Listener.caught_up(issuer)
    one, other = issuer.token(header={"x": 1}).split("."), issuer.token(sub="admin").split(".")
    for text in (one, other):
        assert listener.rejection(".".join(text)) is None  # both are in the cache, and their headers too

    for part in range(3):
        mixed = [*one[:part], other[part], *one[part + 1 :]]
        assert listener.rejection(".".join(mixed)) is RejectionCode.BAD_SIGNATURE


def test_every_flipped_bit_of_a_payload(issuer: IssuerSimulator, listener: Listener) -> None:
    head, payload, signature = issuer.token(aud="orders").split(".")
    decoded = unb64(payload)
    assert json.loads(decoded)

    for bit in range(0, len(decoded) * 8, 7):  # coprime to 8: every position in a byte
        flipped = bytearray(decoded)
        flipped[bit // 8] ^= 1 << bit % 8
        assert listener.rejection(f"{head}.{b64(bytes(flipped))}.{signature}") is RejectionCode.BAD_SIGNATURE


def test_signature_over_one_dot_more_or_less(issuer: IssuerSimulator, listener: Listener) -> None:
    """What is signed names both parts and where one ends."""
    head, payload, signature = issuer.token().split(".")
    shifted: list[Any] = [
        f"{head[:-4]}.{head[-4:]}{payload}.{signature}",
        f"{head}{payload[:4]}.{payload[4:]}.{signature}",
        f"{head}.{payload}{signature[:4]}.{signature[4:]}",
        f"{head}.{payload[:-4]}.{payload[-4:]}{signature}",
    ]
    assert {listener.rejection(text) for text in shifted} <= {RejectionCode.MALFORMED, RejectionCode.BAD_SIGNATURE}
