"""A store that has gone back in time behind a log that has not: nothing may be numbered twice in silence."""

import shutil
from pathlib import Path

import pytest

from events import Stream
from issuer.outbox.relay import RelayState
from tests.issuer_under_test import Installation, Replica, rejection, until


async def halted(issuer: Replica) -> bool:
    answer = await issuer.send("GET", "/readyz")
    return bool(answer.json()["relay"] == "halted")


async def restore_an_older_store(installation: Installation, folder: Path) -> list[str]:
    """Let three revocations be published, and put the store back to before the last two; the published ids."""
    store, backup = folder / "store.db", folder / "backup.db"
    async with installation.running() as issuer:
        first = await issuer.admin("POST", "/revocations", {"reason": "x", "jti": "1"}, Prefer="wait=30")
    assert not (folder / "store.db-wal").exists(), "the file is not all of the store"
    shutil.copy(store, backup)
    async with installation.running() as issuer:
        more = [
            await issuer.admin("POST", "/revocations", {"reason": "x", "jti": jti}, Prefer="wait=30")
            for jti in ("2", "3")
        ]
    shutil.copy(backup, store)
    answers = [answer.json() for answer in (first, *more)]
    assert all(answer["published"] for answer in answers)
    return [answer["id"] for answer in answers]


async def test_the_relay_halts_and_says_so_and_people_can_still_revoke(
    installation: Installation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published = await restore_an_older_store(installation, tmp_path)
    before = [event.digest for event in await installation.said(Stream.REVOCATIONS)]

    async with installation.running() as issuer:
        await until(lambda: halted(issuer), "the relay has halted")
        ready = await issuer.send("GET", "/readyz")
        assert ready.status == 200  # tokens are issued, and revoked here
        said = ready.json()["relay_halted"]
        assert f"revocations {published[1]}" in said or f"revocations {published[2]}" in said
        assert said.endswith("; run: tocsin recover")
        assert "relay_halted" in caplog.messages

        token = await issuer.token(installation.demo)
        revocation = await issuer.revoke(selector={"client_id": "demo"})
        assert revocation["published"] is False
        assert not await issuer.active(token, installation.demo)

        async with installation.agent() as agent:  # knows the log's own numbers and nothing of the store's
            assert rejection(agent, token) is None
    assert [event.digest for event in await installation.said(Stream.REVOCATIONS)] == before


async def test_it_halts_again_when_the_store_has_caught_up_with_the_numbers_but_says_something_else(
    installation: Installation, tmp_path: Path
) -> None:
    await restore_an_older_store(installation, tmp_path)
    async with installation.running() as issuer:
        await until(lambda: halted(issuer), "the relay has halted")
        for _ in range(5):
            await issuer.revoke(selector={"sub": "alice"})

    async with installation.running() as issuer:
        await until(lambda: halted(issuer), "the relay has halted again")

        assert issuer.services.relay.state is RelayState.HALTED
        said = str(issuer.services.relay.halted)  # whichever shows it first
        assert "different events" in said or "tells of another revocations" in said
