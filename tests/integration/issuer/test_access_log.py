"""The access log: one event a request, with what one needs to know and nothing that is secret or personal."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.issuer_under_test import Credentials, Installation, Replica, until

FIELDS = ("method", "route", "status", "seconds", "bytes", "client_id", "address", "request_id")


class Entries(logging.Handler):
    """What the access log was told."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.seen: list[dict[str, Any]] = []
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        assert record.getMessage() == "request"
        self.seen.append({name: getattr(record, name) for name in FIELDS})
        self.text += f"{vars(record)}\n"


@pytest.fixture
def entries() -> Iterator[Entries]:
    logger, handler = logging.getLogger("issuer.endpoints.access_log"), Entries()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


async def test_a_request_is_one_entry_with_its_route_its_client_and_its_outcome(
    installation: Installation, issuer: Replica, entries: Entries
) -> None:
    form = {"grant_type": "client_credentials", "client_id": "demo", "client_secret": installation.demo.secret}
    answer = await issuer.send("POST", "/oauth2/token", data=form, headers={"X-Request-Id": "order-7"})

    [entry] = entries.seen
    assert 0 < entry.pop("seconds") < 60
    assert entry == {
        "method": "POST",
        "route": "/oauth2/token",
        "status": 200,
        "bytes": len(answer.body),
        "client_id": "demo",
        "address": "127.0.0.1",
        "request_id": "order-7",
    }


async def test_an_operators_call_names_its_client_and_the_route_in_place_of_the_user(
    installation: Installation, issuer: Replica, entries: Entries
) -> None:
    await issuer.admin("POST", "/users/alice.private/disable?because=gossip", {"reason": "x"})

    entry = entries.seen[-1]
    assert (entry["route"], entry["client_id"]) == ("/admin/v1/users/{username}/disable", "operator")
    assert entry["status"] == 404
    for personal in ("alice.private", "gossip"):
        assert personal not in entries.text


async def test_who_only_claims_to_be_a_client_is_not_named(issuer: Replica, entries: Entries) -> None:
    await issuer.form("/oauth2/token", Credentials("victim", "wrong"), grant_type="client_credentials")

    assert [(entry["client_id"], entry["status"]) for entry in entries.seen] == [(None, 401)]
    assert "victim" not in entries.text


async def test_neither_addresses_that_do_not_exist_nor_queries_nor_secrets_are_in_it(
    installation: Installation, issuer: Replica, entries: Entries
) -> None:
    token = await issuer.token(installation.demo)
    await issuer.send("GET", f"/made/up/{token}?code=s3cret")
    await issuer.send("PROPFIND", "/oauth2/token?password=s3cret")
    await issuer.form("/oauth2/introspect", installation.demo, token=token)

    assert [entry["route"] for entry in entries.seen] == [
        "/oauth2/token",
        "unknown",
        "unknown",
        "/oauth2/introspect",
    ]
    assert entries.seen[2]["method"] == "other"
    for secret in (installation.demo.secret, token, *token.split(".")[1:], "s3cret", "/made/up", "PROPFIND"):
        assert secret not in entries.text


async def test_a_stream_is_an_entry_when_it_ends(installation: Installation, issuer: Replica, entries: Entries) -> None:
    reader = await installation.client("reader", audiences=(installation.settings.issuer,), scopes=("tocsin.events",))
    bearer = {"Authorization": f"Bearer {await issuer.token(reader)}"}
    before = len(entries.seen)
    following = asyncio.create_task(issuer.send("GET", "/events", headers=bearer))
    await until(lambda: issuer.services.feed.readers, "the stream has begun")
    assert len(entries.seen) == before
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following

    await until(lambda: len(entries.seen) > before, "the stream's entry")
    entry = entries.seen[-1]
    assert (entry["route"], entry["status"], entry["client_id"]) == ("/events", 200, "reader")


async def test_health_and_metrics_are_not_in_it(issuer: Replica, entries: Entries) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        await issuer.send("GET", path)

    assert entries.seen == []


async def test_it_can_be_switched_off(tmp_path: Path, entries: Entries) -> None:
    installation = await Installation.create(tmp_path, access_log=False)
    async with installation.running() as issuer:
        await issuer.token(installation.demo)

    assert entries.seen == []


async def test_behind_a_trusted_proxy_the_address_is_the_clients(tmp_path: Path, entries: Entries) -> None:
    installation = await Installation.create(tmp_path, trusted_proxies=("127.0.0.0/8",))
    async with installation.running() as issuer:
        await issuer.send("GET", "/nothing", headers={"X-Forwarded-For": "evil, 192.0.2.7"})

    assert entries.seen[0]["address"] == "192.0.2.7"
