"""What is too much is refused, and what is just not too much is taken."""

import pytest

from events import Selector
from events.selectors import MAX_MEMBERS
from tests.simulator import IssuerSimulator, Listener
from verifier_agent import RejectionCode
from verifier_agent.claims import ClaimsDecoder
from verifier_agent.jws import MAX_TOKEN_CHARS


def padded_to(issuer: IssuerSimulator, length: int) -> str:
    """A good token of so many characters; base64 passes over some lengths, which the header then fills."""
    for header in ("", "x", "xx", "xxx"):
        short = len(issuer.token(header={"x": header}, x="", jti="same"))
        for more in range((length - short) * 3 // 4 - 4, (length - short) * 3 // 4 + 4):
            token = issuer.token(header={"x": header}, x="y" * more, jti="same")
            if len(token) == length:
                return token
    raise AssertionError(f"no token has {length} characters")


@pytest.mark.parametrize(("more", "code"), [(0, None), (1, RejectionCode.OVERSIZED)])
def test_longest_token(issuer: IssuerSimulator, listener: Listener, more: int, code: RejectionCode | None) -> None:
    assert listener.rejection(padded_to(issuer, MAX_TOKEN_CHARS + more)) is code


@pytest.mark.parametrize(("more", "code"), [(0, RejectionCode.REVOKED), (1, RejectionCode.MALFORMED)])
@pytest.mark.parametrize("name", ["groups", "aud", "scope"])
def test_longest_list(issuer: IssuerSimulator, listener: Listener, name: str, more: int, code: RejectionCode) -> None:
    """Each member counts in revocations, up to the last one that is allowed."""
    members = [str(number) for number in range(MAX_MEMBERS + more)]
    token = issuer.token({name: " ".join(members) if name == "scope" else members})
    listener.hear(issuer.revoke(Selector(claims={name: str(MAX_MEMBERS - 1)})))

    assert listener.rejection(token, audience=None) is code


@pytest.mark.parametrize("space", [" ", "\t", "\u2003"])
def test_the_same_scope_very_often(issuer: IssuerSimulator, listener: Listener, space: str) -> None:
    """Each is looked up in the revocations, as often as it is there."""
    assert listener.rejection(issuer.token(scope=space.join(["a"] * MAX_MEMBERS))) is None
    assert listener.rejection(issuer.token(scope=space.join(["a"] * (MAX_MEMBERS + 1)))) is RejectionCode.MALFORMED


def test_ever_new_texts_of_scopes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of them is bounded, and what was read before is read alike again."""
    monkeypatch.setattr(ClaimsDecoder, "MAX_SCOPES", 4)
    decoder = ClaimsDecoder()
    for number in [*range(10), 9, 0]:
        claims = decoder.decode(b'{"iss":"i","exp":1,"scope":"a s%d"}' % number)
        assert claims.scope == {"a", f"s{number}"}
        assert len(decoder._scopes) <= 4
