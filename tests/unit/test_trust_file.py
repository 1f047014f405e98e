"""The file that pins an issuer and its event keys."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from events import IssuerTrust
from tests.simulator import ISSUER, IssuerSimulator, SigningKey, signing_key


def jwk(**changes: str | None) -> dict[str, str]:
    members = signing_key("ES256", "event-key").jwk() | changes
    return {name: value for name, value in members.items() if value is not None}


def trusting(*keys: dict[str, Any], issuer: Any = ISSUER) -> bytes:
    return msgspec.json.encode({"issuer": issuer, "event_keys": keys})


def test_a_saved_trust_file_loads_again(tmp_path: Path, issuer: IssuerSimulator) -> None:
    issuer.trust.save(tmp_path / "trust.json")

    assert IssuerTrust.load(tmp_path / "trust.json") == issuer.trust


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256"])
def test_event_keys_of_each_algorithm_are_found_by_kid(alg: str) -> None:
    key = signing_key(alg, "event-key")

    assert list(IssuerTrust(issuer=ISSUER, event_keys=(key.jwk(),)).verifying_keys()) == ["event-key"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated"),
        (b"not json", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"{}", "missing required field `issuer`"),
        (trusting(jwk(), issuer=None), "Expected `str`"),
        (trusting({"kid": 7}), "Expected `str`"),
        (trusting(), "no event key is pinned"),
        (trusting(jwk(kid=None)), "each event key needs a kid"),
        (trusting(jwk(kid="")), "each event key needs a kid"),
        (trusting(jwk(alg=None)), "a key needs an alg out of ES256, EdDSA, RS256"),
        (trusting(jwk(alg="HS256")), "a key needs an alg out of"),
        (trusting(jwk(alg="none")), "a key needs an alg out of"),
        (trusting(jwk(x="AA")), "trust.json"),
        (trusting(jwk(x=None)), "trust.json"),
        (trusting(jwk(crv="P-384")), "trust.json"),
        (trusting({"kid": "k", "alg": "ES256", "kty": "oct", "k": "c2VjcmV0"}), "trust.json"),
        (trusting({"kid": "k", "alg": "RS256", "kty": "RSA", "n": "", "e": ""}), "trust.json"),
        (trusting(signing_key("ES256", "event-key").jwk(private=True)), "event key event-key is a private key"),
        (trusting(jwk(), jwk()), "event key event-key is pinned twice"),
    ],
)
def test_a_file_that_pins_no_usable_key_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "trust.json"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=r"^trust file .*trust\.json: ") as refused:
        IssuerTrust.load(path)

    assert message in str(refused.value)


def test_a_missing_file_is_the_systems_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        IssuerTrust.load(tmp_path / "trust.json")


def test_a_key_on_another_curve_is_no_es256_key() -> None:
    other = SigningKey("k", "ES384", ec.generate_private_key(ec.SECP384R1())).jwk() | {"alg": "ES256"}

    with pytest.raises(ValueError, match=r"."):
        IssuerTrust(issuer=ISSUER, event_keys=(other,)).verifying_keys()


def test_a_successor_and_ends_are_kept(tmp_path: Path) -> None:
    old, new = signing_key("ES256", "old"), signing_key("ES256", "new")
    ends = {"old": {"keys": 3, "revocations": 4, "heartbeats": 5}}
    trust = IssuerTrust(issuer=ISSUER, event_keys=(old.jwk(), new.jwk()), successor="A" * 43, ends=ends)

    trust.save(tmp_path / "trust.json")

    assert IssuerTrust.load(tmp_path / "trust.json") == trust


def test_a_file_without_them_looks_as_it_did(tmp_path: Path) -> None:
    IssuerTrust(issuer=ISSUER, event_keys=(signing_key("ES256", "only").jwk(),)).save(tmp_path / "trust.json")

    assert set(json.loads((tmp_path / "trust.json").read_text())) == {"issuer", "event_keys"}


@pytest.mark.parametrize(
    ("successor", "ends"),
    [
        ("short", {"old": {"keys": 3, "revocations": 4, "heartbeats": 5}}),
        ("A" * 43, {}),
        ("", {"new": {"keys": 3, "revocations": 4, "heartbeats": 5}}),
        ("", {"old": {"keys": 3, "revocations": 4}}),
        ("", {"old": {"keys": -3, "revocations": 4, "heartbeats": 5}}),
        ("", {"old": {"keys": 1 << 60, "revocations": 4, "heartbeats": 5}}),
        ("", {name: {"keys": 3, "revocations": 4, "heartbeats": 5} for name in ("old", "new")}),
    ],
)
def test_ends_that_make_no_sense_are_refused(successor: str, ends: dict[str, dict[str, int]]) -> None:
    keys = (signing_key("ES256", "old").jwk(), signing_key("ES256", "new").jwk())

    with pytest.raises(ValueError, match=r"successor|end of event key"):
        IssuerTrust(issuer=ISSUER, event_keys=keys, successor=successor, ends=ends).verifying_keys()
