"""Somebody sends logins without end: each would cost a tenth of a second of several cores, and 64 MiB."""

from pathlib import Path

from issuer.users.login_queue import RETRY_SECONDS, LoginQueue
from tests.http_browser import CALLBACK, WebClient, http_browser
from tests.issuer_under_test import Installation

PASSWORD = "correct horse"
AFTER = str(round(RETRY_SECONDS))


def full() -> LoginQueue:
    """A line in which nobody finds a place."""
    return LoginQueue(at_work=1, most_waiting=0)


async def test_with_the_line_full_a_login_is_turned_away_at_once_and_other_tokens_are_given(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path, password_grant=True)
    people = await installation.client("app", grants=("password",))
    robot = await installation.client("robot")
    async with installation.running() as issuer:
        issuer.services.users.queue = full()
        login = await issuer.form("/oauth2/token", people, grant_type="password", username="alice", password=PASSWORD)
        token = await issuer.form("/oauth2/token", robot, grant_type="client_credentials")
        metrics = (await issuer.send("GET", "/metrics")).body.decode()

    assert (login.status, login.headers["Retry-After"]) == (503, AFTER)
    assert login.json()["error"] == "temporarily_unavailable"
    assert token.status == 200
    assert "tocsin_logins_turned_away_total 1.0" in metrics


async def test_the_login_page_asks_again_and_says_when(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path)
    client = await installation.client(
        "web", grants=("authorization_code",), redirect_uris=(CALLBACK,), scopes=("read",), audiences=("orders",)
    )
    async with installation.running() as issuer, http_browser(issuer.url) as browser:
        issuer.services.users.queue = full()
        page = await browser.get(WebClient(issuer, *client).request())
        page = await browser.log_in(page, password=PASSWORD)

    assert (page.status, page.answer.headers["Retry-After"]) == (503, AFTER)
    assert f"Too many people log in at this moment. Try again in {AFTER} seconds." in page.text
    assert {"username", "password"} <= page.fields.keys(), "and the form is there to try again"
