"""Redis away, hanging, full, read-only, loading, behind a wrong password: nobody waits, and all is well afterwards."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.redis_under_test import Writer, asking, entries_of, eventually, issuer_of_today, running, writing
from tests.services.service import Service
from tests.simulator import IssuerSimulator
from verifier_agent.errors import StoreUnavailable
from verifier_agent.redis.breaker import BreakerState
from verifier_agent.redis.connection import ANSWER_SECONDS
from verifier_agent.saved import SealedSnapshot

SNAPSHOT = SealedSnapshot(seal=b"e30.e30.c2VhbA", data=b"{}")
FAR_TOO_LONG = 10.0
"""Seconds: a call's budget is 0.15; redis-py's own time-outs and retries come to 55."""


@pytest.fixture
def issuer() -> IssuerSimulator:
    return issuer_of_today()


@pytest.fixture
async def hasty(redis_server_of_its_own: Service, issuer: IssuerSimulator) -> AsyncIterator[Writer]:
    """A writer with the usual time-outs."""
    async with writing(redis_server_of_its_own.address, issuer, answer_seconds=ANSWER_SECONDS) as one:
        yield one


@pytest.fixture
async def patient(redis_server_of_its_own: Service, issuer: IssuerSimulator) -> AsyncIterator[Writer]:
    """A writer whose time-outs a busy machine does not come near."""
    async with writing(redis_server_of_its_own.address, issuer) as one:
        yield one


@pytest.fixture
def black_hole() -> Iterator[str]:
    """The URL of a server whose queue of connections is full: the kernel drops what comes."""
    with contextlib.ExitStack() as opened:
        server = opened.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = opened.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"


async def refusal(writer: Writer, *, load: bool = False) -> StoreUnavailable:
    """Why a call failed; that it does not wait is a part of it."""
    async with asyncio.timeout(FAR_TOO_LONG):
        with pytest.raises(StoreUnavailable) as refused:
            await (writer.store.load() if load else writer.connection.ask(("PING",)))
    return refused.value


async def answers(writer: Writer) -> bool:
    try:
        await writer.connection.ask(("PING",))
    except StoreUnavailable:
        return False
    return True


async def back(writer: Writer) -> None:
    """Wait until it is asked again, and answers."""
    await eventually(lambda: answers(writer))
    assert writer.connection.breaker.state is BreakerState.CLOSED


async def test_a_server_that_hangs_is_given_up_at_once_and_asked_again_later(
    redis_server_of_its_own: Service, hasty: Writer
) -> None:
    await back(hasty)
    await asyncio.to_thread(redis_server_of_its_own.pause)
    assert (await refusal(hasty)).code == "timeout"
    calls = hasty.connection.calls
    for _ in range(100):
        assert (await refusal(hasty)).code in ("not_asked", "timeout")
    assert hasty.connection.calls - calls < 5  # the breaker keeps them from it
    await asyncio.to_thread(redis_server_of_its_own.resume)
    await back(hasty)


@pytest.mark.parametrize("load", [False, True])
async def test_a_black_hole_keeps_nobody_waiting(black_hole: str, issuer: IssuerSimulator, load: bool) -> None:
    async with writing(black_hole, issuer, answer_seconds=ANSWER_SECONDS) as one:
        assert (await refusal(one, load=load)).code == "timeout"
        assert (await refusal(one, load=load)).code == "not_asked"


async def test_a_hanging_server_keeps_no_starting_agent_waiting(
    redis_server_of_its_own: Service, hasty: Writer
) -> None:
    await asyncio.to_thread(redis_server_of_its_own.pause)
    assert (await refusal(hasty, load=True)).code == "timeout"


async def test_a_killed_server_is_found_again_with_what_it_had(
    redis_server_of_its_own: Service, patient: Writer
) -> None:
    await patient.store.replace(SNAPSHOT, [])
    await asyncio.to_thread(redis_server_of_its_own.kill)
    assert (await refusal(patient)).code == "unreachable"
    await asyncio.to_thread(redis_server_of_its_own.start)
    await back(patient)

    assert (await patient.store.load()).snapshot == SNAPSHOT


async def test_while_it_is_back_and_forth_the_deny_list_comes_level_again(
    redis_server_of_its_own: Service, issuer: IssuerSimulator, patient: Writer
) -> None:
    before, meanwhile = issuer.token(), issuer.token()
    issuer.revoke_tokens(before)
    patient.listener.catch_up()
    async with running(patient.run()), asking(redis_server_of_its_own.address) as client:
        await eventually(lambda: patient.deny_list.is_level)
        await asyncio.to_thread(redis_server_of_its_own.kill)
        issuer.revoke_tokens(meanwhile)
        patient.listener.catch_up()
        await eventually(lambda: patient.deny_list.failures > 0)
        assert not patient.deny_list.is_level
        await asyncio.to_thread(redis_server_of_its_own.start)
        await eventually(lambda: patient.deny_list.is_level)

        assert await client.exists(*entries_of(before, meanwhile)) == 4


async def configure(url: str, *settings: str) -> None:
    async with asking(url) as client:
        for name, value in zip(settings[::2], settings[1::2], strict=True):
            await client.config_set(name, value)


async def test_a_full_server_refuses_and_takes_more_when_there_is_room(
    redis_server_of_its_own: Service, issuer: IssuerSimulator, patient: Writer
) -> None:
    url = redis_server_of_its_own.address
    await patient.store.replace(SNAPSHOT, [])
    await configure(url, "maxmemory-policy", "noeviction", "maxmemory", "1")
    with pytest.raises(StoreUnavailable) as full:
        await patient.store.replace(SealedSnapshot(seal=b"x", data=b"other"), [])
    assert full.value.code == "refused"
    async with running(patient.run()):
        issuer.revoke_tokens(issuer.token())
        patient.listener.catch_up()
        await eventually(lambda: patient.deny_list.failures > 0)
        await configure(url, "maxmemory", "0")
        await eventually(lambda: patient.deny_list.is_level)

    assert (await patient.store.load()).snapshot == SNAPSHOT


async def command(url: str, *words: str) -> None:
    async with asking(url) as client:
        await client.execute_command(*words)  # type: ignore[no-untyped-call]


async def test_a_replica_that_takes_no_writes_is_read_and_becomes_a_master(
    redis_server_of_its_own: Service, issuer: IssuerSimulator, patient: Writer
) -> None:
    url = redis_server_of_its_own.address
    await patient.store.replace(SNAPSHOT, [])
    await patient.lease.release()
    # of a master that there is not: it keeps what it has, and refuses writes
    await command(url, "REPLICAOF", "127.0.0.1", "1")
    async with writing(url, issuer) as other:
        with pytest.raises(StoreUnavailable) as refused:
            await other.store.append([])
        assert refused.value.code == "refused"
        assert (await other.store.load()).snapshot == SNAPSHOT
        await command(url, "REPLICAOF", "NO", "ONE")

        async def writes() -> bool:
            try:
                await other.store.append([])
            except StoreUnavailable:
                return False
            return True

        await eventually(writes)


async def test_a_wrong_password_is_told_without_being_shown(
    redis_server_of_its_own: Service, issuer: IssuerSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    await configure(redis_server_of_its_own.address, "requirepass", "right")
    place = redis_server_of_its_own.address.removeprefix("redis://")
    async with writing(f"redis://:hunter2@{place}", issuer) as one:
        for _ in range(4):
            refused = await refusal(one)
        assert refused.code in ("unreachable", "not_asked")
        assert one.connection.breaker.state is BreakerState.OPEN
    async with writing(f"redis://:right@{place}", issuer) as other:
        await back(other)

    assert "redis_is_away" in caplog.messages
    assert not any("hunter2" in str(record.__dict__) for record in caplog.records)


async def test_a_server_that_is_loading_is_asked_again_later(issuer: IssuerSimulator) -> None:
    answer = b"-LOADING Redis is loading the dataset in memory\r\n"

    async def load(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(load, "127.0.0.1", 0)
    async with server, writing(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", issuer) as one:
        for _ in range(3):
            assert "loading the dataset" in str(await refusal(one))
        assert (await refusal(one)).code == "not_asked"
        answer = b"+PONG\r\n"
        await back(one)


async def test_who_is_cancelled_while_waiting_leaves_the_connection_usable(
    redis_server_of_its_own: Service, patient: Writer
) -> None:
    await back(patient)
    await asyncio.to_thread(redis_server_of_its_own.pause)
    waiting = [asyncio.create_task(patient.connection.ask(("ECHO", str(number)))) for number in range(8)]
    await asyncio.sleep(0.05)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting, timeout=FAR_TOO_LONG)
    assert all(task.cancelled() for task in waiting)
    await asyncio.to_thread(redis_server_of_its_own.resume)

    for number in range(20):
        assert await patient.connection.ask(("ECHO", str(number))) == [str(number).encode()]


async def test_an_answer_that_is_an_error_of_what_was_asked_opens_no_breaker(patient: Writer) -> None:
    for _ in range(5):
        with pytest.raises(StoreUnavailable) as refused:
            await patient.connection.ask(("GETRANGE", "key", "not", "numbers"))
        assert refused.value.code == "refused"

    assert await answers(patient)
