"""What to do about a ``kid`` that is in no document: known to be absent, worth a refresh, or asked too often.

Anybody can put any ``kid`` into a token, and nothing of it is verified before its key is found. So everything here is
bounded, and who named a key that did not exist has to wait, not who comes after him.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Container
from enum import Enum
from typing import Final, NamedTuple

from verifier_agent.expiring_names import ExpiringNames
from verifier_agent.jwks.document import MAX_KID_CHARS

MAX_ABSENT: Final = 1024
MAX_CALLERS: Final = 4096
MAX_WANTED: Final = 256
MAX_WANTED_BY_CALLER: Final = 16
_MAX_CALLER_CHARS: Final = 128


class Missing(Enum):
    """Why there is no key.

    ``UNKNOWN``: a document that was asked for after this ``kid`` had been named does not have it.
    ``PERHAPS``: a refresh is on its way; ask again after it.
    ``COOLING_DOWN``: perhaps, but the caller has named too many that did not exist; ask again later.
    ``UNAVAILABLE``: no document is known, or it is too old.
    """

    UNKNOWN = "unknown"
    PERHAPS = "perhaps"
    COOLING_DOWN = "cooling_down"
    UNAVAILABLE = "unavailable"


class _Asked(NamedTuple):
    caller: str
    at: float


class UnknownKids:
    """The unknown ``kid``s of one issuer.

    Attributes:
        negative_hits: how often a ``kid`` known to be absent was asked for again.
        refused_by_cool_down: how often nothing was done for a caller who had named too many.
    """

    def __init__(self, cool_down: float, random: Callable[[], float]) -> None:
        """Know nothing.

        Args:
            cool_down: seconds for which who named a key that did not exist causes no further refresh; up to half as
                much again, by chance. The key is held to be absent for as long, up to twice.
            random: 0 to 1.
        """
        self.negative_hits = 0
        self.refused_by_cool_down = 0
        self._cool_down = cool_down
        self._random = random
        self._absent = ExpiringNames(MAX_ABSENT)
        self._cooling = ExpiringNames(MAX_CALLERS)
        self._wanted: dict[str, _Asked] = {}
        self._wanted_by: Counter[str] = Counter()

    @property
    def wanted(self) -> bool:
        """Whether a refresh would tell somebody something."""
        return bool(self._wanted)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How many are held: absent ``kid``s, callers who must wait, ``kid``s waiting for a refresh."""
        return len(self._absent), len(self._cooling), len(self._wanted)

    def ask(self, kid: str, caller: str | None, now: float) -> Missing:
        """What to answer for a ``kid`` that no document has.

        1 wanted already: who asks for the same waits for the same refresh · 2 known to be absent · 3 the caller's
        share · 4 wanted from now on; when too many are, the refresh that comes will show it all the same.
        """
        if kid in self._wanted:  # 1
            return Missing.PERHAPS
        if len(kid) > MAX_KID_CHARS or self._absent.holds(kid, now):  # 2; no document has longer ones
            self.negative_hits += 1
            return Missing.UNKNOWN
        name = _caller_name(caller)
        if self._cooling.holds(name, now) or self._wanted_by[name] >= MAX_WANTED_BY_CALLER:  # 3
            self.refused_by_cool_down += 1
            return Missing.COOLING_DOWN
        if len(self._wanted) < MAX_WANTED:  # 4
            self._wanted[kid] = _Asked(name, now)
            self._wanted_by[name] += 1
        return Missing.PERHAPS

    def settle(self, keys: Container[str], started: float, now: float) -> None:
        """Judge what was wanted by a document that was asked for at ``started``.

        What was named since then stays wanted, unless by a caller who must wait from now on.
        """
        late: dict[str, _Asked] = {}
        for kid, asked in self._wanted.items():
            if kid in keys:
                continue
            if asked.at > started:
                late[kid] = asked
            else:
                self.hold_absent(kid, now)
                self._cooling.add(asked.caller, now + self._cool_down * (1 + self._random() / 2))
        self._wanted = {kid: asked for kid, asked in late.items() if not self._cooling.holds(asked.caller, now)}
        self._wanted_by = Counter(asked.caller for asked in self._wanted.values())

    def hold_absent(self, kid: str, now: float) -> None:
        """Answer for a while that this ``kid`` is unknown."""
        self._absent.add(kid, now + self._cool_down * (1 + self._random()))


def _caller_name(caller: str | None) -> str:
    """A name of bounded length; those who are not told apart share one."""
    if caller is None:
        return ""
    if len(caller) <= _MAX_CALLER_CHARS:
        return "=" + caller
    return "#" + hashlib.sha256(caller.encode("utf-8", "surrogatepass")).hexdigest()
