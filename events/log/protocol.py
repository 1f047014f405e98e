"""What a log must do to carry events. Every implementation passes ``tests/contract/test_event_log.py``."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from events.signing import UnverifiedEvent
from events.streams import Stream


class Entry(NamedTuple):
    """One event as the log keeps it. The position is the log's own; only sequences mean anything beyond it."""

    stream: Stream
    position: int
    data: UnverifiedEvent


class EventLog(Protocol):
    """Ordered, durable streams of opaque events. Everybody who reads hears everything."""

    async def append(self, stream: Stream, events: Sequence[bytes]) -> None:
        """Add events at the end, in this order. When it returns they are as durable as the log can make them.

        Raises:
            LogUnavailable: not in time, or not at all; some of them may have been added nevertheless.
            LogMisconfigured: this log can only be read, as an issuer's feed.
        """

    async def read(self, after: Mapping[Stream, int | None], *, wait: float, limit: int = 1000) -> list[Entry]:
        """The next entries of the named streams, each in order.

        Args:
            after: for each stream the position of the last entry read, or ``None`` to begin at its start.
            wait: seconds to wait for the first entry when there is none; then the answer is empty.
            limit: most entries in one answer.

        Raises:
            PositionLost: the log cannot go on from one of these positions.
            LogUnavailable: it cannot be reached.
        """

    async def head(self, stream: Stream) -> int | None:
        """Position of the newest entry, or ``None`` when there is none.

        Raises:
            LogUnavailable: it cannot be reached.
        """

    async def check(self) -> list[str]:
        """What is wrong with how the log is set up, by name; empty when it will keep what it must.

        Raises:
            LogUnavailable: it cannot be reached.
        """

    async def close(self) -> None:
        """Let go of connections and files. Further calls raise ``LogUnavailable``."""


@runtime_checkable
class NumberedLog(Protocol):
    """A log whose positions are sequences, so that whoever knows what he has heard knows where he is."""

    def place_behind(self, seq: int) -> int | None:
        """The position after which to read for who has everything up to ``seq``; ``None`` is the start."""
