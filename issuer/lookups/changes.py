"""How every replica hears that a client or a user has changed: a counter that moves in the transaction of the change.

Each replica's own agent reads the counters in the statement by which it looks for new events, twenty times a second, so
whoever knows a revocation knows every change that was made before it.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.elements import ColumnElement

from issuer.lookups.lookups import Lookups
from issuer.store.schema import changes


class Kind(StrEnum):
    """What is looked up; each has a row."""

    CLIENT = "client"
    USER = "user"


async def note_change(connection: AsyncConnection, kind: Kind, name: str) -> None:
    """Tell every replica, in the transaction that makes the change.

    It comes first in there, as its row stays locked to the commit: so all take their locks in one order, and of two
    changes of one kind the numbers are in the order of their commits.

    Args:
        connection: of that transaction.
        kind: of what is changed, added or taken away.
        name: by which it is looked up.
    """
    await connection.execute(
        update(changes).where(changes.c.kind == kind.value).values(number=changes.c.number + 1, name=name)
    )


class Changes:
    """Lets go of what others have changed."""

    def __init__(self, lookups: Mapping[Kind, Lookups[Any]]) -> None:
        """Set up.

        Args:
            lookups: what is held here, by kind.
        """
        self._lookups = lookups
        self._heard: dict[Kind, int] = {}

    @property
    def columns(self) -> Sequence[ColumnElement[Any]]:
        """What to read of the store, together with whatever rests on it."""
        return [
            select(column).where(changes.c.kind == kind.value).scalar_subquery()
            for kind in self._lookups
            for column in (changes.c.number, changes.c.name)
        ]

    def hear(self, values: Sequence[Any]) -> None:
        """Take note of what ``columns`` were.

        Of one change since the last time it is known what it was. After several, or when the store has gone back to an
        older state, everything of the kind may be another.
        """
        for place, (kind, lookups) in enumerate(self._lookups.items()):
            number, name = values[2 * place : 2 * place + 2]
            before, self._heard[kind] = self._heard.get(kind), number
            if number == before:
                continue
            if before is not None and number == before + 1:
                lookups.drop(name)
            else:
                lookups.clear()
