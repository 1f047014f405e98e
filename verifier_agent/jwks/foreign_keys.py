"""The keys of one foreign issuer: what is known, and when to ask again. No I/O, no clock, no waiting.

Only a good document changes what verifies. A refresh that fails takes nothing away, until ``max_stale`` has passed
since the last good one.
"""

import random as randomness
import threading
from collections.abc import Callable, Mapping
from typing import Final

from verifier_agent.jwks.document import ForeignKey, JwksDocument
from verifier_agent.jwks.errors import JwksFailed
from verifier_agent.jwks.settings import ForeignIssuer
from verifier_agent.jwks.unknown_kids import Missing, UnknownKids

_SPREAD: Final = 0.1
"""Part by which periods differ by chance, so that a fleet started at once does not stay in step."""


class ForeignKeys:
    """The keys of one issuer by ``kid``. ``find`` may be called from any thread, the rest from one.

    Attributes:
        issuer: its settings.
        keys: what verifies, by ``kid``; replaced as a whole, never changed, so a reader always sees one document.
        skipped: keys of the newest document that cannot be used, and why.
        usable_until: boot-time clock in seconds after which ``keys`` count no more: tokens verified before count no
            more either.
        epoch: moves when a key has ceased to verify or has become another.
        last_error: of the newest refresh; ``None`` when it was good.
        hits: keys found. From several threads at once this count may fall short.
        refreshes: good ones.
        failures: the others.
        on_wanted: called, from any thread, when somebody has come to wait for a refresh.
    """

    def __init__(self, issuer: ForeignIssuer, random: Callable[[], float] = randomness.random) -> None:
        """Know nothing yet, and want to.

        Args:
            issuer: whom to trust, and how often to ask.
            random: 0 to 1.
        """
        self.issuer = issuer
        self.keys: Mapping[str, ForeignKey] = {}
        self.skipped: Mapping[str, str] = {}
        self.usable_until = float("-inf")
        self.epoch = 0
        self.last_error: JwksFailed | None = None
        self.hits = self.refreshes = self.failures = 0
        self.on_wanted: Callable[[], None] | None = None
        self._random = random
        self._lock = threading.Lock()  # for what is missing; nobody waits while holding it
        self._unknown = UnknownKids(issuer.cool_down, random)
        self._due = self._not_before = float("-inf")
        self._started: float | None = None
        self._failed_in_a_row = 0

    # -- asked by verifiers

    def find(self, kid: str, now: float, caller: str | None = None) -> ForeignKey | Missing:
        """The key of this name, from memory.

        Args:
            kid: as an unverified token names it.
            now: boot-time clock, seconds.
            caller: who sent the token, best by its address: whoever names keys that do not exist must wait, and no
                other. Those who are not told apart wait together.
        """
        key = self.keys.get(kid)
        if key is not None and now < self.usable_until:
            self.hits += 1
            return key
        if now >= self.usable_until:
            return Missing.UNAVAILABLE
        with self._lock:
            if (key := self.keys.get(kid)) is not None:  # it has come just now
                return key
            before = self._unknown.wanted
            answer = self._unknown.ask(kid, caller, now)
            first = self._unknown.wanted and not before
        if first and self.on_wanted is not None:
            self.on_wanted()
        return answer

    @property
    def negative_hits(self) -> int:
        """How often a ``kid`` known to be absent was asked for again."""
        return self._unknown.negative_hits

    @property
    def refused_by_cool_down(self) -> int:
        """How often a caller was told to wait."""
        return self._unknown.refused_by_cool_down

    # -- asked and told by who refreshes

    @property
    def in_flight(self) -> bool:
        """Whether a refresh is under way."""
        return self._started is not None

    def next_refresh(self) -> float:
        """When to refresh, on the clock of ``now``; infinite while a refresh is under way.

        It is due by its period, or because somebody waits for it; but never sooner after the last than ``spacing``,
        nor before a failure's pause is over.
        """
        if self._started is not None:
            return float("inf")
        return max(float("-inf") if self._unknown.wanted else self._due, self._not_before)

    def wants_refresh(self, now: float) -> bool:
        """Whether to refresh now."""
        return self.next_refresh() <= now

    def begin(self, now: float) -> None:
        """A refresh starts: the only one.

        Raises:
            RuntimeError: there is one under way.
        """
        if self._started is not None:
            raise RuntimeError("a refresh is under way")
        self._started = now
        self._not_before = now + self.issuer.spacing

    def refreshed(self, document: JwksDocument, max_age: float | None, now: float) -> frozenset[str]:
        """The refresh brought a good document. What is not in it verifies no more, from now on.

        Args:
            document: what it says.
            max_age: seconds for which it is fresh; ``None`` when nothing was said.
            now: boot-time clock, seconds.

        Returns:
            The ``kid``s that have ceased to verify or are other keys by now: tokens of theirs must be verified anew.
        """
        known = self.keys
        keys = {kid: known[kid] if known.get(kid) == key else key for kid, key in document.keys.items()}
        gone = frozenset(kid for kid, key in known.items() if keys.get(kid) is not key)
        with self._lock:
            self.keys, self.skipped = keys, document.skipped
            self.epoch += bool(gone)
            for kid in gone - keys.keys():
                self._unknown.hold_absent(kid, now)  # old tokens still name it; they are not worth a refresh
        self._succeeded(max_age, now)
        return gone

    def confirmed(self, max_age: float | None, now: float) -> None:
        """The refresh brought word that the last document is still the newest."""
        self._succeeded(max_age, now)

    def failed(self, error: JwksFailed, now: float) -> None:
        """The refresh brought nothing. Everything stays; the pauses grow up to ``cool_down``, in part by chance."""
        self.failures += 1
        self.last_error = error
        self._failed_in_a_row += 1
        pause = min(self.issuer.spacing * 2 ** min(self._failed_in_a_row, 32), self.issuer.cool_down)
        self._not_before = max(self._not_before, now + pause * (1 + self._random()) / 2)
        self._started = None

    def abandoned(self) -> None:
        """The refresh was given up, as at the end of a program."""
        self._started = None

    def _succeeded(self, max_age: float | None, now: float) -> None:
        started = now if self._started is None else self._started
        low, high = self.issuer.min_refresh, self.issuer.max_refresh
        period = high if max_age is None else min(max(max_age, low), high)
        shortest, longest = max(low, period * (1 - _SPREAD)), min(high, period * (1 + _SPREAD))
        with self._lock:
            self._unknown.settle(self.keys, started, now)
        self._due = started + shortest + (longest - shortest) * self._random()
        self.usable_until = started + self.issuer.max_stale
        self.refreshes += 1
        self.last_error, self._failed_in_a_row, self._started = None, 0, None
