"""Whatever is handed over as a token is accepted, or rejected with a code. Nothing else comes out."""

import json
from typing import Any, Final

from hypothesis import example, given
from hypothesis import strategies as st

from tests.simulator import AUDIENCE, IssuerSimulator, Listener, b64, unb64
from verifier_agent import Claims, RejectionCode

ISSUER: Final = IssuerSimulator()
LISTENER: Final = Listener.caught_up(ISSUER)
GOOD: Final = ISSUER.token()
HEADER, PAYLOAD, SIGNATURE = GOOD.split(".")

letters = st.characters() | st.sampled_from("ABab01-_.=+/\n\0")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def verdict(token: Any, audience: str | None = AUDIENCE) -> Claims | RejectionCode:
    rejection = LISTENER.rejection(token, audience=audience)
    return LISTENER.verify(token, audience=audience) if rejection is None else rejection


@given(st.text(alphabet=letters))
@example("\ud800.\ud800.\ud800")
@example("." * 8193)
@example("." * 8192)
@example("e30." * 2000)
@example("\u0130.e30.AA")
def test_arbitrary_text_is_rejected_with_a_code(token: str) -> None:
    assert isinstance(verdict(token), RejectionCode)


@given(st.binary() | st.none() | st.integers() | st.lists(st.text(), max_size=3))
def test_what_is_no_text_is_rejected_with_a_code(token: Any) -> None:
    assert verdict(token) is RejectionCode.MALFORMED


@st.composite
def alterations(draw: st.DrawFn) -> str:
    token = list(GOOD)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(token) - 1))
        match draw(st.sampled_from(["flip", "insert", "delete", "swap"])):
            case "flip":
                token[at] = draw(letters)
            case "insert":
                token.insert(at, draw(letters))
            case "delete":
                del token[at]
            case "swap":
                other = draw(st.integers(0, len(token) - 1))
                token[at], token[other] = token[other], token[at]
    return "".join(token)


@given(alterations())
@example(GOOD + "=")
@example(GOOD + "\n")
@example(GOOD + "A")
@example(f"{HEADER}.{PAYLOAD}.")
@example(f"{HEADER}.{PAYLOAD}")
@example(f"{HEADER}..{SIGNATURE}")
@example(f"{b64(json.dumps({'alg': 'none', 'typ': 'at+jwt', 'kid': ISSUER.key.kid}).encode())}.{PAYLOAD}.")
@example(f"{b64(json.dumps({'alg': 'none', 'typ': 'at+jwt', 'kid': ISSUER.key.kid}).encode())}.{PAYLOAD}.AA")
def test_an_altered_token_is_rejected_with_a_code(token: str) -> None:
    assert token == GOOD or isinstance(verdict(token), RejectionCode)


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=100))
@example(b"[" * 3000, b"{}", b"")
@example(b'{"alg":"ES256","typ":"at+jwt","kid":"ES256-key","x":' + b"[" * 3000, b"{}", b"\0" * 64)
@example(b'{"alg":"ES256","typ":"at+jwt","kid":' + b"9" * 5000 + b"}", b"{}", b"\0" * 64)
def test_three_arbitrary_parts_are_rejected_with_a_code(header: bytes, payload: bytes, signature: bytes) -> None:
    assert isinstance(verdict(f"{b64(header)}.{b64(payload)}.{b64(signature)}"), RejectionCode)


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jku"]) | st.text(), json_values))
def test_an_arbitrary_header_is_rejected_with_a_code_or_changes_nothing(header: dict[str, Any]) -> None:
    found = verdict(ISSUER.token(header=header, jti="same"))

    assert isinstance(found, RejectionCode) or found.jti == "same"


@given(st.dictionaries(st.sampled_from(list(json.loads(unb64(PAYLOAD)))) | st.text(), json_values))
@example({"exp": 10**400})
@example({"iat": -(10**30)})
@example({"jti": "\ud800"})
@example({"key": True, "header": 1, "self": None})
def test_arbitrary_claims_under_a_good_signature_are_accepted_or_rejected_with_a_code(claims: dict[str, Any]) -> None:
    found = verdict(ISSUER.token(claims))

    assert isinstance(found, Claims | RejectionCode)
