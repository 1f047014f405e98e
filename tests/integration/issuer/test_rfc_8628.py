"""What RFC 8628 says that an authorization server must, section by section. Section 5 is in tests/security."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.http_browser import HttpBrowser
from tests.http_device import GRANT, PAGE, DeviceClient, allow, enter, pass_time
from tests.integration.issuer.robot import Robot
from tests.issuer_under_test import Credentials, Installation, Replica
from verifier_agent import SettingInvalid

PATH = "/oauth2/device_authorization"


async def test_3_1_the_endpoint_is_on_tls_as_the_issuer_is(installation: Installation) -> None:
    with pytest.raises(SettingInvalid, match="https"):
        type(installation.settings)(issuer="http://issuer.example", store="sqlite:///x", log="memory:")


async def test_3_1_a_parameter_without_a_value_counts_as_left_out(tv: DeviceClient, browser: HttpBrowser) -> None:
    codes = await tv.begin(scope="", resource="")
    await allow(browser, codes["user_code"])
    assert (await tv.poll(codes["device_code"], resource="")).json()["scope"] == "read write"


async def test_3_1_unknown_parameters_are_ignored(tv: DeviceClient) -> None:
    assert (await tv.begin(colour="red"))["device_code"]


async def test_3_1_no_parameter_comes_twice(tv: DeviceClient) -> None:
    for path, form in (
        (PATH, "scope=read&scope=write"),
        ("/oauth2/token", f"grant_type={GRANT}&device_code=a&device_code=b"),
    ):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await tv.issuer.send("POST", path, data=f"client_id=tv&{form}", headers=headers)
        assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


async def test_3_1_it_is_asked_by_post_alone(issuer: Replica) -> None:
    assert (await issuer.send("GET", f"{PATH}?client_id=tv")).status == 405


async def test_3_1_a_confidential_client_authenticates_as_at_the_token_endpoint(
    installation: Installation, issuer: Replica
) -> None:
    console = await installation.client("console", grants=(GRANT,), scopes=("read",))
    robot = await Robot.register(installation, issuer)
    await issuer.services.clients.change("robot", {"grants": (GRANT,)})
    in_form = {"client_id": console.client_id, "client_secret": console.secret}
    assert (await issuer.form(PATH, console)).status == 200
    assert (await issuer.form(PATH, None, **in_form)).status == 200
    assert (await issuer.form(PATH, None, **robot.signed())).status == 200

    for by, form in ((None, {"client_id": "console"}), (Credentials("console", "wrong"), {}), (None, {})):
        answer = await issuer.form(PATH, by, **form)
        assert (answer.status, answer.json()["error"]) == (401, "invalid_client")


async def test_3_1_a_public_client_says_which_one_it_is(tv: DeviceClient) -> None:
    assert (await tv.issuer.form(PATH, None, client_id="tv")).status == 200


async def test_3_2_the_answer_has_all_that_it_must_and_nobody_keeps_it(
    tv: DeviceClient, installation: Installation
) -> None:
    answer = await tv.ask(PATH, {})
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    codes = answer.json()
    assert codes.keys() == {
        *("device_code", "user_code", "verification_uri", "verification_uri_complete", "expires_in", "interval")
    }
    assert (codes["expires_in"], codes["interval"]) == (600, 5)
    assert codes["verification_uri"] == f"{installation.settings.issuer}{PAGE}"
    complete = urlsplit(codes["verification_uri_complete"])
    assert parse_qs(complete.query) == {"user_code": [codes["user_code"]]}
    assert codes["user_code"] not in codes["verification_uri"]  # section 3.3
    assert codes["device_code"] not in complete.query


async def test_3_2_both_codes_are_unique(tv: DeviceClient) -> None:
    given = [await tv.begin() for _ in range(20)]
    for name in ("device_code", "user_code"):
        assert len({codes[name] for codes in given}) == 20


async def test_3_2_errors_are_those_of_the_token_endpoint(tv: DeviceClient) -> None:
    answer = await tv.ask(PATH, {"scope": "everything"})
    assert (answer.status, answer.json()["error"]) == (400, "invalid_scope")
    assert answer.headers["Cache-Control"] == "no-store"


async def test_3_3_the_person_is_told_that_they_let_a_device_in_and_may_refuse(
    tv: DeviceClient, browser: HttpBrowser
) -> None:
    page = await enter(browser, (await tv.begin())["user_code"])
    assert "Allow Films on your device?" in page.text
    assert "Cancel" in page.text


async def test_3_3_1_who_comes_by_the_complete_address_compares_the_code_all_the_same(
    tv: DeviceClient, browser: HttpBrowser
) -> None:
    codes = await tv.begin()
    page = await browser.get(codes["verification_uri_complete"].removeprefix(tv.issuer.url))
    consent = await browser.log_in(await browser.send(page))
    assert f"must show this code now: {codes['user_code']}" in consent.text


async def test_3_4_the_device_code_is_needed(tv: DeviceClient) -> None:
    answer = await tv.ask("/oauth2/token", {"grant_type": GRANT})
    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")
    assert "device_code" in answer.json()["error_description"]


async def test_3_4_who_has_credentials_must_show_them_and_who_has_none_their_client_id(
    tv: DeviceClient, installation: Installation
) -> None:
    console = DeviceClient(tv.issuer, *await installation.client("console", grants=(GRANT,), scopes=("read",)))
    code = (await console.begin())["device_code"]
    for form in ({"client_id": "console"}, {}):
        answer = await tv.issuer.form("/oauth2/token", None, grant_type=GRANT, device_code=code, **form)
        assert (answer.status, answer.json()["error"]) == (401, "invalid_client")
    assert (await console.poll(code)).json()["error"] == "authorization_pending"


async def test_3_5_each_error_has_its_name(tv: DeviceClient, browser: HttpBrowser, issuer: Replica) -> None:
    codes = await tv.begin()
    told = [(await tv.poll(codes["device_code"])).json()["error"] for _ in range(2)]
    refused = await tv.begin()
    await browser.send(await enter(browser, refused["user_code"]), decision="deny")
    told.append((await tv.poll(refused["device_code"])).json()["error"])
    await pass_time(issuer, 601)
    told.append((await tv.poll(codes["device_code"])).json()["error"])
    assert told == ["authorization_pending", "slow_down", "access_denied", "expired_token"]


async def test_3_5_after_a_slow_down_the_interval_is_five_seconds_longer_for_all_that_follow(
    tv: DeviceClient, issuer: Replica
) -> None:
    code = (await tv.begin())["device_code"]
    for seconds, told in (
        (0, "authorization_pending"),
        (0, "slow_down"),
        (10, "authorization_pending"),
        (6, "slow_down"),
    ):
        await pass_time(issuer, seconds)
        assert (await tv.poll(code)).json()["error"] == told


async def test_4_the_metadata_name_the_endpoint_and_the_grant(installation: Installation, issuer: Replica) -> None:
    document = (await issuer.send("GET", "/.well-known/oauth-authorization-server")).json()
    assert document["device_authorization_endpoint"] == installation.settings.issuer + PATH
    assert GRANT in document["grant_types_supported"]


async def test_6_1_user_codes_are_short_without_vowels_and_forgive_case_and_punctuation(
    tv: DeviceClient, browser: HttpBrowser
) -> None:
    code = (await tv.begin())["user_code"]
    assert re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", code)
    assert "on your device?" in (await enter(browser, f" {code.lower().replace('-', ' . ')}")).text
