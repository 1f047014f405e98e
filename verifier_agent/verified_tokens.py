"""Tokens verified before, so that the second time costs no signature.

An entry holds facts of the token alone. Time, audience, scope and staleness are judged in every call, and whether the
token is revoked again whenever anything has changed that might revoke it.
"""

import threading
from collections.abc import Callable
from itertools import islice

import msgspec

from events.digests import TokenDigest
from verifier_agent.claims import Claims
from verifier_agent.jwks.document import ForeignKey
from verifier_agent.keyring import VerifyingKey
from verifier_agent.policy import Audience


class VerifiedToken(msgspec.Struct, frozen=True, gc=False):
    """What need not be found out again about one token.

    Attributes:
        claims: its claims.
        key: that signed it.
        digest: of its signing input.
        audiences: every ``audience`` that a caller may ask for: those of its ``aud``, ``None``, and ``UNSET`` if the
            one asked for by default is among them.
        starts: seconds since the epoch before which it is not valid, skew included.
        ends: seconds since the epoch from which it is not valid any more, skew included.
    """

    claims: Claims
    key: VerifyingKey | ForeignKey
    digest: TokenDigest
    audiences: tuple[Audience, ...]
    starts: float
    ends: float


class VerifiedTokens:
    """A bounded map by the exact text of the token, safe to be used by several threads at once.

    It has two halves. What is in ``current`` has been judged since the state last changed: a look-up there is all that
    a token in use costs. When that half is full, or the state changes, ``turn`` puts it aside, where it is found once
    more and judged again. So whatever is used now and then while half as many new tokens come as there is room stays,
    and a flood of tokens that are used once passes through.

    Attributes:
        current: tokens that were judged by the state as it is. Look it up *before* you judge, and hand the same object
            to ``add``: had the state changed in between, it would no longer be the current one.
    """

    __slots__ = ("_aside", "_half", "_leaving", "_lock", "_size", "current")

    def __init__(self, size: int) -> None:
        self._size = size
        self._half = (size + 1) // 2
        self._lock = threading.Lock()
        self._aside: dict[str, VerifiedToken] = {}
        self._leaving: dict[str, VerifiedToken] = {}  # cannot be found any more; freed bit by bit, as thousands at once
        self.current: dict[str, VerifiedToken] = {}  # would keep somebody waiting for milliseconds

    def __len__(self) -> int:
        """Those that can be found."""
        return len(self.current) + len(self._aside.keys() - self.current.keys())

    def recall(self, token: str) -> VerifiedToken | None:
        """A token that has been put aside; whether it is revoked must be judged again."""
        return self._aside.get(token)

    def add(self, token: str, entry: VerifiedToken, judged: dict[str, VerifiedToken]) -> None:
        """Remember a token that was found good when ``judged`` was the current half, if it still is."""
        if judged is not self.current or self._size <= 0:
            return
        if len(judged) < self._half:
            judged[token] = entry  # should another thread have turned just now, this one is forgotten and no harm done
        else:
            with self._lock:
                if judged is self.current:
                    self._turn()
                    self.current[token] = entry
        if self._leaving:
            self._free_some()

    def discard(self, token: str) -> None:
        """Forget one token, if it is there."""
        with self._lock:
            self._aside.pop(token, None)
            self.current.pop(token, None)

    def turn(self) -> None:
        """Have every token judged again: the state has changed."""
        with self._lock:
            self._turn()

    def purge(self, is_gone: Callable[[VerifiedToken], bool]) -> None:
        """Forget every token of which this is true, and have the others judged again."""
        with self._lock:
            # Nobody who finds the new current half may still find what is gone, and put it there.
            self._aside = {token: entry for token, entry in self._aside.items() if not is_gone(entry)}
            self._aside |= {token: entry for token, entry in self.current.copy().items() if not is_gone(entry)}
            self.current = {}
            self._trim()

    def _turn(self) -> None:
        judged, self.current = self.current, {}
        room = self._size - self._half
        if len(judged) >= room:
            self._aside, self._leaving = judged, self._aside
        else:
            for token in judged:
                self._aside.pop(token, None)  # to stand behind those that nobody used
            self._aside.update(judged)
        self._trim()

    def _trim(self) -> None:
        for token in list(islice(self._aside, max(0, len(self._aside) - self._size + self._half))):
            del self._aside[token]

    def _free_some(self) -> None:
        try:
            self._leaving.popitem()
            self._leaving.popitem()
        except KeyError:  # another thread was quicker
            pass
