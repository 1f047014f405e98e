"""What the issuer answers when it does not do what was asked."""


class IssuerError(Exception):
    """Something the issuer could not do. ``retryable`` says whether the same call may succeed later."""

    retryable = False


class StoreUnavailable(IssuerError):
    """The store did not answer, or not in time. What was asked may or may not have happened."""

    retryable = True


class StoreUninitialised(IssuerError):
    """The store has no tables or keys yet, or those of another version."""


class SealBroken(IssuerError):
    """A private key that cannot be unsealed: a wrong key-encryption key, or a damaged row."""


class WrapperUnavailable(IssuerError):
    """What holds the key-encryption key did not answer, or not in time."""

    retryable = True


class BackgroundTaskFailed(IssuerError):
    """What goes on beside the requests has ended by a fault, and the issuer with it."""


class NotFound(IssuerError):
    """What was named is not there."""


class Conflict(IssuerError):
    """What is there does not allow it."""


class OAuthError(IssuerError):
    """An error answer of RFC 6749 section 5.2 and its successors.

    Attributes:
        error: the registered code.
        description: fit for the client; holds nothing that it did not send or may not know.
        status: HTTP status.
        challenge: value of ``WWW-Authenticate``, where one is due.
        retry_after: seconds after which the same may be asked again, where that is known.
    """

    def __init__(
        self,
        error: str,
        description: str,
        *,
        status: int = 400,
        challenge: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status
        self.challenge = challenge
        self.retry_after = retry_after


def invalid_request(description: str) -> OAuthError:
    """The request lacks something, repeats something or cannot be read (RFC 6749 section 5.2)."""
    return OAuthError("invalid_request", description)


def invalid_client(description: str, *, basic: bool = False) -> OAuthError:
    """Client authentication failed (RFC 6749 section 5.2); with a challenge when it was tried by header."""
    return OAuthError(
        "invalid_client", description, status=401, challenge='Basic realm="tocsin", charset="UTF-8"' if basic else None
    )


def too_many(description: str, retry_after: float) -> OAuthError:
    """Somebody asks too often (RFC 6585 section 4). No code is registered for that at the token endpoint.

    ``slow_down`` would be, for a device that polls (RFC 8628), and clients take it to mean that.
    """
    return OAuthError("temporarily_unavailable", description, status=429, retry_after=retry_after)
