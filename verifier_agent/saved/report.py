"""What is told of a store."""

import msgspec


class StoreReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a store is.

    Attributes:
        read_only: whether another agent saves to it, so that this one does not.
        snapshot_age: seconds since the saved snapshot was made; ``None`` without one.
        events: saved beside it.
        unsaved: events that wait to be saved.
        dropped: events that have waited for too long, and are not saved.
        failures: what went wrong, by code.
    """

    read_only: bool
    snapshot_age: float | None
    events: int
    unsaved: int
    dropped: int
    failures: dict[str, int]
