"""The cells of the matrix."""

from tests.faults.fault import (
    Fault,
    agent_faults,
    consul_faults,
    issuer_faults,
    kafka_faults,
    nothing,
    postgresql_faults,
    redis_faults,
    sqlite_faults,
)

CONTROL = Fault("nothing", "at all", nothing, nothing)
"""To see how much the figures differ by themselves."""
PAIRS = (
    ("kafka killed", "redis killed"),
    ("kafka black-holed", "redis hung"),
    ("issuer killed", "kafka killed"),
    ("issuer hung", "redis killed"),
    ("postgresql killed", "agent killed"),
    ("postgresql hung", "kafka hung"),
    ("kafka black-holed", "agent killed"),
    ("kafka emptied", "agent emptied"),
    ("redis emptied", "agent killed"),
    ("redis hung", "agent emptied"),
    ("consul killed", "agent killed"),
    ("consul black-holed", "agent killed"),
    ("issuer killed", "agent killed"),
    ("issuer killed", "postgresql killed"),
)


def single_faults() -> list[Fault]:
    """One part at a time, on PostgreSQL."""
    return [
        CONTROL,
        *kafka_faults(),
        *redis_faults(),
        *consul_faults(),
        *issuer_faults(),
        *postgresql_faults(),
        *agent_faults(),
    ]


def pairs() -> list[Fault]:
    """Two at once, those that are likely or were bad once."""
    by_name = {fault.cell: fault for fault in single_faults()}
    return [by_name[one] & by_name[other] for one, other in PAIRS]


def cells() -> list[Fault]:
    """All on PostgreSQL."""
    return [*single_faults(), *pairs()]


def cells_on_sqlite() -> list[Fault]:
    """Those of an issuer whose store is a file."""
    return sqlite_faults()
