"""What a list of configuration changes in the keys of the store, as a rule without I/O or clock.

The list says which keys are in it and in what order. When the first of them may sign is the life cycle's to say.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from events import KeyState
from issuer.keys.life_cycle import TokenKey

REMOVED: Final = "it stands in signing_keys no more"


class Wanted(msgspec.Struct, frozen=True):
    """A key of the list."""

    kid: str
    alg: str


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done.

    Attributes:
        added: keys that the store does not have; they become standbys.
        ranks: ``kid`` of each listed key to its place.
        unlisted: keys that are in the list no more.
        retiring: those of them that stood by: they may have signed elsewhere, and verify until that has expired.
        due: the one of them that signs, and is to give way.
        undue: keys that sign and are not to give way for the reason that was noted.
        passed_over: ``kid`` of listed keys that are revoked or have retired, which is for good, to their state.
    """

    added: tuple[str, ...] = ()
    ranks: dict[str, int] = {}
    unlisted: tuple[str, ...] = ()
    retiring: tuple[str, ...] = ()
    due: tuple[str, ...] = ()
    undue: tuple[str, ...] = ()
    passed_over: dict[str, KeyState] = {}

    @property
    def tells(self) -> bool:
        """Whether it changes what a key set says."""
        return bool(self.added or self.retiring)


def listing(keys: Sequence[TokenKey], wanted: Sequence[Wanted]) -> Listing | None:
    """What a list changes; ``None`` where it is in force already.

    Args:
        keys: all token keys.
        wanted: the list, which names each key once.
    """
    known = {key.kid: key for key in keys}
    passed_over = {
        each.kid: known[each.kid].state
        for each in wanted
        if each.kid in known and known[each.kid].state in (KeyState.RETIRED, KeyState.REVOKED)
    }
    ranks = {each.kid: rank for rank, each in enumerate(wanted) if each.kid not in passed_over}
    before = {key.kid: key.rank for key in keys if key.rank is not None}
    if ranks == before:
        return None
    gone = [known[kid] for kid in before if kid not in ranks]
    listed_algorithms = {each.alg for each in wanted if each.kid in ranks}
    signing = [key for key in keys if key.state is KeyState.ACTIVE and key.due_since is not None]
    return Listing(
        added=tuple(kid for kid in ranks if kid not in known),
        ranks=ranks,
        unlisted=tuple(key.kid for key in gone),
        retiring=tuple(key.kid for key in gone if key.state is KeyState.PENDING),
        due=tuple(key.kid for key in gone if key.state is KeyState.ACTIVE and key.alg not in listed_algorithms),
        undue=tuple(key.kid for key in signing if key.alg in listed_algorithms),
        passed_over=passed_over,
    )
