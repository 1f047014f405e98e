"""``/admin/v1/revocations``: decide, list, show, lift; who may, and what is refused."""

import asyncio
import time
from functools import partial
from typing import Any

import pytest

from events import Stream, format_seq, pack
from issuer.errors import StoreUnavailable
from tests.issuer_under_test import Installation, Replica, on_every_store, rejection, until, unverified
from tests.outbox_reader import numbers
from verifier_agent import Agent

A_DAY = 86_400.0


def jti(token: str) -> str:
    found: str = unverified(token)["jti"]
    return found


def _refuses(agent: Agent, token: str) -> bool:
    return rejection(agent, token) == "revoked"


def body_for(kind: str, token: str) -> dict[str, Any]:
    """A revocation that hits the token, named in one of the ways that there are."""
    bodies: dict[str, dict[str, Any]] = {
        "selector": {"selector": {"sub": "demo"}},
        "several claims": {"selector": {"client_id": "demo", "aud": "orders", "scope": "orders:read"}},
        "everything": {"selector": {}},
        "issued_before": {"selector": {"client_id": "demo"}, "issued_before": time.time()},
        "token": {"token": token},
        "jti": {"jti": jti(token)},
    }
    return bodies[kind]


@pytest.mark.parametrize("kind", ["selector", "several claims", "everything", "issued_before", "token", "jti"])
async def test_a_token_is_revoked_however_it_is_named_and_its_like_is_good_again(
    installation: Installation, issuer: Replica, kind: str
) -> None:
    demo = installation.demo
    async with installation.agent() as agent:
        old = await issuer.token(demo)
        assert rejection(agent, old) is None

        await issuer.revoke(**body_for(kind, old))

        assert not await issuer.active(old, demo)
        await until(lambda: rejection(agent, old) == "revoked", "the agent refuses the token")
        if kind != "issued_before":  # there the same second is revoked too
            assert rejection(agent, await issuer.token(demo)) is None


@on_every_store
async def test_a_token_of_the_same_second_is_good_when_it_came_after_the_revocation(
    installation: Installation, issuer: Replica
) -> None:
    async with installation.agent() as agent:
        for _ in range(20):
            old = await issuer.token(installation.demo)
            revocation = await issuer.revoke(selector={"client_id": "demo"})
            new = await issuer.token(installation.demo)

            assert await issuer.active(new, installation.demo)
            assert not await issuer.active(old, installation.demo)
            await until(partial(_refuses, agent, old), "the agent refuses the old token")
            assert rejection(agent, new) is None
            if unverified(old)["iat"] == unverified(new)["iat"] == int(revocation["time"]):
                return
    pytest.fail("no token, revocation and token came within one second")


async def test_others_tokens_stay_good(installation: Installation, issuer: Replica) -> None:
    other = await installation.client("other", audiences=("orders",))
    token = await issuer.token(other)

    await issuer.revoke(selector={"client_id": "demo"})

    assert await issuer.active(token, installation.demo)


@on_every_store
async def test_the_answer_says_what_was_decided(installation: Installation, issuer: Replica) -> None:
    token = await issuer.token(installation.operator)

    answer = await issuer.admin(
        "POST", "/revocations", {"reason": "laptop stolen", "selector": {"sub": "alice", "tenant": 7}}, token=token
    )

    said = answer.json()
    assert answer.status == 201
    assert answer.headers["Location"] == f"/admin/v1/revocations/{said['id']}"
    assert answer.headers["Cache-Control"] == "no-store"
    assert said["id"] == format_seq(said["seq"]) == format_seq(pack(1, 2))
    assert (said["reason"], said["actor"]) == ("laptop stolen", "client operator")
    assert said["selector"] == {"claims": {"sub": "alice", "tenant": 7}}
    assert said["published"] is False
    assert abs(said["time"] - time.time()) < 3600
    assert said["expires_at"] >= said["time"] + A_DAY
    shown = await issuer.admin("GET", f"/revocations/{said['id']}", token=token)
    assert shown.status == 200
    assert {**shown.json(), "published": False} == said


