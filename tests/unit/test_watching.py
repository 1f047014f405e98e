"""What ``tocsin watch`` shows."""

import asyncio
from typing import Any, Self

from events import EventOpener, Revoke, Selector, Stream
from events.errors import LogUnavailable
from events.log.memory import MemoryLog
from tests.simulator import IssuerSimulator, publish
from tocsin.errors import CommandFailed
from tocsin.watching import FleetWatch, Happening, LogWatch, described

SOON = 20.0


async def shown(watch: Any, count: int) -> list[Happening]:
    """The first so many things that a watch shows."""
    found: list[Happening] = []
    enough = asyncio.Event()

    def show(happening: Happening) -> None:
        found.append(happening)
        if len(found) == count:
            enough.set()

    task = asyncio.create_task(watch.run(show))
    try:
        async with asyncio.timeout(SOON):
            await enough.wait()
    finally:
        task.cancel()
        await asyncio.wait([task])
    return found[:count]


async def test_events_are_shown_from_where_one_asks_and_a_forged_one_as_such(issuer: IssuerSimulator) -> None:
    log = MemoryLog()
    await publish(log, *issuer.said)
    revoked = [issuer.revoke(Selector.of(sub=name)) for name in ("alice", "bob")]
    await publish(log, *revoked)
    await log.append(Stream.REVOCATIONS, [revoked[0].text[:-4] + b"AAAA"])

    class Kept:
        def __getattr__(self, name: str) -> Any:
            return getattr(log, name)

        async def close(self) -> None:
            """It goes on."""

    found = await shown(LogWatch(Kept, issuer.trust, 2), 4)  # two of the keys, and two of the revocations

    of_revocations = [each for each in found if each.detail["stream"] == "revocations"]
    assert [each.detail["what"] for each in of_revocations] == ["revoke", "refused"]
    assert of_revocations[0].detail["selector"]["claims"] == {"sub": "bob"}
    assert "sub=bob" in of_revocations[0].text


async def test_a_log_that_is_away_is_told_once_and_read_on_when_it_is_back(
    issuer: IssuerSimulator, monkeypatch: Any
) -> None:
    monkeypatch.setattr("tocsin.watching.RETRY_SECONDS", 0.0)
    log = MemoryLog()
    await publish(log, *issuer.said)
    faults = [LogUnavailable("away"), LogUnavailable("away")]

    class Failing:
        async def head(self, stream: Stream) -> int | None:
            if faults:
                raise faults.pop()
            return await log.head(stream)

        async def read(self, *args: Any, **how: Any) -> Any:
            return await log.read(*args, **how)

        async def close(self) -> None:
            """It goes on."""

    found = await shown(LogWatch(Failing, issuer.trust, 1), 3)  # type: ignore[arg-type]

    assert [each.detail["what"] for each in found][:2] == ["log_away", "log_back"]


def test_a_reason_cannot_move_the_cursor_of_who_reads_it(issuer: IssuerSimulator) -> None:
    record = Revoke(selector=Selector.of(sub="a\x1b[2J"), expires_at=issuer.clock.now() + 60, reason="two\nlines\x07")
    event = issuer.say(Stream.REVOCATIONS, record)

    happening = described(EventOpener(issuer.trust).open(event.text, Stream.REVOCATIONS))

    assert happening.text.isprintable()
    assert happening.detail["reason"] == "two\nlines\x07"  # JSON escapes it


async def test_agents_that_fall_behind_leave_or_catch_up_are_shown_once_each(monkeypatch: Any) -> None:
    monkeypatch.setattr("tocsin.watching.FLEET_SECONDS", 0.0)

    def agents(**standings: str) -> Any:
        return {
            "agents": [
                {"id": name, "name": name, "lags": how == "behind", "standing": "counted" if how == "behind" else how}
                for name, how in standings.items()
            ]
        }

    answers = [
        agents(a="counted", b="behind"),
        CommandFailed("away"),
        CommandFailed("away"),
        agents(a="behind", b="behind"),
        agents(a="behind", b="counted"),
        agents(a="left", b="counted"),
    ]

    class Admin:
        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> None:
            """Nothing to let go of."""

        async def get(self, _path: str) -> Any:
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

    behind: set[str] = set()
    found = await shown(FleetWatch(Admin(), behind), 5)  # type: ignore[arg-type]

    assert [each.text for each in found] == [
        "agent b is behind",
        "the issuer is away: away",
        "agent a is behind, was counted",
        "agent b is counted, was behind",
        "agent a is left, was behind",
    ]
    assert behind == set()
