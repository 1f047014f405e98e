"""Token keys as the store has them: what is asked of their rows in a transaction."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from events import KeyState
from issuer.errors import Conflict
from issuer.keys.exchange import same_key
from issuer.keys.generation import Jwk
from issuer.keys.life_cycle import TokenKey
from issuer.keys.vault import TOKEN_KEY
from issuer.store.schema import keys

MOST_RETIRED: Final = 500
"""Retired keys in a key set: it is one event, and keys that rotate themselves would fill it in time."""


async def token_key_rows(connection: AsyncConnection) -> Sequence[RowMapping]:
    """The rows of all token keys, oldest first."""
    query = select(keys).where(keys.c.use == TOKEN_KEY).order_by(keys.c.created_at, keys.c.kid)
    return (await connection.execute(query)).mappings().all()


async def token_keys(connection: AsyncConnection) -> list[TokenKey]:
    """All token keys as the rules of their life see them, oldest first."""
    return [
        TokenKey(
            kid=row["kid"],
            alg=row["alg"],
            state=KeyState(row["state"]),
            changed_at=row["changed_at"],
            published_seq=row["published_seq"] or 0,
            signatures=row["signatures"],
            due_since=row["due_since"],
            due_reason=row["due_reason"],
            created_at=row["created_at"],
            rank=row["list_rank"],
        )
        for row in await token_key_rows(connection)
    ]


async def known_keys(connection: AsyncConnection) -> Sequence[Mapping[str, Any]]:
    """Every key that is or was here, with what tells it from others."""
    query = select(keys.c.kid, keys.c.use, keys.c.state, keys.c.public_jwk)
    return [dict(row) for row in (await connection.execute(query)).mappings()]


async def refuse_known(connection: AsyncConnection, jwk: Jwk) -> None:
    """Make sure that neither a name nor a key is used twice, also of keys that are retired or revoked.

    Raises:
        Conflict: one is; the message names the key that is there, and its state.
    """
    for row in await known_keys(connection):
        if row["kid"] == jwk["kid"]:
            raise Conflict(f"there is a key {row['kid']} already ({row['use']}, {row['state']}): a kid is used once")
        if same_key(row["public_jwk"], jwk):
            raise Conflict(renamed(row))


def renamed(row: Mapping[str, Any]) -> str:
    """What is said of a key that is there under another name."""
    return f"it is the key {row['kid']} ({row['use']}, {row['state']}), which a new name does not change"


def told(rows: Sequence[RowMapping]) -> list[RowMapping]:
    """The keys that a key set names: all but the oldest retired ones, whose tokens have long been dead."""
    retired = sorted((row["changed_at"], row["kid"]) for row in rows if row["state"] == KeyState.RETIRED)
    forgotten = {kid for _, kid in retired[:-MOST_RETIRED]}
    return [row for row in rows if row["kid"] not in forgotten]
