"""From what stands in a file to what is sent."""

import base64
import json

import pytest

from events import jti_digest
from events.digests import token_digest
from tocsin.mass.digesting import BadValue, Digester


def part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


HEADER = part({"alg": "ES256", "typ": "at+jwt"})
PAYLOAD = part({"iss": "https://issuer.example", "sub": "alice"})
SPACED = base64.urlsafe_b64encode(b'{ "iss": 7}').decode().rstrip("=")


def digest(kind: str, value: str | bytes) -> int:
    packed = Digester().of[kind](value if isinstance(value, bytes) else value.encode())
    assert len(packed) == 8
    return int.from_bytes(packed)


@pytest.mark.parametrize("payload", [PAYLOAD, SPACED])
def test_a_token_is_digested_as_verifiers_do_it_whatever_its_signature(payload: str) -> None:
    token = f"{HEADER}.{payload}.c2ln"

    assert digest("token", token) == token_digest(token) == digest("token", f"{HEADER}.{payload}.bm9uZQ")


@pytest.mark.parametrize("jti", ["x", "a1b2-c3", "jütland", "0123456789abcdef"])
def test_a_jti_is_digested_as_verifiers_do_it(jti: str) -> None:
    assert digest("jti", jti) == jti_digest(jti)


@pytest.mark.parametrize("text", ["00000000000000ff", "00000000000000FF"])
def test_a_digest_is_taken_as_it_is(text: str) -> None:
    assert digest("digest", text) == 255


BAD: dict[str, tuple[str, str | bytes, str]] = {
    "a cut token": ("token", f"{HEADER}.{PAYLOAD}", "2 parts between dots, not 3"),
    "one word": ("token", "hunter2", "1 part between dots, not 3"),
    "an encrypted token": ("token", "a.b.c.d.e", "5 parts"),
    "a header line": ("token", f"Bearer {HEADER}.{PAYLOAD}.x", "characters other than"),
    "two tokens": ("token", f"{HEADER}.{PAYLOAD}.x {HEADER}.{PAYLOAD}.x", "5 parts"),
    "a host": ("token", "www.example.com", "its header is no JSON object"),
    "a header that is a list": ("token", f"{part([])}.{PAYLOAD}.x", "its header is no JSON object"),
    "a payload of text": ("token", f"{HEADER}.{part('x')}.x", "its payload is no JSON object"),
    "an unsigned token": ("token", f"{HEADER}.{PAYLOAD}.", "no signature"),
    "padding": ("token", f"{HEADER}=.{PAYLOAD}.x", "characters other than"),
    "a short digest": ("digest", "ff", "16 hexadecimal digits"),
    "a digest with a space": ("digest", "00000000 00000ff", "16 hexadecimal digits"),
    "a jti that is no text": ("jti", b"\xff", "UTF-8"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_none_is_told_without_its_text(case: str) -> None:
    kind, value, why = BAD[case]

    with pytest.raises(BadValue, match=why) as bad:
        digest(kind, value)
    assert not any(len(word) > 3 and word in str(value) for word in str(bad.value).split())
