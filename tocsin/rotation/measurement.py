"""Rotations of an issuer's keys while enrolled agents verify: planned ones first, and then emergencies."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from issuer.clients import Client, ClientStore
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from tocsin.admin_client import AdminClient
from tocsin.delivery import Site, Spread, fetch_token, site
from tocsin.delivery.reach import expect
from tocsin.errors import CommandFailed
from tocsin.processes import Program, workers
from verifier_agent import Sources

TOKEN_SECONDS: Final = 0.02
"""Between two new tokens for those who verify."""
WAIT_SECONDS: Final = 10
ROUND_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.05
CLIENT: Final = "bench-agents"


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured.

    Attributes:
        agents: in all.
        processes: that they run in.
        rate: verifications a second, of all agents together.
        rotations: planned ones, one after the other.
        emergencies: revocations of the key that signs.
    """

    agents: int = 10
    processes: int = 2
    rate: float = 2000.0
    rotations: int = 50
    emergencies: int = 50


class RotationResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it; times in milliseconds.

    Attributes:
        rotations: planned ones.
        verified: good tokens found good during those.
        refused: good tokens refused during those, by code.
        seconds: that they took.
        rotation: from the request to the answer, the acknowledgements of all agents waited for.
        emergencies: keys revoked.
        revocation: from the request to the answer.
        old_refused: from the answer to the refusal of the old key's token at the last agent.
        new_good: from the answer until a new token has been fetched and found good by the last agent.
    """

    rotations: int
    verified: int
    refused: dict[str, int]
    seconds: float
    rotation: Spread
    emergencies: int
    revocation: Spread | None
    old_refused: Spread | None
    new_good: Spread | None


async def measure_rotation(folder: Path, log: str | None, store: str | None, extent: Extent) -> RotationResult:
    """Run an issuer and agents as processes, and rotate.

    Raises:
        CommandFailed: a program does not start, or something does not come about.
    """
    async with (
        site(folder, log, store) as place,
        _workers(place, extent) as workers,
        aiohttp.ClientSession() as session,
        AdminClient(place.url, place.operator) as admin,
    ):
        bench = _Bench(place, workers, session, admin)
        planned = await bench.planned(extent.rotations)
        emergencies = [await bench.emergency() for _ in range(extent.emergencies)]
        return RotationResult(
            **planned,
            emergencies=extent.emergencies,
            revocation=_spread([asked for asked, _, _ in emergencies]),
            old_refused=_spread([old for _, old, _ in emergencies]),
            new_good=_spread([new for _, _, new in emergencies]),
        )


def _spread(times: Sequence[float]) -> Spread | None:
    return Spread.of(times) if times else None


class _Bench:
    """One issuer, its agents, and the operator who rotates."""

    def __init__(
        self, place: Site, workers: Sequence[Program], session: aiohttp.ClientSession, admin: AdminClient
    ) -> None:
        self._place = place
        self._workers = workers
        self._session = session
        self._admin = admin

    async def planned(self, rotations: int) -> dict[str, Any]:
        """Rotate while new tokens come all the time and all agents verify."""
        tokens = asyncio.create_task(self._keep_issuing())
        times = []
        began = time.monotonic()
        try:
            await asyncio.sleep(1.0)
            for _ in range(rotations):
                asked = time.monotonic()
                await self._admin.post("/admin/v1/keys/rotate", {"reason": "benchmark"}, wait=WAIT_SECONDS)
                times.append(time.monotonic() - asked)
                await self._issue()  # at once: the first that the new key signs
            await asyncio.sleep(1.0)
        finally:
            tokens.cancel()
            await asyncio.wait([tokens])
        if not tokens.cancelled():
            await tokens
        seconds = time.monotonic() - began
        reports = await self._ask({"report": True}, "verified")
        refused: Counter[str] = Counter()
        for report in reports:
            refused.update(report["refused"])
        verified = sum(report["verified"] for report in reports)
        return {
            "rotations": rotations,
            "verified": verified,
            "refused": dict(refused),
            "seconds": round(seconds, 2),
            "rotation": Spread.of(times),
        }

    async def emergency(self) -> tuple[float, float, float]:
        """Revoke the key that signs; seconds to the answer, and from there to the last refusal of its token, and to a
        new one's being good.
        """
        old = await fetch_token(self._session, self._place.url, self._place.client)
        kid = await self._active()
        await asyncio.gather(*(worker.write({"watch": old}) for worker in self._workers))
        await asyncio.gather(*(expect(worker, "armed") for worker in self._workers))
        asked = time.monotonic()
        await self._admin.post(f"/admin/v1/keys/{kid}/revoke", {"reason": "benchmark"})
        answered = time.monotonic()
        new = await fetch_token(self._session, self._place.url, self._place.client)
        reports = await self._ask({"good": new}, "good")
        refused, good = (max(at for report in reports for at in report[each]) for each in ("refused", "good"))
        await self._settled()
        return answered - asked, refused - answered, good - answered

    async def _settled(self) -> None:
        """Wait until there is a new standby and it is known, as it would be before anybody needs it."""
        async with asyncio.timeout(ROUND_SECONDS):
            while True:
                answer = await self._admin.get("/admin/v1/keys")
                if any(key["state"] == "pending" for key in answer["keys"]):
                    break
                await asyncio.sleep(LOOK_SECONDS)
        newest = answer["id"]
        receipts = await self._admin.get(f"/admin/v1/keys/receipts/{newest}", wait=WAIT_SECONDS)
        if receipts["laggards"]:
            raise CommandFailed(f"agents have not acknowledged the keys: {receipts['laggards']}")

    async def _active(self) -> str:
        answer = await self._admin.get("/admin/v1/keys")
        kid: str = next(key["kid"] for key in answer["keys"] if key["state"] == "active")
        return kid

    async def _keep_issuing(self) -> None:
        while True:
            await self._issue()
            await asyncio.sleep(TOKEN_SECONDS)

    async def _issue(self) -> None:
        token = await fetch_token(self._session, self._place.url, self._place.client)
        await asyncio.gather(*(worker.write({"token": token}) for worker in self._workers))

    async def _ask(self, command: dict[str, Any], member: str) -> list[dict[str, Any]]:
        await asyncio.gather(*(worker.write(command) for worker in self._workers))
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                return list(await asyncio.gather(*(expect(worker, member) for worker in self._workers)))
        except TimeoutError as error:
            raise CommandFailed(f"agents did not come to {member!r} within {ROUND_SECONDS:.0f} s") from error


@asynccontextmanager
async def _workers(place: Site, extent: Extent) -> AsyncIterator[list[Program]]:
    secret = await _agents_client(place)
    scheme, _, address = place.url.partition("://")
    settings = {"TOCSIN_ENROL_URL": f"{scheme}://{CLIENT}:{secret}@{address}/agents", "TOCSIN_CACHE_SIZE": "0"}

    def command(share: int) -> list[str]:
        rate = extent.rate * share / extent.agents
        given = [str(place.config), str(share), str(rate), msgspec.json.encode(settings).decode()]
        return ["tocsin.rotation.worker", *given]

    async with workers("rotating", command, place.folder, agents=extent.agents, processes=extent.processes) as programs:
        yield programs


async def _agents_client(place: Site) -> str:
    settings = Sources.find({}, place.config).read(IssuerSettings)
    database = Database(settings.store)
    try:
        client = Client(client_id=CLIENT, scopes=("tocsin.agent",), audiences=(settings.issuer,))
        return (await ClientStore(database).add(client)).reveal()
    finally:
        await database.close()
