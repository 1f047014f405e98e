"""What happens, as it happens: events of the log, and agents that leave, fall behind or catch up."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from events import (
    EventOpener,
    EventRefused,
    IssuerTrust,
    KeySet,
    Lift,
    LogError,
    PositionLost,
    Revoke,
    RevokeDigests,
    Stream,
    Succession,
    VerifiedEvent,
    format_seq,
)
from events.digests import DIGEST_BYTES
from events.log import Entry, EventLog
from events.log.reading import entries_of
from events.streams import SEQUENCED
from tocsin.admin_client import AdminClient
from tocsin.errors import CommandFailed

READ_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 1.0
FLEET_SECONDS: Final = 1.0


class Happening(NamedTuple):
    """Something that has happened: for programs and, in one line, for people."""

    detail: dict[str, Any]
    text: str


Show = Callable[[Happening], None]


class LogWatch:
    """Reads the sequenced streams where they end, through every failure of the log."""

    def __init__(self, open_log: Callable[[], EventLog], trust: IssuerTrust, past: int) -> None:
        """Set up.

        Args:
            open_log: opens the log.
            trust: what events are checked with.
            past: how many events before the end of each stream to begin.
        """
        self._open_log = open_log
        self._opener = EventOpener(trust)
        self._past = past
        self._positions: dict[Stream, int | None] | None = None
        self._reachable = True

    async def run(self, show: Show) -> None:
        """Watch until cancelled."""
        while True:
            event_log = self._open_log()
            try:
                await self._follow(event_log, show)
            except PositionLost as lost:
                if self._positions is not None:
                    self._positions[Stream(lost.stream)] = None
            except LogError as error:
                if self._reachable:
                    show(Happening({"what": "log_away", "error": str(error)}, f"the log is away: {error}"))
                self._reachable = False
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                await event_log.close()

    async def _follow(self, event_log: EventLog, show: Show) -> None:
        if self._positions is None:
            await self._learn_keys(event_log)
            self._positions = {stream: await self._begin(event_log, stream) for stream in SEQUENCED}
        while True:
            entries = await event_log.read(self._positions, wait=READ_SECONDS)
            if not self._reachable:
                show(Happening({"what": "log_back"}, "the log is back"))
            self._reachable = True
            for entry in entries:
                self._positions[entry.stream] = entry.position
                show(self._opened(entry))

    async def _learn_keys(self, event_log: EventLog) -> None:
        """Hear of the successions of event keys, without which nothing could be opened that the newest has signed."""
        async for entry in entries_of(event_log, Stream.KEYS):
            with suppress(EventRefused):  # it is shown when its turn comes
                self._opener.open(entry.data, Stream.KEYS)

    async def _begin(self, event_log: EventLog, stream: Stream) -> int | None:
        head = await event_log.head(stream)
        return None if head is None or head < self._past else head - self._past

    def _opened(self, entry: Entry) -> Happening:
        try:
            return described(self._opener.open(entry.data, entry.stream))
        except EventRefused as error:
            detail = {"what": "refused", "stream": entry.stream, "position": entry.position, "code": error.code}
            return Happening(detail, f"REFUSED  an event of {entry.stream}: {error}")


class FleetWatch:
    """Asks the issuer for its agents, and tells what has changed."""

    def __init__(self, admin: AdminClient, behind: set[str]) -> None:
        """Set up.

        Args:
            admin: the issuer's admin API; entered and left here.
            behind: names of the agents that lag are kept here.
        """
        self._admin = admin
        self._behind = behind
        self._before: dict[str, str] | None = None
        self._reachable = True

    async def run(self, show: Show) -> None:
        """Ask until cancelled."""
        async with self._admin as admin:
            while True:
                try:
                    answer = await admin.get("/admin/v1/agents")
                except CommandFailed as error:
                    if self._reachable:
                        show(Happening({"what": "issuer_away", "error": str(error)}, f"the issuer is away: {error}"))
                    self._reachable = False
                else:
                    self._reachable = True
                    self._compare(answer["agents"], show)
                await asyncio.sleep(FLEET_SECONDS)

    def _compare(self, agents: list[dict[str, Any]], show: Show) -> None:
        now = {agent["id"]: "behind" if agent["lags"] else agent["standing"] for agent in agents}
        names = {agent["id"]: agent["name"] for agent in agents}
        self._behind.clear()
        self._behind.update(names[agent] for agent, how in now.items() if how == "behind")
        before, self._before = self._before, now
        for agent, how in sorted(now.items()):
            was = (before or {}).get(agent)
            if how != was and (before is not None or how == "behind"):
                detail = {"what": "agent", "id": agent, "name": names[agent], "standing": how, "before": was}
                show(Happening(detail, f"agent {names[agent]} is {how}" + (f", was {was}" if was else "")))


def described(event: VerifiedEvent) -> Happening:
    """An event, for programs and for people."""
    record = event.record
    detail: dict[str, Any] = {
        "what": record.type.rpartition(":")[2] or "unknown",
        "stream": event.stream,
        "id": format_seq(event.seq),
        "time": event.time,
        "txn": event.txn,
        "reason": getattr(record, "reason", ""),
        "actor": getattr(record, "actor", ""),
        **_said(record),
    }
    when = datetime.fromtimestamp(event.time, UTC).strftime("%H:%M:%S")
    who = f" by {detail['actor']}" if detail["actor"] else ""
    why = f": {detail['reason']}" if detail["reason"] else ""
    text = f"{when}  {event.stream} {detail['id']}  {detail['what']} {_in_words(record)}".rstrip()
    return Happening(detail, _one_line(f"{text}{who}{why}"))


def _said(record: object) -> Mapping[str, Any]:
    if isinstance(record, Revoke):
        return {"selector": msgspec.to_builtins(record.selector), "issued_before": record.issued_before}
    if isinstance(record, RevokeDigests):
        return {"tokens": len(record.digests) // DIGEST_BYTES}
    if isinstance(record, Lift):
        return {"target": format_seq(record.target)}
    if isinstance(record, KeySet):
        return {"keys": {key.kid: str(key.state) for key in record.keys}}
    if isinstance(record, Succession):
        return {"event_key": record.jwk["kid"], "heir": record.heir, "stolen": record.stolen}
    return {}


def _in_words(record: object) -> str:
    if isinstance(record, Revoke):
        return " ".join(f"{name}={value}" for name, value in record.selector.claims.items()) or "everything"
    if isinstance(record, RevokeDigests):
        tokens = len(record.digests) // DIGEST_BYTES
        return f"{tokens} token" + ("" if tokens == 1 else "s")
    if isinstance(record, Lift):
        return format_seq(record.target)
    if isinstance(record, KeySet):
        return " ".join(f"{key.kid[:8]}={key.state}" for key in record.keys)
    if isinstance(record, Succession):
        return f"event key {record.jwk['kid'][:8]} signs" + (", the one before was stolen" if record.stolen else "")
    return ""


def _one_line(text: str) -> str:
    """Fit for a terminal: a reason may hold anything."""
    return "".join(character if character.isprintable() else "�" for character in text)
