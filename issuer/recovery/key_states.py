"""The token keys after a recovery, at the safest reading of what store and log say of them."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from events import KeySet, KeyState, PublishedKey
from issuer.keys.vault import TOKEN_KEY, KeyVault
from issuer.store.database import Database
from issuer.store.schema import keys

_LIFE = (KeyState.PENDING, KeyState.ACTIVE, KeyState.RETIRING, KeyState.RETIRED, KeyState.REVOKED)


class KeyChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the token keys.

    Attributes:
        moved: ``kid`` to the state that a key of the store enters.
        adopted: keys of the log alone, whose private halves are lost: what they have signed verifies on.
        promoted: standby keys that sign from now on, as nobody else does.
        wanted: algorithm and state of each key that has to be made.
    """

    moved: dict[str, KeyState]
    adopted: tuple[PublishedKey, ...]
    promoted: tuple[str, ...]
    wanted: tuple[tuple[str, KeyState], ...]


def plan_keys(
    held: Mapping[str, PublishedKey], heard: Iterable[KeySet], newest: KeySet | None, algorithms: Sequence[str]
) -> KeyChanges:
    """The later state of each key wins, and a revocation over everything.

    Args:
        held: the keys of the store, by ``kid``.
        heard: every key set that either history holds.
        newest: the newest one in the log.
        algorithms: for which somebody must sign and somebody stand by.
    """
    revoked = {key.kid for key_set in heard for key in key_set.keys if key.state is KeyState.REVOKED}
    told = {key.kid: key for key in newest.keys} if newest else {}
    after: dict[str, KeyState] = {}
    for kid, key in held.items():
        after[kid] = max(key.state, told[kid].state if kid in told else key.state, key=_LIFE.index)
        if kid in revoked:
            after[kid] = KeyState.REVOKED
    adopted = [_without_private_half(key, revoked) for kid, key in told.items() if kid not in held]
    promoted, wanted = [], []
    for alg in algorithms:
        of_alg = [kid for kid in held if held[kid].alg == alg]
        standby = [kid for kid in of_alg if after[kid] is KeyState.PENDING]
        if not any(after[kid] is KeyState.ACTIVE for kid in of_alg):
            if standby:
                promoted.append(standby.pop(0))
            else:
                wanted.append((alg, KeyState.ACTIVE))
        if not standby:
            wanted.append((alg, KeyState.PENDING))
    return KeyChanges(
        moved={kid: state for kid, state in after.items() if state is not held[kid].state},
        adopted=tuple(adopted),
        promoted=tuple(promoted),
        wanted=tuple(wanted),
    )


def _without_private_half(key: PublishedKey, revoked: set[str]) -> PublishedKey:
    state = KeyState.REVOKED if key.kid in revoked else max(key.state, KeyState.RETIRING, key=_LIFE.index)
    return msgspec.structs.replace(key, state=state)


async def held_keys(connection: AsyncConnection) -> dict[str, PublishedKey]:
    """The token keys of the store, oldest first."""
    query = select(keys).where(keys.c.use == TOKEN_KEY).order_by(keys.c.created_at, keys.c.kid)
    return {
        row["kid"]: PublishedKey(kid=row["kid"], alg=row["alg"], state=KeyState(row["state"]), jwk=row["public_jwk"])
        for row in (await connection.execute(query)).mappings()
    }


async def change_keys(connection: AsyncConnection, database: Database, vault: KeyVault, changes: KeyChanges) -> None:
    """Carry it out."""
    states = {**changes.moved, **dict.fromkeys(changes.promoted, KeyState.ACTIVE)}
    for kid, state in states.items():
        await connection.execute(
            update(keys).where(keys.c.kid == kid).values(state=state.value, changed_at=database.time())
        )
    for key in changes.adopted:  # sealed is the public half alone: there is no other
        public_half = {**(key.jwk or {}), "kid": key.kid, "alg": key.alg}
        await vault.add(connection, await vault.seal(public_half, TOKEN_KEY), key.state)
    for alg, state in changes.wanted:
        await vault.add(connection, await vault.generate(alg), state)
