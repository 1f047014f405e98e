"""``GET /metrics``: what the issuer counts, without anybody's names in it."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from events import Stream
from issuer.errors import StoreUnavailable
from tests.issuer_under_test import Installation, Replica, until
from tests.outbox_reader import counter


async def samples(issuer: Replica) -> dict[str, float]:
    """Every sample by its name and labels."""
    answer = await issuer.send("GET", "/metrics")
    assert answer.status == 200
    return {
        " ".join([sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))]): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


async def test_answers_are_counted_by_route_and_status_and_not_by_what_callers_make_up(
    installation: Installation, issuer: Replica
) -> None:
    for number in range(3):
        await issuer.send("GET", f"/made/up/{number}")
        await issuer.admin("GET", f"/revocations/1.{90 + number}")
    await issuer.form("/oauth2/token", None, grant_type="client_credentials")

    found = {name: value for name, value in (await samples(issuer)).items() if name.startswith("tocsin_http_answers")}

    assert found["tocsin_http_answers_total route=/oauth2/token status=200"] == 3
    assert found["tocsin_http_answers_total route=/oauth2/token status=401"] == 1
    assert found["tocsin_http_answers_total route=/admin/v1/revocations/{id} status=404"] == 3
    assert found["tocsin_http_answers_total route=unknown status=404"] == 3
    assert not any("made" in name or "1.9" in name for name in found)


async def test_what_is_decided_and_published_and_in_force_is_told(installation: Installation, issuer: Replica) -> None:
    await issuer.revoke(selector={"sub": "alice@example.org"}, reason="a private matter")
    await issuer.revoke(jti="one token")

    async def is_published() -> bool:
        now = await counter(issuer.services.database, Stream.REVOCATIONS)
        return now.published == now.head

    await until(is_published, "everything is published")
    found = await samples(issuer)
    head = (await counter(issuer.services.database, Stream.REVOCATIONS)).head

    assert found["tocsin_stream_decided stream=revocations"] == head
    assert found["tocsin_stream_published stream=revocations"] == head
    assert found["tocsin_revocations kind=selector"] == 1
    assert found["tocsin_revocations kind=digest"] == 1
    assert found["tocsin_relay_state state=publishing"] == 1
    assert found["tocsin_relay_state state=halted"] == 0
    assert not any("alice" in name or "private" in name or "demo" in name for name in found)


async def test_metrics_are_served_while_the_store_is_away(issuer: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_: object) -> int:
        raise StoreUnavailable("away")

    monkeypatch.setattr(issuer.services.relay, "published", away)

    found = await samples(issuer)

    assert "tocsin_stream_decided stream=revocations" in found
    assert "tocsin_stream_published stream=revocations" not in found
