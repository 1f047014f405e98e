"""``/admin/v1/keys``: list, rotate, revoke; and what that means for tokens."""

import asyncio
from typing import Any

import jwt
import pytest

from events import KeyState, LogUnavailable, Stream
from issuer.keys.key_service import KeyService
from issuer.keys.vault import KeyVault, SealedKey
from tests.issuer_under_test import Answer, Installation, Replica, on_every_store, rejection, until


def states(answer: Answer) -> list[str]:
    """How many keys are in which state; two that were made at once have no order."""
    return sorted(key["state"] for key in answer.json()["keys"])


async def listed(issuer: Replica) -> list[str]:
    return states(await issuer.admin("GET", "/keys"))


async def published(issuer: Replica) -> set[str]:
    keys = (await issuer.send("GET", "/.well-known/jwks.json")).json()["keys"]
    return {key["kid"] for key in keys}


def kid(token: str) -> str:
    found: str = jwt.get_unverified_header(token)["kid"]
    return found


async def test_the_keys_are_listed_with_their_states_and_nothing_private(issuer: Replica) -> None:
    answer = await issuer.admin("GET", "/keys")

    keys = answer.json()["keys"]
    assert states(answer) == ["active", "pending"]
    assert all(set(key) == {"kid", "alg", "state", "changed_at"} for key in keys)
    assert {key["kid"] for key in keys} == await published(issuer)


@on_every_store
async def test_after_a_rotation_the_standby_signs_and_tokens_of_the_old_key_still_verify(
    installation: Installation, issuer: Replica
) -> None:
    async with installation.agent() as agent:
        old = await issuer.token(installation.demo)
        standby = next(iter(await published(issuer) - {kid(old)}))

        answer = await issuer.admin("POST", "/keys/rotate", {"reason": "the usual"})

        assert answer.status == 200
        assert states(answer) == ["active", "pending", "retiring"]
        new = await issuer.token(installation.demo)
        assert kid(new) == standby
        assert await published(issuer) > {kid(old), kid(new)}
        await until(lambda: len(agent.status().keys) == 3, "the agent hears of the rotation")
        assert rejection(agent, old) is None
        assert rejection(agent, new) is None
        assert await issuer.active(old, installation.demo)


@on_every_store
async def test_a_revoked_key_takes_its_tokens_with_it_and_the_standby_signs_on(
    installation: Installation, issuer: Replica
) -> None:
    async with installation.agent() as agent:
        old = await issuer.token(installation.demo)
        assert rejection(agent, old) is None

        answer = await issuer.admin("POST", f"/keys/{kid(old)}/revoke", {"reason": "leaked"})

        assert answer.status == 200
        assert states(answer) == ["active", "revoked"]
        assert kid(old) not in await published(issuer)
        await until(lambda: has_standby(issuer), "the next standby is made")
        new = await issuer.token(installation.demo)
        assert kid(new) != kid(old)
        assert not await issuer.active(old, installation.demo)
        assert await issuer.active(new, installation.demo)
        await until(lambda: rejection(agent, old) == "key_revoked", "the agent refuses tokens of the revoked key")
        await until(lambda: rejection(agent, new) is None, "the agent takes tokens of the new key")


async def test_a_revoked_key_stays_revoked(installation: Installation, issuer: Replica) -> None:
    revoked = kid(await issuer.token(installation.demo))
    await issuer.admin("POST", f"/keys/{revoked}/revoke", {"reason": "leaked"})

    again = await issuer.admin("POST", f"/keys/{revoked}/revoke", {"reason": "leaked"})
    await issuer.admin("POST", "/keys/rotate", {"reason": "the usual"})

    assert (again.status, again.json()["error"]) == (409, "conflict")
    assert await listed(issuer) == ["active", "pending", "retiring", "revoked"]
    assert revoked not in await published(issuer)


@pytest.mark.parametrize("which", ["pending", "retiring"])
async def test_a_key_that_does_not_sign_is_revoked_without_changing_the_one_that_does(
    installation: Installation, issuer: Replica, which: str
) -> None:
    if which == "retiring":
        await issuer.admin("POST", "/keys/rotate", {"reason": "the usual"})
    signs = kid(await issuer.token(installation.demo))
    keys = (await issuer.admin("GET", "/keys")).json()["keys"]
    other = next(key["kid"] for key in keys if key["state"] == which)

    await issuer.admin("POST", f"/keys/{other}/revoke", {"reason": "leaked"})

    assert kid(await issuer.token(installation.demo)) == signs
    await until(lambda: has_standby(issuer), "there is a standby")
    assert await listed(issuer) == ["active", "pending", "revoked"]


