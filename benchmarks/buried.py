"""Whether a client can bury an operator: ``python -m benchmarks.buried`` prints how long operators wait.

An issuer of its own, on SQLite. One client, in a process of its own, gives back tokens at a steady rate; meanwhile an
operator revokes, one after the other. Before that, the same with nobody else there. Once with the issuer's own rate
limit, once with none.
"""

import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from tocsin.admin_client import AdminClient
from tocsin.delivery import fetch_token
from tocsin.processes import Program
from tocsin.settings import Credentials
from tocsin.workspace import Workspace, read_credentials

A_SECOND: Final = 1000
TOKENS: Final = 2000
ALONE: Final = 100
"""Revocations of the operator with nobody else there."""
BODY: Final = {"reason": "an emergency", "selector": {"sub": "mallory"}}


async def flood(issuer: str, credentials: Credentials) -> None:
    """Fetch tokens, say so, wait for a line, give them back at the rate; print the answers by status, and the time."""
    print("{}", flush=True)  # it is there; tokens take longer than a start may
    connector = aiohttp.TCPConnector(limit=256)
    async with aiohttp.ClientSession(connector=connector) as session:
        tokens: list[str] = []
        while len(tokens) < TOKENS:
            tokens += await asyncio.gather(*(fetch_token(session, issuer, credentials) for _ in range(32)))
        print(msgspec.json.encode({"tokens": len(tokens)}).decode(), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        who = {"Authorization": aiohttp.encode_basic_auth(credentials.client_id, credentials.client_secret)}
        statuses: Counter[str] = Counter()

        async def give_back(token: str) -> None:
            async with session.post(f"{issuer}/oauth2/revoke", data={"token": token}, headers=who) as answer:
                await answer.read()
                statuses[str(answer.status)] += 1

        start = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number, token in enumerate(tokens):
                await asyncio.sleep(max(0.0, start + number / A_SECOND - time.monotonic()))
                tasks.create_task(give_back(token))
        print(msgspec.json.encode({"seconds": time.monotonic() - start, **statuses}).decode(), flush=True)


async def _decide(admin: AdminClient) -> float:
    start = time.perf_counter()
    await admin.post("/admin/v1/revocations", BODY)
    return (time.perf_counter() - start) * 1000


async def measure(rate: str) -> None:
    """One run, with the client's rate limit as given; prints it."""
    with tempfile.TemporaryDirectory(prefix="tocsin-buried-") as name:
        folder = Path(name)
        workspace = Workspace(folder)
        await workspace.set_up(port=0)
        with workspace.config.open("a") as file:
            file.write(f'\nclient_revocation_rate = "{rate}"\naccess_log = false\n')
        program = ["tocsin", "--config", str(workspace.config), "issuer", "--json"]
        async with Program("issuer", program, folder) as issuer:
            url = f"http://127.0.0.1:{issuer.announcement['port']}"
            arguments = ["benchmarks.buried", url, str(workspace.demo_client)]
            async with (
                Program("flood", arguments, folder) as client,
                AdminClient(url, read_credentials(workspace.operator)) as admin,
            ):
                await client.read()
                await _decide(admin)
                alone = [await _decide(admin) for _ in range(ALONE)]
                await client.write("go")
                flooding = asyncio.create_task(client.read())
                during = []
                while not flooding.done():
                    during.append(await _decide(admin))
                said = await flooding
        seconds = said.pop("seconds")
        print(f"limit {rate}: {sum(said.values())} of the client's in {seconds:.1f} s, answered {said}")
        for what, times in (("alone", alone), ("meanwhile", during)):
            times.sort()
            median, late = times[len(times) // 2], times[int(len(times) * 0.99)]
            print(f"  operator {what}: {len(times)} decisions, p50 {median:.1f} ms, p99 {late:.1f} ms")


async def main() -> None:
    """Both runs, or what the process of the client does."""
    if len(sys.argv) > 1:
        await flood(sys.argv[1], read_credentials(Path(sys.argv[2])))
        return
    for rate in ("50/s burst 500", "off"):
        await measure(rate)


if __name__ == "__main__":
    asyncio.run(main())
