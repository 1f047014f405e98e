"""A lock that one replica holds at a time, as far as it can know."""

from typing import Protocol

from issuer.errors import IssuerError


class LockUnavailable(IssuerError):
    """What keeps the lock did not answer. Nobody can say who leads, so nobody does who did not ask in time."""

    retryable = True


class LeaderLock(Protocol):
    """Keeps replicas from working on the same thing; it does not make that safe, see ``Leadership``.

    Who holds it asks several times in ``seconds``.

    Attributes:
        seconds: after which another may have a lock whose holder is silent.
    """

    seconds: float

    async def held(self) -> bool:
        """Take or renew it; whether it is ours.

        Raises:
            LockUnavailable: it cannot be asked for.
        """

    async def release(self) -> None:
        """Let go of it, if it is ours, so that another need not wait.

        Raises:
            LockUnavailable: it cannot be; it runs out by itself.
        """
