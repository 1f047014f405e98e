"""Password guessing, and its twin: locking a victim out by failing in his name."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from issuer.store.database import Database
from issuer.store.migration import migrate
from issuer.users import Passwords
from issuer.users.login_rule import ACCOUNT_FREE
from tests.http_browser import CALLBACK, WebClient, hash_quickly, http_browser
from tests.integration.issuer.test_login_throttle import ELSEWHERE, FREE, HOME, OFFICE, RIGHT, WRONG, Door, opened
from tests.issuer_under_test import Credentials, Installation, Replica

DAY = 86_400


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    database = Database(f"sqlite:///{tmp_path}/store.db")
    await migrate(database)
    async with opened(database) as door:
        yield door
    await database.close()


async def test_guessing_from_one_address_gets_a_hundred_guesses_a_day_and_not_more(door: Door) -> None:
    looked_at, end = 0, door.clock.now + DAY
    while door.clock.now < end:
        looked_at += await door.tried(WRONG, ELSEWHERE) == "wrong"
        door.clock.now += 150

    assert FREE <= looked_at <= FREE + 10 + DAY / 900


async def test_guessing_from_many_addresses_is_slowed_to_one_a_minute(door: Door) -> None:
    looked_at, minutes = 0, 8
    for number in range(minutes * 60):
        looked_at += await door.tried(WRONG, f"203.0.113.{number}") == "wrong"
        door.clock.now += 1

    assert looked_at <= FREE * ACCOUNT_FREE + 10 + minutes


async def test_a_victim_is_not_locked_out_at_home_by_strangers_anywhere(door: Door) -> None:
    assert await door.tried(RIGHT, HOME) == "in"
    for number in range(200):
        await door.tried(WRONG, f"203.0.113.{number % 100}")

    assert await door.tried(RIGHT, HOME) == "in"
    assert await door.tried(RIGHT, OFFICE) == "wait", "strangers are delayed, the owner on a new address among them"
    door.clock.now += 60
    assert await door.tried(RIGHT, OFFICE) == "in"


async def test_a_victim_is_not_locked_out_by_a_neighbour_at_the_same_address_who_tries_other_names(door: Door) -> None:
    assert await door.tried(RIGHT, OFFICE) == "in"
    for number in range(200):
        await door.tried(WRONG, OFFICE, f"user{number}")

    assert await door.tried(RIGHT, OFFICE) == "in"


async def test_logging_in_to_an_account_of_ones_own_frees_nobody_to_guess_others(door: Door) -> None:
    outcomes = []
    for _ in range(FREE * ACCOUNT_FREE):
        assert await door.tried(RIGHT, ELSEWHERE, "bob") == "in"
        outcomes.append(await door.tried(WRONG, ELSEWHERE, "alice"))

    assert outcomes == ["wrong"] * FREE + ["wait"] * (len(outcomes) - FREE)


async def test_who_knows_an_address_of_the_victims_guesses_there_no_more_than_elsewhere(door: Door) -> None:
    await door.tried(RIGHT, HOME)

    assert await door.fail(FREE + 1, HOME) == ["wrong"] * FREE + ["wait"]


async def sent(issuer: Replica, by: Credentials, name: str, password: str) -> tuple[int, str, str | None]:
    answer = await issuer.form("/oauth2/token", by, grant_type="password", username=name, password=password)
    return answer.status, answer.json()["error"], answer.headers.get("Retry-After")


async def test_guessing_over_the_password_grant_is_answered_alike_for_names_that_exist_and_that_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = await Installation.create(tmp_path, password_grant=True, login_attempts=1)
    client = await installation.client("app", grants=("password",))
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr("issuer.app.Passwords", lambda: Passwords(cheap))
    async with installation.running() as issuer:
        await issuer.services.users.add("alice", RIGHT)
        answers = {
            name: [await sent(issuer, client, name, WRONG) for _ in range(ACCOUNT_FREE + 1)]
            for name in ("alice", "nobody")
        }
        metrics = (await issuer.send("GET", "/metrics")).body.decode()

    assert answers["alice"] == answers["nobody"]
    assert answers["alice"][:-1] == [(400, "invalid_grant", None)] * ACCOUNT_FREE
    assert answers["alice"][-1] == (429, "temporarily_unavailable", "1")
    assert 'tocsin_rate_limited_total{limit="login"} 2.0' in metrics


async def test_guessing_on_the_login_page_has_to_wait_and_is_told_how_long(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path, login_attempts=1)
    client = await installation.client(
        "web", grants=("authorization_code",), redirect_uris=(CALLBACK,), scopes=("read",), audiences=("orders",)
    )
    async with installation.running() as issuer, http_browser(issuer.url) as browser:
        hash_quickly(issuer)
        await issuer.services.users.add("alice", RIGHT)
        page = await browser.get(WebClient(issuer, *client).request())
        for _ in range(ACCOUNT_FREE):
            page = await browser.log_in(page, password=WRONG)
            assert page.status == 400
        page = await browser.log_in(page, password=RIGHT)

    assert (page.status, page.answer.headers["Retry-After"]) == (429, "1")
    assert "Try again in 1 second." in page.text
    assert {"username", "password"} <= page.fields.keys(), "and the form is there to try again"


async def test_on_the_login_page_a_victim_is_not_locked_out_at_an_address_of_their_own(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path, login_attempts=1, trusted_proxies=("127.0.0.1",))
    client = await installation.client(
        "web", grants=("authorization_code",), redirect_uris=(CALLBACK,), scopes=("read",), audiences=("orders",)
    )
    async with installation.running() as issuer:
        hash_quickly(issuer)
        await issuer.services.users.add("alice", RIGHT)

        async def tried(password: str, address: str) -> int:
            async with http_browser(issuer.url) as browser:
                page = await browser.get(WebClient(issuer, *client).request())
                sent = {**page.fields, "username": "alice", "password": password}
                return (await browser.post(page.action, sent, X_Forwarded_For=address)).status

        assert await tried(RIGHT, HOME) == 200
        outcomes = [await tried(WRONG, f"203.0.113.{number}") for number in range(ACCOUNT_FREE + 1)]
        assert outcomes == [400] * ACCOUNT_FREE + [429]

        assert await tried(RIGHT, HOME) == 200
