"""Two answers that are not claims: the token is no good (401, 403), and we cannot say (503)."""

from enum import StrEnum


class RejectionCode(StrEnum):
    """Why a token was rejected. Stable: callers, metrics and log lines carry it."""

    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    WRONG_ALGORITHM = "wrong_algorithm"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_KEY = "unknown_key"
    KEY_NOT_IN_USE = "key_not_in_use"
    KEY_REVOKED = "key_revoked"
    BAD_SIGNATURE = "bad_signature"
    WRONG_ISSUER = "wrong_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    REVOKED = "revoked"
    INSUFFICIENT_SCOPE = "insufficient_scope"


_PUBLIC = {
    RejectionCode.EXPIRED: "The access token has expired",
    RejectionCode.NOT_YET_VALID: "The access token is not valid yet",
    RejectionCode.WRONG_AUDIENCE: "The access token is for another audience",
    RejectionCode.REVOKED: "The access token has been revoked",
    RejectionCode.KEY_REVOKED: "The access token has been revoked",
    RejectionCode.INSUFFICIENT_SCOPE: "The access token lacks a scope that this needs",
}


class TokenRejected(Exception):
    """The token must not be honoured. Answer 401, or 403 when its scope does not suffice (RFC 6750 section 3.1).

    Attributes:
        code: stable reason.
        detail: for the operator's log; it holds neither the token nor a claim's value.
    """

    def __init__(self, code: RejectionCode, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail

    @property
    def error(self) -> str:
        """The ``error`` of a ``WWW-Authenticate`` answer."""
        return "insufficient_scope" if self.code is RejectionCode.INSUFFICIENT_SCOPE else "invalid_token"

    @property
    def description(self) -> str:
        """The ``error_description``, fit for whoever sent the token."""
        return _PUBLIC.get(self.code, "The access token is not valid")

    @property
    def status(self) -> int:
        """The HTTP status."""
        return 403 if self.code is RejectionCode.INSUFFICIENT_SCOPE else 401


class UnavailableCode(StrEnum):
    """Why nothing can be said about any token."""

    NO_KEYS = "no_keys"
    KEY_PENDING = "key_pending"
    STALE = "stale"


class VerificationUnavailable(Exception):
    """Nothing can be said about the token: not its fault. Answer 503 and let the caller try again.

    Attributes:
        code: stable reason.
        detail: for the operator's log.
    """

    retryable = True

    def __init__(self, code: UnavailableCode, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class KeyPending(VerificationUnavailable):
    """The token names a key of a foreign issuer that is not known yet: it may be new (``key_pending``), or nothing is
    known of that issuer (``no_keys``). See ``Agent.verify_or_wait``.

    Attributes:
        issuer: whose key it would be.
        kid: its name.
    """

    def __init__(self, code: UnavailableCode, issuer: str, kid: str) -> None:
        what = f"{issuer!r} may have a new key {kid[:64]!r}"
        super().__init__(code, what if code is UnavailableCode.KEY_PENDING else f"the keys of {issuer!r} are not known")
        self.issuer = issuer
        self.kid = kid


class SettingInvalid(ValueError):
    """A setting that cannot be used; the message names it, its source and what is allowed."""


class StoreUnavailable(Exception):
    """What an agent saves to or starts from cannot be reached, or is no such thing. Verifying goes on without it."""

    retryable = True

    def __init__(self, detail: str, code: str = "unavailable") -> None:
        """Say what is the matter.

        Args:
            detail: for the operator's log.
            code: stable reason; metrics carry it.
        """
        super().__init__(detail)
        self.code = code


class SnapshotCode(StrEnum):
    """Why a snapshot was refused. Stable: metrics and log lines carry it."""

    BAD_SEAL = "bad_seal"
    ALTERED = "altered"
    TOO_OLD = "too_old"
    MALFORMED = "malformed"
    WRONG_VERSION = "wrong_version"
    WRONG_ISSUER = "wrong_issuer"


class SnapshotInvalid(ValueError):
    """A snapshot that is not one, is not what was sealed, is too old or is another issuer's.

    Attributes:
        code: stable reason.
    """

    def __init__(self, code: SnapshotCode, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
