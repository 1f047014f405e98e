"""The example readers of the deny-list, in each language that is there, against what an agent has written."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events import RevokeDigests, Stream
from events.digests import jti_digest, pack_digests
from tests.redis_under_test import Writer, asking, entries_of, issuer_of_today, writing
from tests.services.service import Service
from tests.simulator import IssuerSimulator

EXAMPLES = Path(__file__).parents[2] / "examples" / "deny-list"
SECONDS = 60.0
GOOD, REVOKED = (0, "good"), (0, "revoked")


@pytest.fixture(scope="module", params=["python", "node", "go"])
def reader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of one of them."""
    if request.param == "python":
        return [sys.executable, str(EXAMPLES / "python" / "deny_list.py")]
    program = shutil.which(request.param)
    if program is None:
        pytest.skip(f"{request.param} is not installed")
    if request.param == "node":
        return [program, str(EXAMPLES / "node" / "deny_list.mjs")]
    built = tmp_path_factory.mktemp("reader") / "deny-list"
    environment = os.environ | {"GOFLAGS": "-mod=readonly", "GOPROXY": "off", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    subprocess.run([program, "build", "-o", str(built), "."], cwd=EXAMPLES / "go", env=environment, check=True)
    return [str(built)]


@pytest.fixture
def issuer() -> IssuerSimulator:
    return issuer_of_today()


@pytest.fixture
async def writer(redis_server_of_its_own: Service, issuer: IssuerSimulator) -> AsyncIterator[Writer]:
    async with writing(redis_server_of_its_own.address, issuer) as one:
        yield one


async def read(reader: list[str], writer: Writer, *words: str) -> tuple[int, str]:
    """What it says; on a busy machine it may say twice that it cannot, as readers do not wait for long."""
    host, port = writer.connection.place.hosts[0]
    for _ in range(3):
        said = await asyncio.to_thread(
            subprocess.run, [*reader, f"{host}:{port}", *words], capture_output=True, text=True, timeout=SECONDS
        )
        if said.returncode == 0:
            break
    return said.returncode, said.stdout.strip()


async def test_readers_know_revoked_tokens_from_good_ones(
    reader: list[str], issuer: IssuerSimulator, writer: Writer
) -> None:
    revoked, by_jti, good = issuer.token(), issuer.token(jti="the one"), issuer.token()
    issuer.revoke_tokens(revoked)
    digests = pack_digests([jti_digest("the one")])
    issuer.say(Stream.REVOCATIONS, RevokeDigests(digests=digests, expires_at=issuer.clock.now() + 900))
    writer.listener.catch_up()
    await writer.deny_list.follow()

    assert await read(reader, writer, revoked) == REVOKED
    assert await read(reader, writer, revoked.rpartition(".")[0] + ".another-signature") == REVOKED
    assert await read(reader, writer, by_jti, "the one") == REVOKED
    assert await read(reader, writer, by_jti) == GOOD
    assert await read(reader, writer, good, "another") == GOOD


async def test_a_short_entry_alone_revokes_nothing(
    reader: list[str], redis_server_of_its_own: Service, issuer: IssuerSimulator, writer: Writer
) -> None:
    good = issuer.token()
    await writer.deny_list.follow()
    async with asking(redis_server_of_its_own.address) as client:
        await client.set(entries_of(good)[0], "g1", ex=900)

    assert await read(reader, writer, good) == GOOD


async def test_a_list_that_nobody_keeps_level_says_nothing(
    reader: list[str], redis_server_of_its_own: Service, issuer: IssuerSimulator, writer: Writer
) -> None:
    await writer.deny_list.follow()
    async with asking(redis_server_of_its_own.address) as client:
        await client.flushall()

    assert await read(reader, writer, issuer.token()) == (1, "")


async def test_readers_do_not_wait_for_a_redis_that_hangs(
    reader: list[str], redis_server_of_its_own: Service, issuer: IssuerSimulator, writer: Writer
) -> None:
    await writer.deny_list.follow()
    await asyncio.to_thread(redis_server_of_its_own.pause)

    assert await read(reader, writer, issuer.token()) == (1, "")
