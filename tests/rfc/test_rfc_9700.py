"""RFC 9700, Best Current Practice for OAuth 2.0 Security, section 2; its attacks are in tests/security/."""

import pytest

from tests.issuer_under_test import Installation, Replica

pytestmark = pytest.mark.asyncio(loop_scope="module")

METADATA = "/.well-known/oauth-authorization-server"


async def test_the_metadata_say_that_there_is_pkce_with_s256_and_nothing_weaker(issuer: Replica) -> None:
    """Section 2.1.1: servers MUST provide a way to detect that they support PKCE; plain is not to be used."""
    assert (await issuer.send("GET", METADATA)).json()["code_challenge_methods_supported"] == ["S256"]


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_pages_of_other_origins_cannot_read_the_authorization_endpoint(issuer: Replica, method: str) -> None:
    """Section 2.6: servers MUST NOT support cross-origin requests at the authorization endpoint."""
    answer = await issuer.send(method, "/oauth2/authorize", headers={"Origin": "https://evil.example"})

    assert not any(name.lower().startswith("access-control-") for name in answer.headers)


async def test_no_token_goes_through_a_browser(issuer: Replica) -> None:
    """Section 2.1.2: no implicit grant, nor any other response type with an access token."""
    document = (await issuer.send("GET", METADATA)).json()

    assert document["response_types_supported"] == ["code"]
    assert "implicit" not in document["grant_types_supported"]


async def test_the_password_grant_is_not_there_unless_a_setting_says_so(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Section 2.4: the resource owner password credentials grant MUST NOT be used."""
    usual = await Installation.create(tmp_path_factory.mktemp("usual"))
    async with usual.running() as issuer:
        document = (await issuer.send("GET", METADATA)).json()
        answer = await issuer.form("/oauth2/token", usual.demo, grant_type="password", username="a", password="b")

    assert "password" not in document["grant_types_supported"]
    assert answer.json()["error"] == "unsupported_grant_type"
