"""``POST /oauth2/revoke`` (RFC 7009): a client gives back a token of its own, and every verifier hears of it."""

import pytest

from events import EventOpener, RevokeDigests, Stream
from tests.issuer_under_test import Installation, Replica, ShiftedClock, on_every_store, rejection, until, unverified
from tests.outbox_reader import numbers, texts


async def revocations_decided(issuer: Replica) -> int:
    return len(await numbers(issuer.services.database, Stream.REVOCATIONS)) - 1  # without the baseline


@on_every_store
async def test_a_client_revokes_its_token_and_agents_refuse_that_one_alone(
    installation: Installation, issuer: Replica
) -> None:
    demo = installation.demo
    given_back, kept = await issuer.token(demo), await issuer.token(demo)
    async with installation.agent() as agent:
        assert rejection(agent, given_back) is None

        answer = await issuer.form("/oauth2/revoke", demo, token=given_back, token_type_hint="access_token")

        assert (answer.status, answer.body) == (200, b"")
        await until(lambda: rejection(agent, given_back) == "revoked", "the agent refuses the token")
        assert rejection(agent, kept) is None
    assert not await issuer.active(given_back, demo)
    assert await issuer.active(kept, demo)


async def test_revoking_again_is_answered_alike_and_says_nothing_to_anybody(
    installation: Installation, issuer: Replica
) -> None:
    token = await issuer.token(installation.demo)
    first = await issuer.form("/oauth2/revoke", installation.demo, token=token)

    second = await issuer.form("/oauth2/revoke", installation.demo, token=token)

    assert (first.status, second.status) == (200, 200)
    assert await revocations_decided(issuer) == 1


async def test_the_event_is_kept_for_as_long_as_some_agent_might_still_take_the_token(
    installation: Installation, issuer: Replica
) -> None:
    token = await issuer.token(installation.demo)
    await issuer.form("/oauth2/revoke", installation.demo, token=token)

    [_, text] = await texts(issuer.services.database, Stream.REVOCATIONS)

    record = EventOpener(installation.trust).open(text, Stream.REVOCATIONS).record
    assert isinstance(record, RevokeDigests)
    assert record.actor == "client demo"
    # An agent adds the skew to exp, and its clock may be slow by as much.
    assert record.expires_at >= unverified(token)["exp"] + 2 * installation.settings.skew


async def test_the_token_of_another_client_is_not_revoked(installation: Installation, issuer: Replica) -> None:
    token = await issuer.token(installation.demo)

    answer = await issuer.form("/oauth2/revoke", installation.operator, token=token)

    assert (answer.status, answer.json()["error"]) == (400, "unauthorized_client")
    assert await issuer.active(token, installation.demo)
    assert await revocations_decided(issuer) == 0


@pytest.mark.parametrize("token", ["garbage", "a.b.c", "x" * 9000, "ü", "\0"])
async def test_garbage_is_no_error_and_nothing_happens(installation: Installation, issuer: Replica, token: str) -> None:
    answer = await issuer.form("/oauth2/revoke", installation.demo, token=token)

    assert (answer.status, answer.body) == (200, b"")
    assert await revocations_decided(issuer) == 0


async def test_an_expired_token_is_no_error_and_nothing_happens(installation: Installation) -> None:
    clock = ShiftedClock()
    async with installation.running(clock=clock) as issuer:
        short = await installation.client("short", token_lifetime=60)
        token = await issuer.token(short)
        clock.ahead = 60 + installation.settings.skew + 1

        assert (await issuer.form("/oauth2/revoke", short, token=token)).status == 200
        assert await revocations_decided(issuer) == 0


async def test_who_does_not_authenticate_revokes_nothing(installation: Installation, issuer: Replica) -> None:
    token = await issuer.token(installation.demo)

    answer = await issuer.form("/oauth2/revoke", None, token=token)

    assert (answer.status, answer.json()["error"]) == (401, "invalid_client")
    assert await issuer.active(token, installation.demo)
