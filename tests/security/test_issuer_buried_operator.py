"""Burying an operator: one client gives back tokens without end, so that nobody's emergency is heard."""

import asyncio
import time
from pathlib import Path

import pytest

from events import EventOpener, Revoke, RevokeDigests, Stream
from events.digests import TokenDigest
from tests.integration.issuer.test_self_service import give_back, nobody_writes, waiting
from tests.issuer_under_test import Credentials, Installation, Replica
from tests.outbox_reader import texts

FLOOD = 1000
OVER_HTTP = 50
"""Of these; the others come in where requests do once they have been read."""


async def tokens_of(issuer: Replica, by: Credentials, count: int) -> list[str]:
    return [await issuer.token(by) for _ in range(count)]


async def test_a_thousand_self_service_revocations_that_wait_are_passed_by_an_operators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = await Installation.create(tmp_path, client_revocation_rate="off")
    async with installation.running() as issuer:
        over_http = await tokens_of(issuer, installation.demo, OVER_HTTP)
        operators = await issuer.token(installation.operator)
        arrived = asyncio.Event()
        decide = issuer.services.revocations.revoke

        async def noted(*what: object, **how: object) -> object:
            arrived.set()
            return await decide(*what, **how)  # type: ignore[arg-type]

        monkeypatch.setattr(issuer.services.revocations, "revoke", noted)
        async with nobody_writes(issuer):
            answers = give_back(issuer, installation.demo, over_http)
            give = issuer.services.self_service.revoke
            others = [
                asyncio.create_task(give("demo", TokenDigest(n), time.time() + 900)) for n in range(FLOOD - OVER_HTTP)
            ]
            await waiting(issuer, FLOOD)
            body = {"reason": "the emergency", "selector": {"sub": "alice"}}
            operator = asyncio.create_task(issuer.admin("POST", "/revocations", body, token=operators))
            await arrived.wait()
            await asyncio.sleep(0)  # from there it goes to the writer's queue without a pause
        assert (await operator).status == 201
        assert {(await answer).status for answer in answers} == {200}
        await asyncio.gather(*others)

        opener = EventOpener(installation.trust)
        [_, *written] = await texts(issuer.services.database, Stream.REVOCATIONS)
        records = [opener.open(text, Stream.REVOCATIONS).record for text in written]
    assert isinstance(records[0], Revoke)
    assert all(isinstance(record, RevokeDigests) for record in records[1:])
    assert len(records) == 2, "the flood is one event"


async def test_a_client_that_gives_back_too_often_is_held_back_and_nobody_else_is(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path, client_revocation_rate="1/h burst 3")
    other = await installation.client("other")
    async with installation.running() as issuer:
        tokens = await tokens_of(issuer, installation.demo, 5)
        answers = [await issuer.form("/oauth2/revoke", installation.demo, token=token) for token in tokens]

        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[-1].json()["error"] == "temporarily_unavailable"
        assert 3590 <= int(answers[-1].headers["Retry-After"]) <= 3600
        assert await issuer.active(tokens[-1], installation.demo), "what was refused has not happened"
        assert (await issuer.form("/oauth2/revoke", other, token=await issuer.token(other))).status == 200
        for token in tokens:
            await issuer.revoke(token=token) if await issuer.active(token, installation.demo) else None
        assert not await issuer.active(tokens[-1], installation.demo)
        metrics = (await issuer.send("GET", "/metrics")).body.decode()
    assert 'tocsin_rate_limited_total{limit="revocation"} 2.0' in metrics


async def test_a_stranger_who_only_claims_to_be_a_client_does_not_use_up_its_share(tmp_path: Path) -> None:
    installation = await Installation.create(
        tmp_path, client_token_rate="1/h burst 2", client_revocation_rate="1/h burst 2"
    )
    async with installation.running() as issuer:
        liar = Credentials("demo", "not-the-secret")
        for path in ("/oauth2/token", "/oauth2/revoke"):
            for _ in range(5):
                answer = await issuer.form(path, liar, grant_type="client_credentials", token="x")
                assert answer.status == 401

        token = await issuer.token(installation.demo)
        assert (await issuer.form("/oauth2/revoke", installation.demo, token=token)).status == 200
