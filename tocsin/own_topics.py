"""Kafka topics for trying things out: never those that a real issuer and its agents use."""

import secrets
from urllib.parse import parse_qs, urlsplit


def own_topics(log: str | None, purpose: str, kept: str | None = None) -> str | None:
    """The log's URL with a new prefix for its topics, unless it has one or needs none.

    Args:
        log: URL of an event log.
        purpose: the prefix is ``tocsin-<purpose>-<random>.``.
        kept: an earlier answer, given again when it was for the same log.
    """
    if log is None:
        return None
    parts = urlsplit(log)
    if parts.scheme != "kafka" or "prefix" in parse_qs(parts.query, keep_blank_values=True):
        return log
    start = f"{log}{'&' if parts.query else '?'}prefix=tocsin-{purpose}-"
    if kept is not None and kept.startswith(start):
        return kept
    return f"{start}{secrets.token_hex(6)}."
