"""``POST /admin/v1/revocations`` with a batch of digests: decided whole, once, and in force everywhere."""

import asyncio
import base64
from typing import Any

import pytest

from events import jti_digest
from events.digests import BATCH_LIMIT, TokenDigest, pack_digests, token_digest
from tests.issuer_under_test import Answer, Installation, Replica, on_every_store, rejection, until


def batch(*digests: int, size: int = 0) -> str:
    """The digests and as many made up ones as are wanting, in base64."""
    made_up = (jti_digest(f"made up {number}") for number in range(size - len(digests)))
    return base64.b64encode(pack_digests([*map(TokenDigest, digests), *made_up])).decode()


async def post(
    issuer: Replica, digests: str, *, reason: str = "leaked", token: str | None = None, **headers: str
) -> Answer:
    return await issuer.admin("POST", "/revocations", {"reason": reason, "digests": digests}, token=token, **headers)


@on_every_store
async def test_a_batch_of_the_greatest_size_reaches_agents_and_a_lift_takes_it_back(
    installation: Installation, issuer: Replica
) -> None:
    async with installation.agent() as agent:
        token, other = await issuer.token(installation.demo), await issuer.token(installation.demo)

        answer = await post(issuer, batch(token_digest(token), size=BATCH_LIMIT), Prefer="wait=30")

        said = answer.json()
        assert (answer.status, said["tokens"], said["published"]) == (201, BATCH_LIMIT, True)
        assert not await issuer.active(token, installation.demo)
        await until(lambda: rejection(agent, token) == "revoked", "the agent refuses the token")
        assert rejection(agent, other) is None
        lifted = await issuer.admin("POST", f"/revocations/{said['id']}/lift", {"reason": "a mistake"})
        assert lifted.status == 200
        await until(lambda: rejection(agent, token) is None, "the agent takes the token again")


@on_every_store
async def test_what_is_sent_twice_under_one_key_is_decided_once(issuer: Replica) -> None:
    digests = batch(7, 8, 9)
    first = await post(issuer, digests, Idempotency_Key="job-1")
    second = await post(issuer, digests, Idempotency_Key='"job-1"')
    other = await post(issuer, digests, Idempotency_Key="job-2")

    assert [answer.status for answer in (first, second, other)] == [201, 200, 201]
    assert {**second.json(), "published": False} == first.json()
    assert other.json()["id"] != first.json()["id"]
    assert len((await issuer.admin("GET", "/revocations")).json()["revocations"]) == 2


@on_every_store
async def test_of_many_at_once_under_one_key_one_decides_also_on_two_replicas(
    installation: Installation, issuer: Replica
) -> None:
    digests = batch(size=300)
    token = await issuer.token(installation.operator)
    async with installation.running(port=0) as beside:
        answers = await asyncio.gather(
            *(post(replica, digests, token=token, Idempotency_Key="job") for replica in [issuer, beside] * 5)
        )

    assert sorted(answer.status for answer in answers) == [200] * 9 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len((await issuer.admin("GET", "/revocations")).json()["revocations"]) == 1


async def test_a_key_that_was_used_for_something_else_is_refused(issuer: Replica) -> None:
    assert (await post(issuer, batch(7), Idempotency_Key="job")).status == 201

    for digests, reason in ((batch(8), "leaked"), (batch(7), "another reason")):
        answer = await post(issuer, digests, reason=reason, Idempotency_Key="job")
        assert (answer.status, answer.json()["error"]) == (409, "conflict")


async def test_a_key_is_its_callers_own(installation: Installation, issuer: Replica) -> None:
    colleague = await installation.client(
        "colleague", audiences=(installation.settings.issuer,), scopes=("tocsin:revoke",)
    )
    first = await post(issuer, batch(7), Idempotency_Key="job")
    second = await post(issuer, batch(8), token=await issuer.token(colleague), Idempotency_Key="job")

    assert (first.status, second.status) == (201, 201)


async def test_a_repetition_says_that_what_was_decided_has_been_lifted(issuer: Replica) -> None:
    first = (await post(issuer, batch(7), Idempotency_Key="job")).json()
    await issuer.admin("POST", f"/revocations/{first['id']}/lift", {"reason": "a mistake"})

    assert "lifted_by" in (await post(issuer, batch(7), Idempotency_Key="job")).json()


REFUSED: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "nothing": ({"digests": ""}, {}, "1 to 50000 digests"),
    "one too many": ({"digests": base64.b64encode(bytes(8 * (BATCH_LIMIT + 1))).decode()}, {}, "1 to 50000 digests"),
    "half a digest": ({"digests": base64.b64encode(bytes(12)).decode()}, {}, "1 to 50000 digests"),
    "a repetition": ({"digests": base64.b64encode(bytes(16)).decode()}, {}, "must ascend"),
    "no base64": ({"digests": "###"}, {}, "`$.digests`"),
    "something beside it": ({"digests": batch(7), "jti": "x"}, {}, "exactly one"),
    "a cutoff": ({"digests": batch(7), "issued_before": 1}, {}, "go with a selector"),
    "a key that is none": ({"digests": batch(7)}, {"Idempotency_Key": "a b"}, "Idempotency-Key"),
    "a key for one token": ({"jti": "x"}, {"Idempotency_Key": "job"}, "goes with digests"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_no_batch_is_refused_by_name(issuer: Replica, case: str) -> None:
    body, headers, why = REFUSED[case]

    answer = await issuer.admin("POST", "/revocations", {"reason": "leaked", **body}, **headers)

    assert (answer.status, answer.json()["error"]) == (400, "invalid_request"), answer
    assert why in answer.json()["error_description"]
    assert (await issuer.admin("GET", "/revocations")).json() == {"revocations": []}


async def test_a_body_beyond_the_largest_batch_is_not_read(installation: Installation, issuer: Replica) -> None:
    token = await issuer.token(installation.operator)

    answer = await post(issuer, "A" * 1_000_000, token=token)

    assert (answer.status, answer.json()["error_description"]) == (413, "the body is too large")


async def test_other_calls_take_no_larger_bodies_than_before(issuer: Replica) -> None:
    answer = await issuer.admin("POST", "/revocations/1.2/lift", {"reason": "r" * 100_000})

    assert answer.status == 413
