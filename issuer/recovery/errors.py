"""Why a recovery was not done."""

from issuer.errors import IssuerError


class RecoveryRefused(IssuerError):
    """It cannot be done as things stand."""


class LeaseHeld(RecoveryRefused):
    """An issuer is publishing."""

    retryable = True


class NothingToRecover(RecoveryRefused):
    """Store and log agree."""
