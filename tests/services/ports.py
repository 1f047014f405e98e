"""Free TCP ports on the loopback interface, chosen so that they are still free when a service comes back to its own."""

import random
import socket
from pathlib import Path

LOWEST = 15_000
# Where the kernel takes the local ends of outgoing connections from when it does not say so itself (IANA's range).
USUAL_EPHEMERAL = 49_152
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
ATTEMPTS = 200


def free_ports(count: int) -> tuple[int, ...]:
    """Choose `count` different ports that nobody listens on.

    They lie below the ephemeral range. A port inside it could be lost while its service is stopped: to any outgoing
    connection, even to a client's own attempt to reconnect, which may by chance get that port and meet itself.
    """
    below = _lowest_ephemeral()
    if below - LOWEST < 1_000:  # a machine whose ephemeral range leaves no room
        return _ephemeral_ports(count)
    chosen: set[int] = set()
    for _ in range(ATTEMPTS):
        if len(chosen) == count:
            return tuple(chosen)
        port = random.randrange(LOWEST, below)  # noqa: S311 - no secret: any free port will do
        if port not in chosen and _is_free(port):
            chosen.add(port)
    return _ephemeral_ports(count)


def _lowest_ephemeral() -> int:
    try:
        return int(EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return USUAL_EPHEMERAL


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _ephemeral_ports(count: int) -> tuple[int, ...]:
    held = [socket.socket() for _ in range(count)]
    try:
        for trial in held:
            trial.bind(("127.0.0.1", 0))
        return tuple(trial.getsockname()[1] for trial in held)
    finally:
        for trial in held:
            trial.close()
