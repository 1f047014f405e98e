"""What our keys in Redis are called."""

from hashlib import sha256
from typing import Final

FORMAT: Final = "1"
"""Part of each key of the saved state, so that a version that writes otherwise begins beside it."""


class RedisKeys:
    """Names of what is kept for one issuer.

    All but the deny-list have one hash tag, so that they lie on one server of a cluster and one script reaches them.

    Attributes:
        lease: who may write, as long as it lasts.
        fence: who was the last that could; every write compares it.
        head: which generation counts, how long its snapshot is, and the seal.
        listing: number of the deny-list's generation.
    """

    def __init__(self, prefix: str, issuer: str) -> None:
        tag = sha256(issuer.encode()).hexdigest()[:16]
        self.base = f"{prefix}{{{tag}}}:{FORMAT}:"
        self.lease = self.base + "lease"
        self.fence = self.base + "fence"
        self.head = self.base + "head"
        self.listing = self.base + "listing"

    def data(self, generation: str) -> str:
        """Where the snapshot of a generation is."""
        return f"{self.base}{generation}:data"

    def events(self, generation: str) -> str:
        """Where the events since are."""
        return f"{self.base}{generation}:events"
