"""What can go wrong with events and with the logs that carry them."""

from enum import StrEnum


class SelectorInvalid(ValueError):
    """A selector that cannot mean anything; the message names the claim and the rule."""


class RefusalCode(StrEnum):
    """Why an event was refused. Stable: metrics and log lines carry it."""

    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    WRONG_ISSUER = "wrong_issuer"
    WRONG_STREAM = "wrong_stream"
    BAD_SEQUENCE = "bad_sequence"
    BAD_RECORD = "bad_record"
    UNKNOWN_CRITICAL = "unknown_critical"
    FORKED = "forked"
    ROLLED_BACK = "rolled_back"
    BAD_SUCCESSION = "bad_succession"
    KEY_ENDED = "key_ended"
    KEY_TOO_EARLY = "key_too_early"


class EventRefused(Exception):
    """An event that must not take effect. It is counted, and the stream goes on.

    Attributes:
        code: stable reason.
        detail: for the operator's log; holds no secrets.
    """

    def __init__(self, code: RefusalCode, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class LogError(Exception):
    """An event log did not do what was asked.

    Attributes:
        retryable: whether the same call may succeed later without anybody changing anything.
    """

    retryable = False


class LogUnavailable(LogError):
    """The log cannot be reached or did not answer in time. What was asked may or may not have happened."""

    retryable = True


class LogMisconfigured(LogError):
    """The log answers but cannot hold what it must: a wrong URL, or a topic with the wrong settings."""


class PositionLost(LogError):
    """A position that the log no longer (or never) had; read again from the start.

    Happens when retention has passed a reader, or the log was re-created.
    """

    retryable = True

    def __init__(self, stream: str, position: int) -> None:
        super().__init__(f"position {position} of stream {stream!r} is not in the log any more; read from its start")
        self.stream = stream
        self.position = position
