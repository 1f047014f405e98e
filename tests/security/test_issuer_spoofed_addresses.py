"""Spoofed ``Forwarded``: a caller names another's address, to be counted as him or as nobody."""

from pathlib import Path
from typing import Any

from issuer.clients import Client, ClientStore
from issuer.store.database import Database
from tests.issuer_under_test import Answer, Credentials, Installation, Replica

LIAR = Credentials("demo", "not-the-secret")
PROXY = "127.0.0.1"


async def failing(issuer: Replica, **headers: str) -> int:
    """The answer to a client authentication that fails, from wherever the headers say."""
    return (await attempt(issuer, LIAR, **headers)).status


async def attempt(issuer: Replica, by: Credentials, **headers: str) -> Answer:
    form = {"grant_type": "client_credentials", "client_id": by.client_id, "client_secret": by.secret}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await issuer.send("POST", "/oauth2/token", data=form, headers=sent)


async def installed(tmp_path: Path, **changes: Any) -> Installation:
    return await Installation.create(tmp_path, address_rate="1/h burst 2", **changes)


async def test_a_caller_cannot_get_a_new_address_by_what_he_writes_before_the_proxys_entry(tmp_path: Path) -> None:
    installation = await installed(tmp_path, trusted_proxies=(PROXY,))
    async with installation.running() as issuer:
        answers = [await failing(issuer, X_Forwarded_For=f"198.51.100.{n}, 192.0.2.7") for n in range(4)]

        assert answers == [401, 401, 429, 429]
        assert await failing(issuer, X_Forwarded_For="192.0.2.8") == 401


async def test_a_caller_cannot_use_up_another_addresss_share(tmp_path: Path) -> None:
    installation = await installed(tmp_path, trusted_proxies=(PROXY,))
    async with installation.running() as issuer:
        for _ in range(4):
            await failing(issuer, X_Forwarded_For="192.0.2.8, 192.0.2.7")

        assert await failing(issuer, X_Forwarded_For="192.0.2.8") == 401


async def test_the_header_that_the_proxy_does_not_set_is_nobodys_word(tmp_path: Path) -> None:
    installation = await installed(tmp_path, trusted_proxies=(PROXY,))
    async with installation.running() as issuer:
        answers = [
            await failing(issuer, Forwarded=f"for=198.51.100.{n}", X_Forwarded_For="192.0.2.7") for n in range(4)
        ]

        assert answers == [401, 401, 429, 429]


async def test_forwarded_is_believed_where_the_settings_say_that_the_proxy_sets_it(tmp_path: Path) -> None:
    installation = await installed(tmp_path, trusted_proxies=(PROXY,), proxy_header="forwarded")
    async with installation.running() as issuer:
        answers = [await failing(issuer, Forwarded="for=evil, for=192.0.2.7;proto=https") for _ in range(3)]

        assert answers == [401, 401, 429]
        assert await failing(issuer, Forwarded='for="[2001:db8::1]:99"') == 401


async def test_who_is_no_trusted_proxy_is_not_believed_and_counted(tmp_path: Path) -> None:
    installation = await installed(tmp_path, trusted_proxies=("192.0.2.0/24",))
    async with installation.running() as issuer:
        answers = [await failing(issuer, X_Forwarded_For=f"198.51.100.{n}") for n in range(3)]
        metrics = (await issuer.send("GET", "/metrics")).body.decode()

    assert answers == [401, 401, 429]
    assert 'tocsin_proxy_header_ignored_total{reason="untrusted"} 3.0' in metrics


async def test_nonsense_in_place_of_an_address_is_one_asker_for_all_who_send_it(tmp_path: Path) -> None:
    installation = await installed(tmp_path, trusted_proxies=(PROXY,))
    async with installation.running() as issuer:
        answers = [await failing(issuer, X_Forwarded_For=odd) for odd in ("unknown", "a" * 5000, "_x", "192.0.2.7,")]

    assert answers == [401, 401, 429, 429]


async def test_an_operator_is_let_through_at_an_address_that_others_have_used_up(tmp_path: Path) -> None:
    installation = await installed(tmp_path, trusted_proxies=(PROXY,))
    async with installation.running() as issuer:
        for _ in range(3):
            await failing(issuer, X_Forwarded_For="192.0.2.7")
        assert (await attempt(issuer, installation.demo, X_Forwarded_For="192.0.2.7")).status == 429

        answer = await attempt(issuer, installation.operator, X_Forwarded_For="192.0.2.7")

    assert answer.status == 200


async def test_who_says_that_he_is_a_public_client_uses_up_what_is_his_address_and_no_more(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path, client_token_rate="1/h burst 2", trusted_proxies=(PROXY,))
    database = Database(installation.settings.store)
    app = Client(client_id="app", public=True, grants=("authorization_code",), redirect_uris=("https://app.example/",))
    await ClientStore(database).add_without_secret(app)
    await database.close()
    form = {"client_id": "app", "grant_type": "authorization_code", "code": "x", "code_verifier": "v" * 43}
    async with installation.running() as issuer:

        async def asked(address: str) -> int:
            headers = {"X-Forwarded-For": address}
            return (await issuer.send("POST", "/oauth2/token", data=form, headers=headers)).status

        assert [await asked("192.0.2.66") for _ in range(3)] == [400, 400, 429]
        assert await asked("192.0.2.7") == 400