async def test_an_emergency_waits_for_no_key_to_be_made(
    installation: Installation, issuer: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = asyncio.Event()
    original = KeyVault.generate

    async def slowly(vault: KeyVault, alg: str) -> SealedKey:
        await made.wait()
        return await original(vault, alg)

    monkeypatch.setattr(KeyVault, "generate", slowly)
    old = kid(await issuer.token(installation.demo))

    answer = await issuer.admin("POST", f"/keys/{old}/revoke", {"reason": "leaked"})

    assert states(answer) == ["active", "revoked"]
    assert kid(await issuer.token(installation.demo)) != old
    made.set()
    await until(lambda: has_standby(issuer), "the next standby is made")


@on_every_store
async def test_one_key_after_the_other_can_be_revoked_before_there_is_another_standby(
    installation: Installation, issuer: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing_made(_keys: KeyService) -> None:
        """Neither upkeep nor housekeeping has come to it."""

    monkeypatch.setattr(KeyService, "replenish", nothing_made)
    revoked = []
    for _ in range(3):
        revoked.append(kid(await issuer.token(installation.demo)))
        answer = await issuer.admin("POST", f"/keys/{revoked[-1]}/revoke", {"reason": "leaked"})
        assert answer.status == 200

    assert len(set(revoked)) == 3
    assert await listed(issuer) == ["active", "revoked", "revoked", "revoked"]
    assert kid(await issuer.token(installation.demo)) not in revoked


async def test_the_key_that_signs_after_an_emergency_is_in_memory_before_the_first_token_needs_it(
    installation: Installation, issuer: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with installation.running(port=0) as other:
        opened: list[str] = []
        original = KeyVault.open

        async def noted(vault: KeyVault, row: Any) -> Any:
            opened.append(row["kid"])
            return await original(vault, row)

        old = kid(await issuer.token(installation.demo))
        monkeypatch.setattr(KeyVault, "open", noted)

        answer = await issuer.admin("POST", f"/keys/{old}/revoke", {"reason": "leaked"})
        heir = next(key["kid"] for key in answer.json()["keys"] if key["state"] == "active")
        await until(lambda: opened == [heir, heir], "both replicas have opened it")
        assert kid(await other.token(installation.demo)) == heir

    assert opened == [heir, heir]


async def test_the_issuers_own_token_dies_with_its_key(installation: Installation, issuer: Replica) -> None:
    token = await issuer.token(installation.operator)
    await issuer.admin("POST", f"/keys/{kid(token)}/revoke", {"reason": "leaked"}, token=token)

    assert (await issuer.admin("GET", "/keys", token=token)).status == 401
    assert (await issuer.admin("GET", "/keys")).status == 200


async def test_each_algorithm_rotates_by_itself(tmp_path: Any) -> None:
    installation = await Installation.create(tmp_path, signing_algorithms=("ES256", "EdDSA"))
    async with installation.running() as issuer:
        eddsa = await installation.client("eddsa", token_alg="EdDSA")
        before = kid(await issuer.token(installation.demo)), kid(await issuer.token(eddsa))

        answer = await issuer.admin("POST", "/keys/rotate", {"reason": "the usual", "alg": "EdDSA"})

        after = kid(await issuer.token(installation.demo)), kid(await issuer.token(eddsa))
        assert answer.status == 200
        assert (after[0] == before[0], after[1] == before[1]) == (True, False)


def has_standby(issuer: Replica) -> bool:
    return any(key.state is KeyState.PENDING for key in issuer.services.own_agent.verifier.state.keys.published)


@on_every_store
async def test_rotations_at_once_leave_one_key_that_signs_and_one_standby(
    installation: Installation, issuer: Replica
) -> None:
    async with installation.running(port=0) as other:
        tokens = [await issuer.token(installation.operator) for _ in range(6)]
        answers = await asyncio.gather(
            *(
                replica.admin("POST", "/keys/rotate", {"reason": "everybody at once", "force": True}, token=token)
                for replica, token in zip([issuer, other] * 3, tokens, strict=True)
            )
        )

        assert [answer.status for answer in answers] == [200] * 6
        await until(lambda: _rotated(issuer, 6), "this replica knows of all rotations")
        await until(lambda: _rotated(other, 6), "the other replica knows of all rotations")
        assert await listed(issuer) == ["active", "pending"] + ["retiring"] * 6
        assert kid(await issuer.token(installation.demo)) == kid(await other.token(installation.demo))


def _rotated(replica: Replica, times: int) -> bool:
    return len(replica.services.own_agent.verifier.state.keys.published) == times + 2


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("/keys/rotate", {}, 400, "invalid_request"),
        ("/keys/rotate", {"reason": "x", "algorithm": "ES256"}, 400, "invalid_request"),
        ("/keys/rotate", {"reason": "x", "alg": "HS256"}, 404, "not_found"),
        ("/keys/rotate", {"reason": "x", "alg": "RS256"}, 404, "not_found"),
        ("/keys/no-such-kid/revoke", {"reason": "x"}, 404, "not_found"),
        ("/keys/no-such-kid/revoke", {}, 400, "invalid_request"),
    ],
)
async def test_what_cannot_be_done_to_keys_is_said_and_changes_nothing(
    issuer: Replica, path: str, body: dict[str, str], status: int, error: str
) -> None:
    answer = await issuer.admin("POST", path, body)

    assert (answer.status, answer.json()["error"]) == (status, error)
    assert await listed(issuer) == ["active", "pending"]


async def test_the_event_key_cannot_be_revoked_as_if_it_were_a_token_key(
    installation: Installation, issuer: Replica
) -> None:
    event_key = installation.trust.event_keys[0]["kid"]

    assert (await issuer.admin("POST", f"/keys/{event_key}/revoke", {"reason": "x"})).status == 404


async def test_a_rotation_is_refused_while_verifiers_have_not_been_told_of_the_standby(
    installation: Installation, issuer: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise LogUnavailable("it is away")

    token = await issuer.token(installation.operator)
    await until(lambda: _published(issuer), "the first keys are published")
    monkeypatch.setattr(issuer.services.relay._log, "append", away)
    monkeypatch.setattr("issuer.endpoints.admin_keys.STANDBY_SECONDS", 0.2)

    first = await issuer.admin("POST", "/keys/rotate", {"reason": "due"}, token=token)
    second = await issuer.admin("POST", "/keys/rotate", {"reason": "due again"}, token=token)
    forced = await issuer.admin("POST", "/keys/rotate", {"reason": "due again", "force": True}, token=token)

    assert [answer.status for answer in (first, second, forced)] == [200, 409, 200]
    assert first.json()["published"] is False


async def _published(issuer: Replica) -> bool:
    services = issuer.services
    return await services.relay.published(Stream.KEYS) >= services.own_agent.verifier.state.keys.seq
