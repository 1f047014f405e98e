"""The demonstration: an issuer and agents as processes of their own, and four revocations seen to be enforced.

It checks what it shows: every step that does not hold raises.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from events.log import Retention, prepare_log
from issuer.clients import Client, ClientStore
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from tocsin.admin_client import AdminClient
from tocsin.delivery import Spread, fetch_token
from tocsin.errors import CommandFailed
from tocsin.output import Output
from tocsin.own_topics import own_topics
from tocsin.processes import Program
from tocsin.settings import Credentials
from tocsin.workspace import Workspace, read_credentials
from verifier_agent import Sources

VERIFICATIONS: Final = 2000
"""On each agent, over HTTP."""
TOKEN_ROUNDS: Final = 20
REFUSAL_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.002
"""Between two questions to an agent; asking without a pause would measure how busy the asking keeps the machine."""
CLIENTS: Final = ("shop", "fleet", "robot-7", "bystander")


@dataclass
class Stage:
    """Everything that is running.

    Attributes:
        issuer: its URL.
        agents: the agents' URLs.
        clients: credentials by client identifier.
        admin: the operator's way in.
        session: for everything else.
        refusals: seconds from the answer of a revocation to the refusal, all of them.
    """

    issuer: str
    agents: Sequence[str]
    clients: dict[str, Credentials]
    admin: AdminClient
    session: aiohttp.ClientSession
    refusals: list[float] = field(default_factory=list)

    async def token(self, client: str) -> str:
        """A token for one of the clients."""
        return await fetch_token(self.session, self.issuer, self.clients[client])

    async def status(self, agent: str, token: str) -> int:
        """What the agent answers to the token."""
        async with self.session.get(f"{agent}/verify", headers={"Authorization": f"Bearer {token}"}) as response:
            await response.read()
            return response.status

    async def must_be_good(self, tokens: Sequence[str], when: str) -> None:
        """Make sure that every agent takes every token.

        Raises:
            CommandFailed: one does not.
        """
        for agent in self.agents:
            for token in tokens:
                if (status := await self.status(agent, token)) != 200:
                    raise CommandFailed(f"{when}: agent {agent} answered {status} to a token that is good")

    async def revoke(self, path: str, body: dict[str, Any], token: str) -> list[float]:
        """Revoke, and wait until each agent refuses ``token``: seconds from the answer, an agent each.

        Raises:
            CommandFailed: an agent goes on taking it.
        """
        await self.admin.post(path, body)
        answered = time.monotonic()
        times = await asyncio.gather(*(self._refusal(agent, token, answered) for agent in self.agents))
        self.refusals += times
        return times

    async def _refusal(self, agent: str, token: str, answered: float) -> float:
        while await self.status(agent, token) == 200:
            if time.monotonic() - answered > REFUSAL_SECONDS:
                raise CommandFailed(f"agent {agent} still takes a token revoked {REFUSAL_SECONDS:.0f} s ago")
            await asyncio.sleep(POLL_SECONDS)
        return time.monotonic() - answered


@asynccontextmanager
async def stage(folder: Path, output: Output, *, agents: int, log: str | None) -> AsyncIterator[Stage]:
    """An issuer and agents with their clients registered.

    Raises:
        CommandFailed: a process does not start.
    """
    workspace = Workspace(folder)
    log = own_topics(log, "demo")
    if log is not None:
        await prepare_log(log, Retention())
    await workspace.set_up(port=0, sidecar_port=0, log=log)
    clients = await _register(workspace)
    program = ["tocsin", "--config", str(workspace.config)]
    async with AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(Program("issuer", [*program, "issuer", "--json"], folder))
        sidecars = [
            Program(f"agent-{n + 1}", [*program, "agent", "--json", "--port", "0"], folder) for n in range(agents)
        ]
        started = await asyncio.gather(*(stack.enter_async_context(sidecar) for sidecar in sidecars))
        url = f"http://127.0.0.1:{issuer.announcement['port']}"
        output.held(f"an issuer and {agents} agents run, each a process of its own")
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)))
        admin = await stack.enter_async_context(AdminClient(url, read_credentials(workspace.operator)))
        yield Stage(
            issuer=url,
            agents=[f"http://127.0.0.1:{sidecar.announcement['port']}" for sidecar in started],
            clients=clients,
            admin=admin,
            session=session,
        )


async def _register(workspace: Workspace) -> dict[str, Credentials]:
    settings = Sources.find({}, workspace.config).read(IssuerSettings)
    database = Database(settings.store)
    try:
        store = ClientStore(database)
        return {
            name: Credentials(name, (await store.add(Client(client_id=name, scopes=("orders:read",)))).reveal())
            for name in CLIENTS
        }
    finally:
        await database.close()


async def show(here: Stage, output: Output) -> dict[str, Any]:
    """Issue, verify, revoke four ways, and see every one refused; the figures.

    Raises:
        CommandFailed: something did not hold.
    """
    tokens = {name: await here.token(name) for name in CLIENTS}
    verified = await _verify_many(here, list(tokens.values()))
    output.held(
        f"{VERIFICATIONS:,} verifications on each agent over HTTP, "
        f"{verified:,.0f} a second in all (in process: tocsin bench verify)"
    )
    rows = [("one token, by its text", await _revoke_tokens(here))]
    await here.must_be_good(list(tokens.values()), "after revoking single tokens")
    rows.append(("every token of client fleet", await _revoke_selector(here, {"client_id": "fleet"}, tokens["fleet"])))
    rows.append(("every token of subject robot-7", await _revoke_selector(here, {"sub": "robot-7"}, tokens["robot-7"])))
    await here.must_be_good([tokens["shop"], tokens["bystander"]], "after revoking a client and a subject")
    await here.must_be_good([await here.token("fleet"), await here.token("robot-7")], "who logs in afterwards")
    rows.append(("the signing key, after a rotation", await _revoke_key(here, tokens["shop"])))
    _show_times(here, output, rows)
    spread = Spread.of(here.refusals)
    output.held(
        "unrelated tokens stayed good throughout, and so are those issued after each revocation\n"
        f"answer of the revocation → refusal: p50 {spread.p50:.1f} ms, p99 {spread.p99:.1f} ms, "
        f"over {len(here.refusals)} refusals"
    )
    return {
        "agents": len(here.agents),
        "verifications": VERIFICATIONS * len(here.agents),
        "verifications_per_second": round(verified),
        "refusal_ms": {"p50": spread.p50, "p99": spread.p99, "most": spread.most, "count": len(here.refusals)},
        "revocations": {what: [round(1000 * seconds, 2) for seconds in times] for what, times in rows},
    }


async def _verify_many(here: Stage, tokens: Sequence[str]) -> float:
    """Verifications a second, all agents together."""

    async def on(agent: str) -> None:
        for index in range(VERIFICATIONS):
            if await here.status(agent, tokens[index % len(tokens)]) != 200:
                raise CommandFailed(f"agent {agent} refused a good token")

    start = time.monotonic()
    await asyncio.gather(*map(on, here.agents))
    return VERIFICATIONS * len(here.agents) / (time.monotonic() - start)


async def _revoke_tokens(here: Stage) -> list[float]:
    """Several single tokens, one after the other; for each agent the slowest."""
    slowest = [0.0] * len(here.agents)
    for _ in range(TOKEN_ROUNDS):
        token = await here.token("shop")
        await here.must_be_good([token], "before its revocation")
        body = {"token": token, "reason": "demonstration"}
        times = await here.revoke("/admin/v1/revocations", body, token)
        slowest = [max(pair) for pair in zip(slowest, times, strict=True)]
    return slowest


async def _revoke_selector(here: Stage, selector: dict[str, str], token: str) -> list[float]:
    return await here.revoke("/admin/v1/revocations", {"selector": selector, "reason": "demonstration"}, token)


async def _revoke_key(here: Stage, token: str) -> list[float]:
    """Rotate, so that there are tokens of a newer key, then revoke the old key: only its own tokens die."""
    keys = await here.admin.get("/admin/v1/keys")
    old = next(key["kid"] for key in keys["keys"] if key["state"] == "active")
    await here.admin.post("/admin/v1/keys/rotate", {"reason": "demonstration"})
    await here.must_be_good([token], "after a rotation")
    newer = await here.token("bystander")
    await here.must_be_good([newer], "after a rotation")
    times = await here.revoke(f"/admin/v1/keys/{old}/revoke", {"reason": "demonstration"}, token)
    await here.must_be_good([newer, await here.token("shop")], "after revoking the older key")
    return times


def _show_times(here: Stage, output: Output, rows: Sequence[tuple[str, list[float]]]) -> None:
    headings = [f">AGENT {number + 1}" for number in range(len(here.agents))]
    cells = [(what, *(f"{1000 * seconds:.1f} ms" for seconds in times)) for what, times in rows]
    note = f"slowest of {TOKEN_ROUNDS}"
    cells[0] = (f"{cells[0][0]} ({note})", *cells[0][1:])
    output.table(["REVOKED, AND REFUSED AFTER", *headings], cells)
