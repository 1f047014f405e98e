"""``POST /oauth2/introspect`` (RFC 7662)."""

import pytest

from tests.issuer_under_test import Installation, Replica, ShiftedClock, on_every_store


@on_every_store
async def test_a_good_token_is_active_and_says_what_it_says(installation: Installation, issuer: Replica) -> None:
    token = await issuer.token(installation.demo, scope="orders:read")

    answer = await issuer.form("/oauth2/introspect", installation.operator, token=token)

    said = answer.json()
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert (said["active"], said["token_type"]) == (True, "Bearer")
    assert (said["iss"], said["sub"], said["client_id"], said["aud"], said["scope"]) == (
        installation.settings.issuer,
        "demo",
        "demo",
        "orders",
        "orders:read",
    )
    assert said["exp"] == said["iat"] + 900


@pytest.mark.parametrize("token", ["garbage", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "x" * 9000, "ü", "\0"])
async def test_garbage_is_inactive_and_nothing_more_is_said(
    installation: Installation, issuer: Replica, token: str
) -> None:
    answer = await issuer.form("/oauth2/introspect", installation.demo, token=token)

    assert (answer.status, answer.json()) == (200, {"active": False})


async def test_a_token_of_another_issuer_is_inactive(
    installation: Installation, issuer: Replica, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = await Installation.create(tmp_path_factory.mktemp("elsewhere"))
    async with elsewhere.running() as other:
        token = await other.token(elsewhere.demo)

    assert not await issuer.active(token, installation.demo)


async def test_an_expired_token_is_inactive(installation: Installation) -> None:
    clock = ShiftedClock()
    async with installation.running(clock=clock) as issuer:
        short = await installation.client("short", token_lifetime=60)
        token = await issuer.token(short)
        assert await issuer.active(token, installation.demo)

        clock.ahead = 60 + installation.settings.skew + 1

        assert not await issuer.active(token, installation.demo)


@pytest.mark.parametrize("selector", [{"client_id": "demo"}, {"sub": "demo"}, {"aud": "orders"}, {}])
async def test_a_revoked_token_is_inactive_as_soon_as_the_revocation_is_answered(
    installation: Installation, issuer: Replica, selector: dict[str, str]
) -> None:
    token = await issuer.token(installation.demo)

    await issuer.revoke(selector=selector)

    assert not await issuer.active(token, installation.demo)


async def test_who_does_not_authenticate_learns_nothing(installation: Installation, issuer: Replica) -> None:
    token = await issuer.token(installation.demo)

    answer = await issuer.form("/oauth2/introspect", None, token=token)

    assert (answer.status, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


async def test_a_request_without_a_token_is_invalid(installation: Installation, issuer: Replica) -> None:
    answer = await issuer.form("/oauth2/introspect", installation.demo, token_type_hint="access_token")

    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")
    assert "token" in answer.json()["error_description"]
