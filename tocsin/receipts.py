"""Whether every agent that counts has applied a decision: asked after it, and told with names."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from tocsin.admin_client import AdminClient
from tocsin.errors import IN_PART
from tocsin.output import Output

F = TypeVar("F", bound=Callable[..., Any])


def wait_fleet_option(command: F) -> F:
    """``--wait-fleet``: how long to wait until every agent that counts has applied it."""
    return click.option(
        "--wait-fleet",
        type=click.IntRange(1, 30),
        metavar="SECONDS",
        help="Wait until every enrolled agent has applied it; exit code 3 names those that have not.",
    )(command)


async def with_receipt(admin: AdminClient, answer: dict[str, Any], path: str, seconds: int | None) -> dict[str, Any]:
    """The answer to a decision, and beside it who has applied it, if that was asked for.

    Args:
        admin: the issuer's admin API.
        answer: to the decision.
        path: of its receipts.
        seconds: to wait at most; ``None`` to ask nothing.
    """
    return answer if seconds is None else {**answer, "receipts": await admin.get(path, wait=seconds)}


def tell_receipts(output: Output, answer: dict[str, Any]) -> int:
    """Say who has applied it, if that was asked for; the exit code."""
    receipts = answer.get("receipts")
    if receipts is None:
        return 0
    done = f"applied by {receipts['applied']} of {receipts['counted']} agents"
    laggards = [each["name"] for each in receipts["laggards"]]
    output.line(f"{done}; not by {', '.join(laggards)}" if laggards else done)
    return IN_PART if laggards else 0
