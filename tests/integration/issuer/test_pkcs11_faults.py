"""What can be wrong with a PKCS #11 token, on a real one in software."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from pkcs11 import exceptions

from issuer.errors import WrapperUnavailable
from issuer.keys import pkcs11
from issuer.keys.choice import key_wrappers
from issuer.keys.pkcs11 import Pkcs11Wrapper
from issuer.keys.pkcs11_uri import Pkcs11Uri
from issuer.settings import IssuerSettings
from tests.integration.issuer.test_vault import the_one
from tests.issuer_under_test import Installation
from tests.softhsm import SoftHsm
from verifier_agent import SettingInvalid

PLAIN = b"a private key"


def settings(uri: str) -> IssuerSettings:
    return IssuerSettings(issuer="https://issuer.example", store="sqlite:///x.db", log="memory:", kek_uri=uri)


async def opened(uri: str) -> Pkcs11Wrapper:
    wrapper = (await key_wrappers(settings(uri))).current
    assert isinstance(wrapper, Pkcs11Wrapper)
    return wrapper


async def test_a_key_that_is_not_there_is_named(softhsm: SoftHsm) -> None:
    with pytest.raises(SettingInvalid, match=r"setting 'kek_uri': token 'tocsin-tests' has 0 secret keys 'nobody'"):
        await opened(softhsm.uri("nobody"))


async def test_a_key_that_is_too_short_is_refused(softhsm: SoftHsm) -> None:
    with pytest.raises(SettingInvalid, match="'short' is no AES key of 256 bits"):
        await opened(softhsm.key("short", bits=128))


async def test_a_key_that_can_leave_its_token_is_refused(softhsm: SoftHsm) -> None:
    with pytest.raises(SettingInvalid, match="'loose' can leave its token"):
        await opened(softhsm.key("loose", extractable=True))


async def test_a_token_that_is_not_there_is_out_of_reach_and_may_come_back(softhsm: SoftHsm) -> None:
    with pytest.raises(WrapperUnavailable, match="pkcs11:elsewhere/kek is out of reach: there is no token 'elsewhere'"):
        await opened(softhsm.uri("kek", token="elsewhere"))

    assert WrapperUnavailable.retryable


async def test_a_library_that_is_none_is_refused(softhsm: SoftHsm, tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_text("no library")

    for module in (tmp_path / "lib.so", tmp_path / "missing.so"):
        with pytest.raises(SettingInvalid, match=f"module-path {module} cannot be used"):
            await opened(softhsm.key("kek").replace(str(softhsm.module), str(module)))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660])
async def test_a_pin_that_others_may_read_is_refused_with_its_mode(softhsm: SoftHsm, tmp_path: Path, mode: int) -> None:
    (tmp_path / "pin").write_text("1234")
    (tmp_path / "pin").chmod(mode)
    softhsm.key("kek")

    with pytest.raises(SettingInvalid, match=f"pin-source: .* has mode {mode:04o}"):
        await opened(softhsm.uri("kek", pin_file=tmp_path / "pin"))


async def test_a_refused_pin_is_not_tried_again_and_not_shown(
    softhsm: SoftHsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    softhsm.key("kek")
    (tmp_path / "pin").touch(0o600)
    (tmp_path / "pin").write_text("0000-wrong")
    tries = []

    class Refusing:
        """The token, as it is before anybody of this process has logged in: SoftHSM asks for the PIN once."""

        def open(self, **how: Any) -> None:
            tries.append(how)
            raise exceptions.PinIncorrect

    class Library:
        def get_token(self, **_: str) -> Refusing:
            return Refusing()

    monkeypatch.setattr("pkcs11.lib", lambda _: Library())
    uri = softhsm.uri("kek", pin_file=tmp_path / "pin")
    wrapper = Pkcs11Wrapper(Pkcs11Uri.parse(uri, "kek_uri"), "kek_uri")

    for _ in range(3):
        with pytest.raises(SettingInvalid, match="refuses the PIN in") as refused:
            await wrapper.open()
        assert "0000-wrong" not in str(refused.value)
    assert len(tries) == 1


async def test_a_session_that_the_token_has_closed_is_opened_again(softhsm: SoftHsm) -> None:
    wrapper = await opened(softhsm.key("kek"))
    sealed = await wrapper.wrap(PLAIN, kid="k1", use="token")
    assert wrapper._session is not None
    wrapper._session.close()

    assert await wrapper.unwrap(sealed, kid="k1", use="token") == PLAIN


async def test_a_call_that_hangs_is_given_up_and_the_next_ones_say_why(
    softhsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper = await opened(softhsm.key("kek"))
    monkeypatch.setattr(pkcs11, "ANSWER_SECONDS", 0.1)
    hanging = threading.Event()

    with pytest.raises(WrapperUnavailable, match="no answer within"):
        await wrapper._call(lambda _: hanging.wait(60))
    with pytest.raises(WrapperUnavailable, match="out of reach"):
        await wrapper.wrap(PLAIN, kid="k1", use="token")
    hanging.set()

    monkeypatch.setattr(pkcs11, "ANSWER_SECONDS", 30.0)
    assert await wrapper.unwrap(await wrapper.wrap(PLAIN, kid="k1", use="token"), kid="k1", use="token") == PLAIN


async def test_the_event_loop_goes_on_while_the_token_works(softhsm: SoftHsm) -> None:
    wrapper, turns = await opened(softhsm.key("kek")), 0
    going, seen = threading.Event(), threading.Event()

    def works(_: Any) -> bool:
        going.set()
        return seen.wait(60)

    asked = asyncio.create_task(wrapper._call(works))
    while not going.is_set():
        await asyncio.sleep(0)
        turns += 1
    seen.set()

    assert await asked
    assert turns > 0


async def test_an_issuer_whose_token_is_away_answers_503_for_a_rotation_and_goes_on_signing(
    tmp_path: Path, softhsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = await Installation.create(tmp_path, kek_file=None, kek_uri=softhsm.key("kek-away"))
    async with installation.running() as issuer:
        assert await issuer.token(installation.demo)
        admin = await issuer.token(installation.operator)

        def away(self: Pkcs11Wrapper, work: Any) -> None:
            raise self._unavailable("DeviceRemoved")

        monkeypatch.setattr(Pkcs11Wrapper, "_with_key", away)
        answer = await issuer.admin("POST", "/keys/rotate", {"reason": "x", "force": True}, token=admin)
        assert (answer.status, answer.json()["error"]) == (503, "temporarily_unavailable")
        assert await issuer.token(installation.demo)

        monkeypatch.undo()
        answer = await issuer.admin("POST", "/keys/rotate", {"reason": "x", "force": True}, token=admin)
        assert answer.status == 200


async def test_an_emergency_waits_for_no_token_and_the_standby_is_made_when_it_is_back(
    tmp_path: Path, softhsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = await Installation.create(tmp_path, kek_file=None, kek_uri=softhsm.key("kek-emergency"))
    async with installation.running() as issuer:
        keys, own_agent = issuer.services.keys, issuer.services.own_agent
        active, standby = await the_one(issuer, "active"), await the_one(issuer, "pending")
        admin = await issuer.token(installation.operator)

        def away(self: Pkcs11Wrapper, work: Any) -> None:
            raise self._unavailable("DeviceRemoved")

        with monkeypatch.context() as patched:
            patched.setattr(Pkcs11Wrapper, "_with_key", away)
            answer = await issuer.admin("POST", f"/keys/{active}/revoke", {"reason": "leaked"}, token=admin)
            assert answer.status == 200
            assert sorted(key["state"] for key in answer.json()["keys"]) == ["active", "revoked"]
            with pytest.raises(WrapperUnavailable):
                await keys.replenish()

        event = await keys.replenish()
        assert event is not None
        own_agent.hear(event)
        assert await the_one(issuer, "active") == standby
        assert await the_one(issuer, "pending")
        assert await keys.replenish() is None