@on_every_store
async def test_revocations_are_listed_newest_first_and_page_by_page(issuer: Replica) -> None:
    made = [(await issuer.revoke(selector={"sub": f"user-{number}"}))["id"] for number in range(5)]
    last = await issuer.admin("POST", "/revocations", {"reason": "x", "jti": "one token"}, Prefer="wait=30")
    assert last.json()["published"] is True

    everything = (await issuer.admin("GET", "/revocations")).json()["revocations"]
    first = (await issuer.admin("GET", "/revocations?limit=4")).json()["revocations"]
    rest = (await issuer.admin("GET", f"/revocations?limit=4&before={first[-1]['id']}")).json()["revocations"]

    assert [entry["id"] for entry in everything[1:]] == made[::-1]
    assert everything[0]["tokens"] == 1
    assert first + rest == everything
    assert (len(first), len(rest)) == (4, 2)


@on_every_store
async def test_a_lift_restores_what_it_took_and_only_once(installation: Installation, issuer: Replica) -> None:
    demo = installation.demo
    async with installation.agent() as agent:
        token = await issuer.token(demo)
        mistake = await issuer.revoke(selector={"client_id": "demo"})
        await until(lambda: rejection(agent, token) == "revoked", "the agent refuses the token")

        lifted = await issuer.admin("POST", f"/revocations/{mistake['id']}/lift", {"reason": "wrong client"})
        again = await issuer.admin("POST", f"/revocations/{mistake['id']}/lift", {"reason": "wrong client"})

        assert lifted.status == 200
        assert lifted.json()["lifted_by"] == format_seq(mistake["seq"] + 1)
        assert (again.status, again.json()["error"]) == (409, "conflict")
        assert lifted.json()["lifted_by"] in again.json()["error_description"]
        assert await issuer.active(token, demo)
        await until(lambda: rejection(agent, token) is None, "the agent takes the token again")


async def test_a_lift_takes_back_one_revocation_and_leaves_those_that_hit_the_same_tokens(
    installation: Installation, issuer: Replica
) -> None:
    token = await issuer.token(installation.demo)
    first = await issuer.revoke(selector={"client_id": "demo"})
    await issuer.revoke(selector={"sub": "demo"})

    await issuer.admin("POST", f"/revocations/{first['id']}/lift", {"reason": "a mistake"})

    assert not await issuer.active(token, installation.demo)


@on_every_store
async def test_of_two_lifts_at_once_one_is_a_lift(installation: Installation, issuer: Replica) -> None:
    async with installation.running(port=0) as other:
        token = await issuer.token(installation.operator)
        revocation = await issuer.revoke(selector={"sub": "alice"})
        path = f"/revocations/{revocation['id']}/lift"

        answers = await asyncio.gather(
            *(replica.admin("POST", path, {"reason": "x"}, token=token) for replica in (issuer, other) * 3)
        )

        assert sorted(answer.status for answer in answers) == [200, 409, 409, 409, 409, 409]
        assert len(await numbers(issuer.services.database, Stream.REVOCATIONS)) == 3  # baseline, revocation, lift


async def test_what_was_decided_is_answered_as_decided_when_nobody_can_say_whether_it_is_published(
    issuer: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: object) -> int:
        raise StoreUnavailable("just now")

    monkeypatch.setattr(issuer.services.relay, "published", away)

    decided = await issuer.admin("POST", "/revocations", {"reason": "x", "jti": "1"}, Prefer="wait=30")
    lifted = await issuer.admin("POST", f"/revocations/{decided.json()['id']}/lift", {"reason": "x"}, Prefer="wait=30")

    assert (decided.status, decided.json()["published"]) == (201, False)
    assert (lifted.status, lifted.json()["published"]) == (200, False)


