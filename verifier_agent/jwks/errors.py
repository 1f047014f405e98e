"""Why the keys of a foreign issuer could not be had."""

from enum import StrEnum


class FailureCode(StrEnum):
    """What was wrong. Stable: metrics and log lines carry it."""

    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    BAD_STATUS = "bad_status"
    REDIRECTED = "redirected"
    OVERSIZED = "oversized"
    ENCODED = "encoded"
    UNSAFE_URL = "unsafe_url"
    WRONG_ISSUER = "wrong_issuer"
    NOT_METADATA = "not_metadata"
    NOT_JWKS = "not_jwks"


class JwksFailed(Exception):
    """A refresh that brought nothing. What was known before stays.

    Attributes:
        code: stable reason.
        detail: for the operator's log; it holds nothing of what the issuer answered but its status and sizes.
    """

    retryable = True

    def __init__(self, code: FailureCode, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
