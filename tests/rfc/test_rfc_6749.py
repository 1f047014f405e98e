"""RFC 6749, The OAuth 2.0 Authorization Framework: what no test elsewhere holds; docs/conformance.md has all of it."""

import base64
import re
from urllib.parse import urlencode

import pytest

from tests.integration.issuer.portal import PASSWORD, Portal, granted, refused
from tests.issuer_under_test import Credentials, Installation, Replica, unverified

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = "/oauth2/token"
DESCRIPTION = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")
"""Section 5.2: what an error_description may hold."""


async def test_a_client_that_uses_two_methods_at_once_is_refused(installation: Installation, issuer: Replica) -> None:
    """Section 2.3: a client MUST NOT use more than one authentication method in a request."""
    demo = installation.demo

    answer = await issuer.form(
        TOKEN, demo, grant_type="client_credentials", client_id=demo.client_id, client_secret=demo.secret
    )

    assert refused(answer) == "invalid_request"


@pytest.mark.parametrize("scheme", ["Bearer", "Digest", "Basic2"])
async def test_a_client_that_fails_in_the_header_is_challenged_for_basic(issuer: Replica, scheme: str) -> None:
    """Section 5.2: 401 with a WWW-Authenticate of the scheme that the server knows, MUST come to who tried a header."""
    answer = await issuer.send(
        "POST", TOKEN, data={"grant_type": "client_credentials"}, headers={"Authorization": f"{scheme} ZGVtbzp4"}
    )

    assert (answer.status, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")


async def test_a_parameter_without_a_value_counts_as_left_out(installation: Installation, issuer: Replica) -> None:
    """Section 3.2: MUST be treated as if they were omitted."""
    bare = await granted(await issuer.form(TOKEN, installation.demo, grant_type="client_credentials"))

    empty = await granted(
        await issuer.form(TOKEN, installation.demo, grant_type="client_credentials", scope="", resource="")
    )

    assert empty["scope"] == bare["scope"]
    assert unverified(empty["access_token"])["aud"] == unverified(bare["access_token"])["aud"]


async def test_an_unknown_parameter_is_ignored(installation: Installation, issuer: Replica) -> None:
    """Section 3.2: the authorization server MUST ignore unrecognized request parameters."""
    answer = await issuer.form(TOKEN, installation.demo, grant_type="client_credentials", colour="green", rsq="0")

    assert answer.status == 200, answer
    assert "colour" not in answer.json()


@pytest.mark.parametrize("name", ["scope", "colour", 'q"uote', "back\\slash", "ü", "\0"])
async def test_a_repeated_parameter_is_refused_and_named_in_characters_that_are_allowed(
    installation: Installation, issuer: Replica, name: str
) -> None:
    """Section 3.2: parameters MUST NOT be included more than once; section 5.2: characters of error_description."""
    answer = await issuer.send(
        "POST",
        TOKEN,
        data=urlencode([("grant_type", "client_credentials"), (name, "a"), (name, "b")]),
        headers={"Authorization": basic(installation.demo), "Content-Type": "application/x-www-form-urlencoded"},
    )

    assert refused(answer) == "invalid_request"
    assert DESCRIPTION.fullmatch(answer.json()["error_description"])


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("orders:write orders:read", {"orders:read", "orders:write"}),
        ("orders:read orders:read", {"orders:read"}),
        ("orders:read", {"orders:read"}),
    ],
)
async def test_the_order_of_scopes_does_not_matter_and_the_answer_says_which_were_given(
    installation: Installation, issuer: Replica, asked: str, given: set[str]
) -> None:
    """Section 3.3: their order does not matter; the answer MUST say the scope where it is another than asked for."""
    body = await granted(await issuer.form(TOKEN, installation.demo, grant_type="client_credentials", scope=asked))

    assert set(body["scope"].split(" ")) == given
    assert len(body["scope"].split(" ")) == len(given)


@pytest.mark.parametrize("scope", ["ORDERS:READ", "orders:read,orders:write", "orders:read\torders:write", '"', "\\"])
async def test_scopes_are_case_sensitive_words_with_single_spaces(
    installation: Installation, issuer: Replica, scope: str
) -> None:
    """Section 3.3: space-delimited, case-sensitive strings of some characters; an invalid one is invalid_scope."""
    answer = await issuer.form(TOKEN, installation.demo, grant_type="client_credentials", scope=scope)

    assert refused(answer) == "invalid_scope"


async def test_a_password_is_taken_from_an_authenticated_client_alone(issuer: Replica, portal: Portal) -> None:
    """Section 4.3.2: the authorization server MUST require client authentication, and validate the password."""
    form = {"grant_type": "password", "username": "alice", "password": PASSWORD}

    for by in (None, Credentials("portal", "wrong")):
        answer = await issuer.form(TOKEN, by, **form)
        assert (answer.status, answer.json()["error"]) == (401, "invalid_client")
    assert refused(await portal.log_in(password="wrong")) == "invalid_grant"
    assert (await portal.log_in()).status == 200


async def test_a_client_by_itself_must_authenticate_and_gets_no_refresh_token(
    installation: Installation, issuer: Replica
) -> None:
    """Section 4.4: the client MUST authenticate; section 4.4.3: a refresh token SHOULD NOT be included."""
    client = await installation.client("renewing", grants=("client_credentials", "refresh_token"))

    stranger = await issuer.form(TOKEN, None, grant_type="client_credentials", client_id="renewing")
    body = await granted(await issuer.form(TOKEN, client, grant_type="client_credentials"))

    assert (stranger.status, stranger.json()["error"]) == (401, "invalid_client")
    assert "refresh_token" not in body


async def test_a_new_refresh_token_has_the_scope_of_the_one_before(portal: Portal) -> None:
    """Section 6: scope MUST NOT include any that was not granted; a new refresh token has the same as the old one."""
    first = await granted(await portal.log_in(scope="read write"))

    narrowed = await granted(await portal.refresh(first["refresh_token"], scope="read"))
    again = await granted(await portal.refresh(narrowed["refresh_token"]))

    assert narrowed["scope"] == "read"
    assert set(again["scope"].split(" ")) == {"read", "write"}
    assert refused(await portal.refresh(again["refresh_token"], scope="read admin")) == "invalid_scope"


async def test_credentials_are_too_many_to_be_guessed(installation: Installation, portal: Portal) -> None:
    """Section 10.10: the probability of guessing MUST be at most 2^-128."""
    body = await granted(await portal.log_in())

    for text in (body["refresh_token"], unverified(body["access_token"])["jti"], installation.demo.secret):
        random = re.sub(r"^[a-z]+_", "", text)
        assert len(random) * 6 >= 128, text


async def test_a_refresh_token_that_was_changed_is_not_accepted(portal: Portal) -> None:
    """Section 10.4: MUST NOT be generated, modified, or guessed by who may not; and is kept to its client."""
    token = (await granted(await portal.log_in()))["refresh_token"]

    for changed in (token[:-1] + ("A" if token[-1] != "A" else "B"), token + "A", token.swapcase(), token[:-1]):
        assert refused(await portal.refresh(changed)) == "invalid_grant"
    assert (await portal.refresh(token)).status == 200


async def test_forms_are_read_as_utf_8(issuer: Replica, portal: Portal) -> None:
    """Appendix B: names and values MUST be encoded in UTF-8 before they are form-encoded."""
    await issuer.services.users.add("zoë", "pässword of Zoë")

    assert (await portal.log_in("zoë", "pässword of Zoë")).status == 200


def basic(client: Credentials) -> str:
    """The header by which a client authenticates."""
    return "Basic " + base64.b64encode(":".join(client).encode()).decode()
