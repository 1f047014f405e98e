"""Values as OpenID Connect Core prints them."""

from typing import Any

import pytest

from issuer.openid import released
from issuer.openid.id_tokens import left_half
from issuer.users import User


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
@pytest.mark.parametrize(
    ("value", "half"),
    [
        pytest.param(
            "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ", id="appendix A.3, at_hash"
        ),
        pytest.param(
            "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk", "LDktKdoQak3Pk0cnXxCltA", id="A.4, c_hash"
        ),
    ],
)
def test_the_left_half_of_a_hash_is_the_printed_one(value: str, half: str, alg: str) -> None:
    assert left_half(value, alg) == half


USERINFO: dict[str, Any] = {
    "sub": "248289761001",
    "name": "Jane Doe",
    "given_name": "Jane",
    "family_name": "Doe",
    "preferred_username": "j.doe",
    "email": "janedoe@example.com",
    "picture": "http://example.com/janedoe/me.jpg",
}


def test_userinfo_is_the_printed_answer() -> None:
    """Section 5.3.2."""
    claims = {name: value for name, value in USERINFO.items() if name != "sub"}
    jane = User(sub="248289761001", username="jane", claims=claims)

    assert released(jane, ("openid", "profile", "email")) == USERINFO
