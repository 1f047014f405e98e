"""How an agent's enrolment stands."""

import msgspec


class FleetReport(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of what an agent says of itself.

    Attributes:
        agent: its identifier; ``None`` until it has a key.
        name: for people.
        enrolled: whether the issuer knows it.
        said: statuses that went out.
        path: by which the newest went, ``log`` or ``issuer``; ``None`` before the first.
        failures: attempts that failed, enrolments among them.
        last_error: why the newest attempt failed; ``None`` when it did not.
    """

    agent: str | None
    name: str
    enrolled: bool
    said: int
    path: str | None
    failures: int
    last_error: str | None
