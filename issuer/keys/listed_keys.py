"""Puts the list of configuration into force: in the store, by the replica that leads, for everybody.

What counts is what the store has: each replica rotates, revokes and tells by that, whatever its own file says.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from events import KeyState, SignedEvent
from issuer.keys.key_list import ListedKey
from issuer.keys.key_rows import known_keys, token_keys
from issuer.keys.key_service import KeyService, Leader
from issuer.keys.list_opening import ListOpening, refuse_reused
from issuer.keys.listing import REMOVED, Listing, Wanted, listing
from issuer.keys.vault import KeyVault, SealedKey, one_at_a_time
from issuer.store.database import Database
from issuer.store.schema import keys

log = logging.getLogger(__name__)

ACTOR: Final = "configuration"


class ListedKeys:
    """The keys of the list, in the store."""

    def __init__(self, database: Database, vault: KeyVault, service: KeyService, opening: ListOpening) -> None:
        """Set up.

        Args:
            database: keeps the keys.
            vault: likewise.
            service: says what has become of them.
            opening: opens entries.
        """
        self._database = database
        self._vault = vault
        self._service = service
        self._opening = opening

    async def first_ever(self, listed: Sequence[ListedKey]) -> Mapping[str, SealedKey]:
        """By algorithm the first of the list, where nobody has ever heard of it: it may begin to sign as any first key.

        Raises:
            SettingInvalid, WrapperUnavailable: as ``ListOpening.open``, and for a name or key that is used already.
        """
        opened = await self._opening.open(listed)
        async with self._database.read() as connection:
            known = await known_keys(connection)
        refuse_reused(listed, opened, known)
        there = {row["kid"] for row in known}
        first: dict[str, SealedKey] = {}
        for key in opened:
            first.setdefault(key.jwk["alg"], key)
        return {alg: key for alg, key in first.items() if key.jwk["kid"] not in there}

    async def apply(self, listed: Sequence[ListedKey], leader: Leader) -> SignedEvent | None:
        """Put a list into force, once; the event that tells of new keys, if there is anything to tell.

        Which key signs is not changed here: that is due from now on, and waits for those who verify as any rotation.

        Args:
            listed: in its order; empty when the vault's own keys are to sign again.
            leader: this replica leads, which is held in the transaction.

        Raises:
            SettingInvalid: as ``first_ever``; nothing was done.
            WrapperUnavailable: what holds a key-encryption key does not answer.
            LeadershipLost: another replica leads by now.
        """
        opened = await self._opening.open(listed)
        wanted = [Wanted(key.kid, key.alg) for key in listed]
        async with self._database.read() as connection:
            if await self._plan(connection, wanted) is None:
                return None
        async with self._database.write() as connection:
            await leader.confirm(connection)
            await one_at_a_time(connection)
            refuse_reused(listed, opened, await known_keys(connection))
            change = await self._plan(connection, wanted)
            if change is None:
                return None
            await self._carry_out(connection, change, {key.jwk["kid"]: key for key in opened})
            order = ", ".join(change.ranks) or "none"
            log.info("key_list_in_force", extra={"kids": list(change.ranks), "removed": list(change.unlisted)})
            for kid, state in change.passed_over.items():
                log.error("listed_key_passed_over", extra={"kid": kid, "state": str(state)})
            if not change.tells:
                return None
            return await self._service.say_again(connection, reason=f"signing_keys: {order}", actor=ACTOR)

    async def _plan(self, connection: AsyncConnection, wanted: Sequence[Wanted]) -> Listing | None:
        return listing(await token_keys(connection), wanted)

    async def _carry_out(self, connection: AsyncConnection, change: Listing, opened: Mapping[str, SealedKey]) -> None:
        async def note(kid: str, **values: object) -> None:
            await connection.execute(update(keys).where(keys.c.kid == kid).values(values))

        for kid in change.added:
            await self._vault.add(connection, opened[kid], KeyState.PENDING)
        for kid in change.unlisted:
            await note(kid, list_rank=None)
        for kid, rank in change.ranks.items():
            await note(kid, list_rank=rank)
        for kid in change.retiring:
            await note(kid, state=KeyState.RETIRING.value, changed_at=self._database.time())
        for kid in change.due:
            await note(kid, due_since=self._database.time(), due_reason=REMOVED)
        for kid in change.undue:
            await note(kid, due_since=None, due_reason="")
