"""Kafka's Metadata request, version 1, by hand: the cheapest question that only a working broker answers.

A client library would do, but one that is refused a hundred times while a broker comes up logs it a hundred times.
The layout is that of https://kafka.apache.org/protocol#The_Messages_Metadata.
"""

import socket
import struct

METADATA = 3
VERSION = 1
CLIENT_ID = b"readiness"
TIMEOUT_SECONDS = 2.0
LARGEST_ANSWER = 1 << 20


def brokers_known_to(bootstrap: str) -> int:
    """Ask the broker at `host:port` (or the first of several, separated by commas) how many brokers are alive.

    Raises:
        OSError: it cannot be reached, does not answer within TIMEOUT_SECONDS, or what it answers is not Kafka's.
    """
    host, _, port = bootstrap.split(",", maxsplit=1)[0].strip().rpartition(":")
    header = struct.pack(f">hhih{len(CLIENT_ID)}s", METADATA, VERSION, 1, len(CLIENT_ID), CLIENT_ID)
    no_topics = struct.pack(">i", 0)
    with socket.create_connection((host, int(port)), TIMEOUT_SECONDS) as connection:
        connection.sendall(struct.pack(">i", len(header + no_topics)) + header + no_topics)
        with connection.makefile("rb") as answer:
            (size,) = _unpack(">i", answer.read(4))
            if not 8 <= size <= LARGEST_ANSWER:
                raise ConnectionError(f"not an answer of Kafka: {size} bytes announced")
            _correlation, count = _unpack(">ii", answer.read(size)[:8])
    return count


def _unpack(layout: str, octets: bytes) -> tuple[int, ...]:
    try:
        return struct.unpack(layout, octets)
    except struct.error as error:
        raise ConnectionError(f"the answer ended early: {error}") from error
