"""Agents that say how they are through a real Kafka, and what becomes of that when it is away."""

import asyncio
from pathlib import Path

import pytest

from tests.integration.issuer.test_fleet import _fleet, agents_client, awaits, enrolled, listed, settings
from tests.integration.issuer.test_kafka_away import make_topics
from tests.issuer_under_test import Installation, until
from tests.services.service import Service

BACK_SECONDS = 90.0


@pytest.mark.timeout(300)
async def test_statuses_go_by_kafka_by_http_while_it_is_away_and_a_rotation_waits_for_what_they_say(
    kafka_broker_of_its_own: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verifier_agent.fleet.sinks.AGAIN_SECONDS", 1.0)
    broker = kafka_broker_of_its_own
    url = f"kafka://{broker.address}"
    await make_topics(url)
    installation = await Installation.create(tmp_path, log=url)
    client = await agents_client(installation)
    async with installation.running() as issuer, enrolled(settings(installation, client, "web-1")) as agent:
        await until(lambda: _fleet(agent).path == "log", "statuses go by Kafka", BACK_SECONDS)
        await awaits(issuer, "web-1", "counted")
        rotated = await issuer.admin("POST", "/keys/rotate", {"reason": "due"}, Prefer="wait=20")
        assert rotated.status == 200, rotated
        receipts = f"/keys/receipts/{rotated.json()['id']}"
        assert (await issuer.admin("GET", receipts, Prefer="wait=20")).json()["laggards"] == []

        await asyncio.to_thread(broker.stop)
        await until(lambda: _fleet(agent).path == "issuer", "statuses go over HTTP", BACK_SECONDS)
        before = (await listed(issuer))["web-1"]["heard_at"]

        async def heard() -> bool:
            return bool((await listed(issuer))["web-1"]["heard_at"] > before)

        await until(heard, "the issuer hears the agent", BACK_SECONDS)
        # The standby is of the rotation just before: it is published and acknowledged. Its successor is not.
        assert (await issuer.admin("POST", "/keys/rotate", {"reason": "due"})).status == 200
        waits = await issuer.admin("POST", "/keys/rotate", {"reason": "due"})
        assert waits.status == 409
        assert "has not been published" in waits.json()["error_description"]
        assert "web-1" in waits.json()["error_description"]

        await asyncio.to_thread(broker.start)
        await until(lambda: _fleet(agent).path == "log", "statuses go by Kafka again", BACK_SECONDS)
        again = await issuer.admin("POST", "/keys/rotate", {"reason": "due"}, Prefer="wait=30")
        assert again.status == 200, again
    assert _fleet(agent).enrolled is False
