"""Tokens verified before, so that the second time costs no signature.

An entry holds facts of the token alone. Time, audience, scope and staleness are judged in every call, and whether the
token is revoked again whenever anything has changed that might revoke it.
"""

import threading
from collections.abc import Callable, Iterator

import msgspec

from events.digests import TokenDigest
from verifier_agent.claims import Claims
from verifier_agent.jwks.document import ForeignKey
from verifier_agent.keyring import VerifyingKey
from verifier_agent.policy import Audience


class VerifiedToken(msgspec.Struct, gc=False):
    """What need not be found out again about one token.

    Attributes:
        claims: its claims.
        key: that signed it.
        digest: of its signing input; ``None`` until somebody needs it, where the signature did not. It
            alone is ever written.
        audiences: every ``audience`` that a caller may ask for: those of its ``aud``, ``None``, and ``UNSET`` if the
            one asked for by default is among them.
        starts: seconds since the epoch before which it is not valid, skew included.
        ends: seconds since the epoch from which it is not valid any more, skew included.
    """

    claims: Claims
    key: VerifyingKey | ForeignKey
    digest: TokenDigest | None
    audiences: tuple[Audience, ...]
    starts: float
    ends: float


class VerifiedTokens:
    """A bounded map by the exact text of the token, safe to be used by several threads at once.

    What is in ``current`` has been judged since the state last changed: a look-up there is all that a token in use
    costs. When that is half of what there is room for, or the state changes, ``turn`` puts it aside, behind what stands
    aside already; there it is found once more, judged again, and becomes current. For what is new and finds no room the
    first of those aside goes, which has not been used for longest. So a token stays that is used now and then while
    half as many new ones come as there is room for, and a flood of tokens that are used once passes through.

    Attributes:
        current: tokens that were judged by the state as it is. Look it up *before* you judge, and hand the same object
            to ``add``: had the state changed in between, it would no longer be the current one.
        aside: tokens that were put aside; those of keys that count no more have been purged, and whether another is
            revoked must be judged again.
    """

    __slots__ = ("_first", "_half", "_lock", "_size", "aside", "current")

    def __init__(self, size: int) -> None:
        self._size = size
        self._half = (size + 1) // 2
        self._lock = threading.Lock()
        self.aside: dict[str, VerifiedToken] = {}
        self._first: Iterator[str] | None = None  # of those aside, in order; a dict finds its own only by searching
        self.current: dict[str, VerifiedToken] = {}

    def __len__(self) -> int:
        return len(self.current) + len(self.aside)

    def add(self, token: str, entry: VerifiedToken, judged: dict[str, VerifiedToken]) -> None:
        """Remember a token that was found good when ``judged`` was the current part, if it still is."""
        if self._size <= 0:
            return
        with self._lock:
            if judged is not self.current:
                return
            aside = self.aside
            aside.pop(token, None)
            if len(judged) >= self._half:
                self._turn()
                judged = self.current
            judged[token] = entry
            if len(judged) + len(aside) > self._size:
                self._drop_first()

    def resize(self, size: int) -> None:
        """Have room for ``size`` tokens from now on; what is more goes as further ones come."""
        with self._lock:
            self._size, self._half = size, (size + 1) // 2

    def discard(self, token: str) -> None:
        """Forget one token, if it is there."""
        with self._lock:
            self.aside.pop(token, None)
            self.current.pop(token, None)

    def turn(self) -> None:
        """Have every token judged again: the state has changed."""
        with self._lock:
            self._turn()

    def purge(self, is_gone: Callable[[VerifiedToken], bool]) -> None:
        """Forget every token of which this is true, and have the others judged again."""
        with self._lock:
            # Nobody who finds the new current part may still find what is gone, and put it there.
            known = self.aside | self.current
            self.aside = {token: entry for token, entry in known.items() if not is_gone(entry)}
            self._first, self.current = None, {}

    def _turn(self) -> None:
        judged, self._first = self.current, None
        self.aside.update(judged)
        self.current = {}

    def _drop_first(self) -> None:
        if self._first is None:
            self._first = iter(tuple(self.aside))
        for token in self._first:
            if self.aside.pop(token, None) is not None:
                return