async def test_only_revocations_can_be_shown_and_lifted(issuer: Replica) -> None:
    revocation = await issuer.revoke(selector={"sub": "alice"})
    lift = (await issuer.admin("POST", f"/revocations/{revocation['id']}/lift", {"reason": "x"})).json()["lifted_by"]

    for identifier in ("1.1", lift, "1.99", "2.1", "nonsense", "1.02"):  # the baseline, the lift, and what is not there
        shown = await issuer.admin("GET", f"/revocations/{identifier}")
        lifted = await issuer.admin("POST", f"/revocations/{identifier}/lift", {"reason": "x"})
        assert (shown.status, lifted.status) == (404, 404), identifier
        assert shown.json()["error"] == "not_found"


@on_every_store
async def test_with_prefer_wait_the_answer_comes_when_the_log_has_it(
    installation: Installation, issuer: Replica
) -> None:
    answer = await issuer.admin(
        "POST", "/revocations", {"reason": "a test", "selector": {"sub": "alice"}}, Prefer="wait=30"
    )

    assert (answer.status, answer.json()["published"]) == (201, True)
    async with installation.agent() as agent:
        assert agent.status().applied["revocations"] >= answer.json()["seq"]
    assert (await issuer.admin("GET", f"/revocations/{answer.json()['id']}")).json()["published"] is True


async def test_everything_hits_the_operators_token_too_and_a_new_one_works(
    installation: Installation, issuer: Replica
) -> None:
    operators = await issuer.token(installation.operator)
    other = await issuer.token(installation.demo)
    assert (await issuer.admin("POST", "/revocations", {"reason": "x", "selector": {}}, token=operators)).status == 201

    refused = await issuer.admin("GET", "/revocations", token=operators)
    renewed = await issuer.admin("GET", "/revocations", token=await issuer.token(installation.operator))

    assert (refused.status, refused.json()["error"]) == (401, "invalid_token")
    assert renewed.status == 200
    assert not await issuer.active(other, installation.demo)


async def test_a_revocation_about_another_issuer_leaves_our_tokens_alone(
    installation: Installation, issuer: Replica
) -> None:
    token = await issuer.token(installation.demo)

    said = await issuer.revoke(selector={"sub": "demo"}, token_issuer="https://login.example")

    assert said["selector"] == {"claims": {"sub": "demo"}, "issuer": "https://login.example"}
    assert await issuer.active(token, installation.demo)


@on_every_store
async def test_what_not_every_store_could_keep_is_refused_by_all_and_the_rest_is_kept_by_all(issuer: Replica) -> None:
    kid = (await issuer.admin("GET", "/keys")).json()["keys"][0]["kid"]
    revocation = await issuer.revoke(selector={"sub": "a\0b", "n\0": 2**70}, reason="ü\u2028" * 512)

    for path in ("/revocations", f"/revocations/{revocation['id']}/lift", "/keys/rotate", f"/keys/{kid}/revoke"):
        for reason in ("a\0b", "r" * 1025):
            body: dict[str, Any] = {"reason": reason}
            if path == "/revocations":
                body["selector"] = {}
            answer = await issuer.admin("POST", path, body)
            assert (answer.status, answer.json()["error"]) == (400, "invalid_request"), (path, answer)
            assert "reason" in answer.json()["error_description"]

    [kept] = (await issuer.admin("GET", "/revocations")).json()["revocations"]
    assert (kept["selector"], kept["reason"]) == (revocation["selector"], revocation["reason"])


async def test_a_token_that_is_revoked_already_is_not_revoked_again(
    installation: Installation, issuer: Replica
) -> None:
    token = await issuer.token(installation.demo)
    await issuer.revoke(token=token)

    answer = await issuer.admin("POST", "/revocations", {"reason": "x", "token": token})

    assert answer.status == 400
    assert token not in answer.body.decode()
