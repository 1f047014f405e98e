"""Tokens verified before, so that the second time costs no signature.

An entry holds facts of the token alone. Time, audience, scope and staleness are judged in every call, and whether the
token is revoked again whenever the state's epoch has moved.
"""

from events.digests import TokenDigest
from verifier_agent.claims import Claims


class VerifiedToken:
    """What need not be found out again about one token.

    Attributes:
        claims: its claims.
        kid: the key that signed it.
        digest: of its signing input.
        jti_digest: of its ``jti``, or ``None``.
        starts_at: seconds since the epoch before which it is not valid; the later of ``nbf`` and ``iat``, or 0.
        epoch: of the state in which it was last found not to be revoked.
    """

    __slots__ = ("claims", "digest", "epoch", "jti_digest", "kid", "starts_at")

    def __init__(self, claims: Claims, kid: str, digest: TokenDigest, jti_digest: TokenDigest | None) -> None:
        self.claims = claims
        self.kid = kid
        self.digest = digest
        self.jti_digest = jti_digest
        self.starts_at = max(claims.nbf or 0.0, claims.iat or 0.0)
        self.epoch = -1


class VerifiedTokens:
    """A bounded map by the exact text of the token; when it is full the oldest entry goes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: dict[str, VerifiedToken] = {}
        self.get = self._entries.get

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, token: str, entry: VerifiedToken) -> None:
        """Remember a verified token."""
        if self._size <= 0:
            return
        while len(self._entries) >= self._size:
            self._entries.pop(next(iter(self._entries), token), None)
        self._entries[token] = entry

    def discard(self, token: str) -> None:
        """Forget one token, if it is there."""
        self._entries.pop(token, None)

    def purge_key(self, kid: str) -> None:
        """Forget every token that this key signed."""
        for token in [token for token, entry in self._entries.items() if entry.kid == kid]:
            self._entries.pop(token, None)
