"""What a client may be."""

from typing import Any

import pytest

from issuer.clients import Client


@pytest.mark.parametrize("client_id", ["web", "a", "A-1._~z", "x" * 128])
def test_a_client_id_of_unreserved_characters_is_accepted(client_id: str) -> None:
    assert Client(client_id=client_id).client_id == client_id


@pytest.mark.parametrize("client_id", ["", "x" * 129, "a b", "a:b", "a/b", "ä", "a\n", "a\0", "a%20b"])
def test_any_other_client_id_is_refused(client_id: str) -> None:
    with pytest.raises(ValueError, match="client_id"):
        Client(client_id=client_id)


@pytest.mark.parametrize("scope", ["", "a b", 'a"b', "a\\b", "ä", "a\n", "x" * 129])
def test_a_scope_that_rfc_6749_does_not_know_is_refused(scope: str) -> None:
    with pytest.raises(ValueError, match="is no scope"):
        Client(client_id="web", scopes=("read", scope))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("token_lifetime", {"token_lifetime": 0}),
        ("token_lifetime", {"token_lifetime": -1.0}),
        ("token_lifetime", {"token_lifetime": 0.9}),
        ("token_lifetime", {"token_lifetime": float("nan")}),
        ("token_alg", {"token_alg": "HS256"}),
        ("token_alg", {"token_alg": "none"}),
        ("name", {"name": "n" * 257}),
    ],
)
def test_a_value_that_no_token_could_have_is_refused_by_name(name: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=name):
        Client(client_id="web", **changes)


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("redirect URI", {"redirect_uris": ("http://app.example/",)}),
        ("redirect URI", {"post_logout_redirect_uris": ("javascript:alert(1)",)}),
        ("scheme of its own", {"redirect_uris": ("com.example.app:/callback",)}),
        ("has no keys", {"public": True, "grants": (), "jwks": ({"kty": "EC"},)}),
        ("not for public clients", {"public": True}),
        ("needs redirect_uris", {"grants": ("authorization_code",)}),
    ],
)
def test_a_client_that_no_login_could_be_for_is_refused(reason: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=reason):
        Client(client_id="web", **changes)
