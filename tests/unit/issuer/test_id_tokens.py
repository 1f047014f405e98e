"""What an ID token says (OpenID Connect Core section 2), and what it never says."""

import hashlib
from typing import Any

import msgspec
import pytest

from issuer.clients import Client
from issuer.families import Family
from issuer.grants import Authorization
from issuer.openid.id_tokens import id_token_claims, left_half
from tests.simulator import b64

NOW = 1_800_000_000
FAMILY = Family(
    id="family-1",
    grant_type="authorization_code",
    client_id="web",
    sub="248289761001",
    scope=("openid", "profile"),
    audience=("orders",),
    gsq=7,
    auth_time=NOW - 30.9,
    claims={"sid": "session-1", "amr": ["pwd"], "tenant": "acme"},
    expires_at=NOW + 3600.0,
)
AUTHORIZATION = Authorization(
    client=Client(client_id="web"),
    subject=FAMILY.sub,
    scope=("openid",),
    audience=("orders",),
    rsq=7,
    claims={"roles": ["admin"]},
    family=FAMILY,
    nonce="n-0S6_WzA2Mj",
)


def said(authorization: Authorization = AUTHORIZATION, family: Family = FAMILY, alg: str = "ES256") -> dict[str, Any]:
    return id_token_claims(
        authorization,
        family,
        issuer="https://issuer.example",
        access_token="eyJ.eyJ.sig",
        alg=alg,
        now=NOW,
        lifetime=300.0,
    )


def test_it_says_who_has_logged_in_when_and_how_to_the_client_alone() -> None:
    assert said() == {
        "iss": "https://issuer.example",
        "sub": "248289761001",
        "aud": "web",
        "exp": NOW + 300,
        "iat": NOW,
        "auth_time": NOW - 31,
        "amr": ["pwd"],
        "sid": "session-1",
        "nonce": "n-0S6_WzA2Mj",
        "at_hash": b64(hashlib.sha256(b"eyJ.eyJ.sig").digest()[:16]),
    }


def test_after_a_refresh_it_is_the_same_without_a_nonce() -> None:
    again = said(msgspec.structs.replace(AUTHORIZATION, nonce=None))

    assert again == {name: value for name, value in said().items() if name != "nonce"}


def test_nothing_of_a_session_is_made_up_where_there_was_none() -> None:
    assert not {"sid", "amr"} & said(family=msgspec.structs.replace(FAMILY, claims={})).keys()


@pytest.mark.parametrize(("alg", "digest"), [("ES256", "sha256"), ("RS256", "sha256"), ("EdDSA", "sha512")])
def test_at_hash_is_half_of_the_hash_of_the_algorithm(alg: str, digest: str) -> None:
    whole = hashlib.new(digest, b"eyJ.eyJ.sig").digest()

    assert said(alg=alg)["at_hash"] == left_half("eyJ.eyJ.sig", alg) == b64(whole[: len(whole) // 2])
