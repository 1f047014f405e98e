"""Redis behind TLS, sentinels that fail over, and a cluster: real ones of the same server."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from events import Stream
from tests.feed_under_test import self_signed
from tests.redis_deployments import ask, cluster, port_of, watched_master
from tests.redis_under_test import Writer, entries_of, eventually, issuer_of_today, running, writing
from tests.services.program_service import ProgramService
from tests.services.service import Service
from tests.simulator import IssuerSimulator
from verifier_agent.errors import StoreUnavailable
from verifier_agent.saved import SavedEvent, SealedSnapshot

SNAPSHOT = SealedSnapshot(seal=b"e30.e30.c2VhbA", data=b"data" * 400_000)
EVENT = SavedEvent(Stream.REVOCATIONS, b"e30.e30.c2ln")


@pytest.fixture
def issuer() -> IssuerSimulator:
    return issuer_of_today()


async def saves(writer: Writer) -> bool:
    try:
        await writer.store.replace(SNAPSHOT, [EVENT])
    except StoreUnavailable:
        return False
    return True


@asynccontextmanager
async def behind_tls(port: int, certificate: Path) -> AsyncIterator[int]:
    """The port at which a server can be reached over TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer), return_exceptions=True)

    server = await asyncio.start_server(carry, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_tls_with_an_authority_of_ones_own(
    redis_server: Service, issuer: IssuerSimulator, tmp_path: Path
) -> None:
    certificate = self_signed(tmp_path)
    port = int(redis_server.address.rpartition(":")[2].partition("/")[0])
    async with behind_tls(port, certificate) as secure:
        url = f"rediss://127.0.0.1:{secure}"
        async with writing(f"{url}?ca={certificate}", issuer) as writer:
            await writer.store.replace(SNAPSHOT, [EVENT])
            assert await writer.store.load() == (SNAPSHOT, [EVENT])
        async with writing(url, issuer) as stranger:
            with pytest.raises(StoreUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
                await stranger.store.append([])


@pytest.fixture
def nodes() -> Iterator[list[ProgramService]]:
    with cluster() as three:
        yield three


async def test_a_cluster_holds_the_state_and_the_deny_list(
    nodes: list[ProgramService], issuer: IssuerSimulator
) -> None:
    url = f"redis+cluster://127.0.0.1:{port_of(nodes[0])},127.0.0.1:{port_of(nodes[1])}"
    tokens = [issuer.token() for _ in range(150)]
    kept = issuer.revoke_tokens(*tokens[:100])
    lifted = issuer.revoke_tokens(*tokens[50:])
    async with writing(url, issuer) as writer:
        await writer.store.replace(SNAPSHOT, [EVENT])
        await writer.store.append([EVENT])
        assert await writer.store.load() == (SNAPSHOT, [EVENT, EVENT])
        await writer.deny_list.follow()
        assert await entries_on(nodes) == set(entries_of(*tokens))
        issuer.lift(lifted)
        writer.listener.catch_up()
        await writer.deny_list.follow()
        assert await entries_on(nodes) == set(entries_of(*tokens[:100]))
    issuer.lift(kept)
    async with writing(url, issuer) as next_one:
        await next_one.deny_list.follow()
        assert next_one.deny_list.is_level
    assert await entries_on(nodes) == set()


async def entries_on(nodes: list[ProgramService]) -> set[str]:
    found: set[str] = set()
    for node in nodes:
        keys = await asyncio.to_thread(ask, node, "KEYS", "revoked:*")
        assert isinstance(keys, list)
        assert keys or not found
        found |= {bytes(key).decode() for key in keys}
    return found


async def test_a_clusters_node_that_was_away_gets_its_entries_again(
    nodes: list[ProgramService], issuer: IssuerSimulator
) -> None:
    tokens = [issuer.token() for _ in range(60)]
    issuer.revoke_tokens(*tokens[:30])
    url = f"redis+cluster://127.0.0.1:{port_of(nodes[0])}"
    async with writing(url, issuer) as writer, running(writer.run()):
        await eventually(lambda: writer.deny_list.is_level)
        await asyncio.to_thread(nodes[2].kill)  # it keeps nothing, and comes back without any entry
        issuer.revoke_tokens(*tokens[30:])
        writer.listener.catch_up()
        writer.deny_list.wake()
        await eventually(lambda: writer.deny_list.failures > 0)
        await asyncio.to_thread(nodes[2].start)
        await eventually(lambda: writer.deny_list.is_level)

    assert await entries_on(nodes) == set(entries_of(*tokens))


@pytest.fixture
def watched() -> Iterator[tuple[ProgramService, ProgramService, list[ProgramService]]]:
    with watched_master() as servers:
        yield servers


async def test_after_a_failover_the_sentinels_lead_to_the_new_master(
    watched: tuple[ProgramService, ProgramService, list[ProgramService]], issuer: IssuerSimulator
) -> None:
    master, replica, sentinels = watched
    places = ",".join(f"127.0.0.1:{port_of(sentinel)}" for sentinel in sentinels)
    token = issuer.token()
    issuer.revoke_tokens(token)
    async with writing(f"redis+sentinel://127.0.0.1:1,{places}/shop", issuer, lease_seconds=2.0) as writer:
        async with running(writer.run()):
            await eventually(lambda: writer.deny_list.is_level)
            await writer.store.replace(SNAPSHOT, [EVENT])
            await asyncio.to_thread(master.kill)
            await eventually(lambda: saves(writer))
            await eventually(lambda: writer.deny_list.is_level)

        assert await writer.store.load() == (SNAPSHOT, [EVENT])
    assert await asyncio.to_thread(ask, replica, "EXISTS", *entries_of(token)) == 2
