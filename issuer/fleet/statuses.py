"""Checks what agents say of themselves: signed by the agent that it is about, in order, and not long ago. No I/O."""

from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from events import AgentStatus, EventOpener, EventRefused, IssuerTrust, Stream, base64url
from events.records import MAX_SKEW

MAX_STATUS_BYTES: Final = 16 * 1024
OLD_SECONDS: Final = 2 * MAX_SKEW
"""A status that is older was held back by somebody, or its agent's clock is wrong by more than any may be."""
MAX_NAME: Final = 128
MAX_UNUSABLE: Final = 64


class StatusCode(StrEnum):
    """Why a status was refused. Stable: metrics and log lines carry it."""

    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    UNKNOWN_AGENT = "unknown_agent"
    FORGED = "forged"
    FOR_ANOTHER = "for_another"
    REMOVED = "removed"
    REPLAYED = "replayed"
    OLD = "old"


class StatusInvalid(Exception):
    """A status that must not count.

    Attributes:
        code: stable reason.
        agent: whose it says that it is, if that can be read; nobody has checked it.
    """

    def __init__(self, code: StatusCode, agent: str = "") -> None:
        super().__init__(f"{code}: {agent[:64]}" if agent else str(code))
        self.code = code
        self.agent = agent[:64]


class HeardStatus(NamedTuple):
    """A status that counts, with its place among what its agent says."""

    seq: int
    status: AgentStatus


class _Header(msgspec.Struct, frozen=True):
    kid: str


def claimed_agent(raw: bytes) -> str:
    """Who a status says that it is of.

    Raises:
        StatusInvalid: it is too large, or no status.
    """
    if len(raw) > MAX_STATUS_BYTES:
        raise StatusInvalid(StatusCode.OVERSIZED)
    try:
        return msgspec.json.decode(base64url.decode(raw.partition(b".")[0]), type=_Header).kid
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise StatusInvalid(StatusCode.MALFORMED) from error


class StatusOpener:
    """Opens the statuses of one agent, of one issuer's fleet."""

    def __init__(self, issuer: str, jwk: dict[str, str]) -> None:
        """Take an agent's public key, whose ``kid`` is its thumbprint.

        Raises:
            ValueError: it is no such key.
        """
        self._agent = jwk["kid"]
        self._opener = EventOpener(IssuerTrust(issuer=issuer, event_keys=(jwk,)))

    def open(self, raw: bytes, *, after: int, now: float) -> HeardStatus:
        """Check one status.

        1 signature, issuer and stream · 2 it is about the agent that signed it · 3 newer than what was heard before ·
        4 not made long ago.

        Args:
            raw: as it was sent.
            after: ``seq`` of the newest status of this agent.
            now: seconds since the epoch.

        Raises:
            StatusInvalid: with the code of the first step that failed.
        """
        try:
            event = self._opener.open(raw, Stream.AGENTS)  # 1
        except EventRefused as error:
            raise StatusInvalid(StatusCode.FORGED, self._agent) from error
        status = event.record
        if not isinstance(status, AgentStatus) or not _fits(status):
            raise StatusInvalid(StatusCode.MALFORMED, self._agent)
        if status.agent != self._agent:  # 2
            raise StatusInvalid(StatusCode.FOR_ANOTHER, self._agent)
        if event.seq <= after:  # 3
            raise StatusInvalid(StatusCode.REPLAYED, self._agent)
        if not status.time > now - OLD_SECONDS:  # 4
            raise StatusInvalid(StatusCode.OLD, self._agent)
        return HeardStatus(event.seq, status)


def _fits(status: AgentStatus) -> bool:
    """Whether what it says can be kept and shown."""
    numbers = [status.every, status.freshness or 0.0, status.max_staleness or 0.0]
    return (
        len(status.name) <= MAX_NAME
        and status.name.isprintable()
        and len(status.version) <= MAX_NAME
        and status.version.isprintable()
        and len(status.unusable_keys) <= MAX_UNUSABLE
        and all(0 <= number < float("inf") for number in numbers)
    )
