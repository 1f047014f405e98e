"""Token keys: a standby is always published ahead, so a rotation or an emergency is one transaction.

Every change of a key writes the whole new key set to the outbox in the same transaction.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from events import KeySet, KeyState, PublishedKey, SignedEvent, Stream
from issuer.errors import Conflict, NotFound
from issuer.fleet.registry import read_members
from issuer.keys.generation import PrivateJwk
from issuer.keys.key_rows import refuse_known, token_key_rows, token_keys, told
from issuer.keys.life_cycle import (
    KeyPolicy,
    Postpone,
    Retire,
    Rotate,
    Situation,
    Step,
    TokenKey,
    gate,
    heir,
    listed_first,
    steps,
)
from issuer.keys.listing import REMOVED
from issuer.keys.signing_keys import SigningKeys
from issuer.keys.vault import TOKEN_KEY, KeyVault, SealedKey, one_at_a_time
from issuer.outbox.outbox import MAX_ACTOR, MAX_REASON, Outbox, published_mark
from issuer.store.database import Database
from issuer.store.schema import keys, streams

log = logging.getLogger(__name__)

NO_STANDBY: Final = "there is no standby key for {alg} yet: it is made a moment after the one before was used up"


class Leader(Protocol):
    """Whether this replica is the one that rotates by policy, see ``issuer.leadership``."""

    @property
    def leads(self) -> bool:
        """Whether it did when it last asked."""

    async def confirm(self, connection: AsyncConnection) -> None:
        """Hold it in the caller's transaction.

        Raises:
            LeadershipLost: it does not any more.
        """


class KeyService:
    """Life of the token keys.

    Attributes:
        signing: the private halves of those that sign.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        vault: KeyVault,
        algorithms: Sequence[str],
        policy: Callable[[], KeyPolicy] = KeyPolicy,
    ) -> None:
        """Set up.

        Args:
            database: keeps the keys.
            outbox: what becomes of them is told there.
            vault: has the private halves.
            algorithms: for which there are keys; the first is the default.
            policy: what a rotation waits for, and when one is due, at this moment.
        """
        self._policy = policy
        self._database = database
        self._outbox = outbox
        self._vault = vault
        self._algorithms = tuple(algorithms)
        self.signing = SigningKeys(database, vault, algorithms)

    async def initialise(self, given: Mapping[str, SealedKey] | None = None) -> None:
        """Make an active and a standby key for each algorithm that has none.

        Args:
            given: by algorithm, a key that is not in the store and is to be the active one.
        """
        async with self._database.read() as connection:
            missing = await self._missing(connection)
        first = {alg: (given or {}).get(alg) or await self._vault.generate(alg) for alg in missing}
        fresh = {alg: (active, await self._vault.generate(alg)) for alg, active in first.items()}
        async with self._database.write() as connection:
            await one_at_a_time(connection)
            missing = await self._missing(connection)  # another process may have made them meanwhile
            for alg in missing:
                active, standby = fresh[alg]
                await self._vault.add(connection, active, KeyState.ACTIVE)
                await self._vault.add(connection, standby, KeyState.PENDING)
            if missing:
                await self._publish(connection, reason="first keys", actor="system")

    async def rotate(self, alg: str | None, *, reason: str, actor: str, force: bool = False) -> SignedEvent:
        """Let the standby sign from now on; what the old key signed still verifies.

        Args:
            alg: which algorithm's key; the default one's when absent.
            reason: for the audit trail.
            actor: for the audit trail.
            force: also when not everybody knows the standby, and some will refuse what it signs until they do.

        Raises:
            NotFound: there are no keys for this algorithm.
            Conflict: the standby waits for somebody, who is named, and it is not forced; or the list of configuration
                says which key signs, and that one does.
            ValueError: as ``Outbox.append``.
        """
        alg = alg or self._algorithms[0]
        self._check_algorithm(alg)
        async with self._database.read() as connection:
            by_list = (await self._situation(connection, 0.0)).governed_by_list(alg)
        standby = None if by_list else await self._vault.generate(alg)
        async with self._database.write(urgent=True) as connection:
            await one_at_a_time(connection)
            situation = await self._situation(connection, 0.0)
            _refuse_against_list(situation, alg)
            why_not = self._why_not(situation, alg)
            if why_not and not (force and situation.heir(alg)):
                raise Conflict(why_not)
            if why_not:
                reason = f"{reason} (forced: {why_not})" if len(reason) + len(why_not) < MAX_REASON - 16 else reason
                log.warning("key_rotation_forced", extra={"alg": alg, "past": why_not})
            await self._succeed(connection, alg, standby)
            return await self._publish(connection, reason=reason, actor=actor)

    async def why_not(self, alg: str | None = None) -> str:
        """What the standby of an algorithm waits for, in words; nothing when it may sign.

        Raises:
            NotFound: there are no keys for this algorithm.
        """
        self._check_algorithm(alg or self._algorithms[0])
        async with self._database.read() as connection:
            return self._why_not(await self._situation(connection, 0.0), alg or self._algorithms[0])

    async def advance(self, *, dead_before: float, leader: Leader) -> SignedEvent | None:
        """Do what is due in the life of the keys; the event that tells of it, if there is anything to tell.

        It is decided twice: before new keys are made, which takes a while, and in the transaction that does it, under
        the lock on the counter row. Where the head of the key events has moved meanwhile, another replica has decided,
        and nothing is done: so one rotation is due once, however many replicas find it due.

        Args:
            dead_before: tokens of keys that ceased to sign before then have expired; seconds, by the store's clock.
            leader: says whether this replica may rotate, and again in the transaction that does; any may retire.

        Raises:
            LeadershipLost: another replica leads by now; nothing was done.
        """
        await self.signing.count()
        async with self._database.read() as connection:
            based_on, planned = await self._plan(connection, dead_before, leads=leader.leads)
        if not planned:
            return None
        rotations = [step for step in planned if isinstance(step, Rotate)]
        fresh = {step.alg: None if step.listed else await self._vault.generate(step.alg) for step in rotations}
        rotates = any(not isinstance(step, Retire) for step in planned)
        async with self._database.write() as connection:
            if rotates:
                await leader.confirm(connection)
            await one_at_a_time(connection)
            head, planned = await self._plan(connection, dead_before, leads=rotates)
            if head != based_on:
                log.info("key_decision_overtaken", extra={"based_on": based_on, "head": head})
                return None
            return await self._take_steps(connection, planned, fresh)

    async def revoke(self, kid: str, *, reason: str, actor: str) -> SignedEvent:
        """Revoke a key, with every token that it signed, for good. If it was the one that signs, the standby does now.

        It waits for no key to be made: the next standby is ``replenish``'s. Only where there is none to sign, as when
        one key after the other is revoked, the next one is made first, and verifiers hear of it as it begins to sign.

        Raises:
            NotFound: no token key has this ``kid``.
            Conflict: it is revoked already.
            WrapperUnavailable: a key has to be made, and what holds the key-encryption key does not answer.
            ValueError: as ``Outbox.append``.
        """
        fresh: SealedKey | None = None
        while True:
            async with self._database.write(urgent=True) as connection:
                await one_at_a_time(connection)
                there = await token_keys(connection)
                key = next((key for key in there if key.kid == kid), None)
                if key is None:
                    raise NotFound(f"no token key has the kid {kid!r}")
                if key.state is KeyState.REVOKED:
                    raise Conflict(f"key {kid} is revoked already")
                signs, following = key.state is KeyState.ACTIVE, heir(there, key.alg)
                if not signs or following is not None or fresh is not None:
                    await self._move(connection, kid, KeyState.REVOKED)
                    await connection.execute(update(keys).where(keys.c.kid == kid).values(list_rank=None))
                    if signs and following is not None:
                        await self._move(connection, following.kid, KeyState.ACTIVE)
                    elif signs and fresh is not None:
                        await self._vault.add(connection, fresh, KeyState.ACTIVE)
                    return await self._publish(connection, reason=reason, actor=actor)
            fresh = await self._vault.generate(key.alg)

    async def replenish(self) -> SignedEvent | None:
        """Make the standby keys that are missing, as after an emergency; the event that tells of them, if any.

        Raises:
            WrapperUnavailable: what holds the key-encryption key still does not answer.
        """
        async with self._database.read() as connection:
            missing = await self._missing(connection, KeyState.PENDING)
        fresh = {alg: await self._vault.generate(alg) for alg in missing}
        if not fresh:
            return None
        async with self._database.write() as connection:
            await one_at_a_time(connection)
            missing = await self._missing(connection, KeyState.PENDING)  # another replica may have made them meanwhile
            for alg in fresh.keys() & set(missing):
                await self._vault.add(connection, fresh[alg], KeyState.PENDING)
            if not missing:
                return None
            return await self._publish(connection, reason="a standby was missing", actor="system")

    async def take_in(self, jwk: PrivateJwk, *, reason: str, actor: str, verify_only: bool = False) -> SignedEvent:
        """Add a key that was made elsewhere.

        Args:
            jwk: the key, with its ``kid``.
            reason: for the audit trail.
            actor: for the audit trail.
            verify_only: it never signs here, and is retired when the longest token that it may have signed until now
                has expired. Else it is a standby, which signs after those that are there already.

        Raises:
            NotFound: it is to sign, and there are no keys for its algorithm.
            Conflict: there is or was a key with its ``kid``, or it is a key that is or was here under another.
            WrapperUnavailable: what holds the key-encryption key does not answer.
            ValueError: as ``Outbox.append``.
        """
        if not verify_only:
            self._check_algorithm(jwk["alg"])
        sealed = await self._vault.seal(jwk, TOKEN_KEY)
        async with self._database.write() as connection:
            await one_at_a_time(connection)
            await refuse_known(connection, jwk)
            await self._vault.add(connection, sealed, KeyState.RETIRING if verify_only else KeyState.PENDING)
            return await self._publish(connection, reason=reason, actor=actor)

    async def give_out(self, kid: str, *, reason: str, actor: str) -> PrivateJwk:
        """A private key, when the audit trail says who took it out.

        Raises:
            NotFound: there is no such key, or its private half is lost.
            SealBroken: it cannot be unsealed.
            WrapperUnavailable: what holds the key-encryption key does not answer.
            ValueError: as ``Outbox.append``.
        """
        jwk = await self._vault.private_key(kid)
        async with self._database.write() as connection:
            await one_at_a_time(connection)
            await self._publish(connection, reason=f"private key {kid} exported: {reason}", actor=actor)
        return jwk

    async def say_again(self, connection: AsyncConnection, *, reason: str, actor: str) -> SignedEvent:
        """Say the key set as it stands, in the transaction of somebody who has changed it; a long reason is cut."""
        return await self._publish(connection, reason=reason[:MAX_REASON], actor=actor)

    async def listed(self) -> list[TokenKey]:
        """The keys of the list of configuration that is in force, in its order."""
        async with self._database.read() as connection:
            found = await token_keys(connection)
        return sorted((key for key in found if key.rank is not None), key=lambda key: key.rank or 0)

    async def has_list_settled(self) -> bool:
        """Whether the keys sign that are to sign by the list of configuration, and none that it has no more."""
        async with self._database.read() as connection:
            found = await token_keys(connection)
        signing = [(key, listed_first(found, key.alg)) for key in found if key.state is KeyState.ACTIVE]
        return not any(first not in (None, key) or key.due_reason == REMOVED for key, first in signing)

    def _check_algorithm(self, alg: str) -> None:
        if alg not in self._algorithms:
            raise NotFound(f"there are no keys for {alg}; there are for {', '.join(self._algorithms)}")

    async def _situation(self, connection: AsyncConnection, dead_before: float) -> Situation:
        members, now = await read_members(connection, self._database)
        return Situation(
            keys=await token_keys(connection),
            published=await published_mark(connection, Stream.KEYS),
            members=members,
            now=now,
            dead_before=dead_before,
        )

    def _why_not(self, situation: Situation, alg: str) -> str:
        standby = situation.heir(alg)
        return NO_STANDBY.format(alg=alg) if standby is None else gate(standby, situation, self._policy()).why_not

    async def _plan(self, connection: AsyncConnection, dead_before: float, *, leads: bool) -> tuple[int, list[Step]]:
        """What is due, and the head of the key events that this is based on."""
        head: int = (
            await connection.execute(select(streams.c.head).where(streams.c.stream == Stream.KEYS))
        ).scalar_one()
        found = steps(await self._situation(connection, dead_before), self._policy())
        return head, [step for step in found if leads or isinstance(step, Retire)]

    async def _take_steps(
        self, connection: AsyncConnection, planned: Sequence[Step], fresh: Mapping[str, SealedKey | None]
    ) -> SignedEvent | None:
        reasons = []
        for step in planned:
            if isinstance(step, Postpone):
                log.warning("key_rotation_waits", extra={"kid": step.kid, "due": step.reason, "why": step.why_not})
                await connection.execute(
                    update(keys)
                    .where(keys.c.kid == step.kid)
                    .values(due_since=self._database.time(), due_reason=step.reason[:256])
                )
            elif isinstance(step, Retire):
                await self._move(connection, step.kid, KeyState.RETIRED)
                reasons.append(step.reason)
            elif step.alg in fresh:
                await self._succeed(connection, step.alg, fresh[step.alg])
                reasons.append(step.reason)
                log.info("key_rotated", extra={"alg": step.alg, "reason": step.reason})
        if not reasons:
            return None
        reason = "; ".join(dict.fromkeys(reasons))[:MAX_REASON]
        return await self._publish(connection, reason=reason, actor="system")

    async def _succeed(self, connection: AsyncConnection, alg: str, standby: SealedKey | None) -> None:
        """Let the heir sign in the place of the key that does, and have another standby where one was used up."""
        there = await token_keys(connection)
        found = heir(there, alg)
        if found is None:
            raise Conflict(NO_STANDBY.format(alg=alg))
        for key in there:
            if key.alg == alg and key.state is KeyState.ACTIVE:
                await self._move(connection, key.kid, KeyState.RETIRING)
        await self._move(connection, found.kid, KeyState.ACTIVE)
        if standby is not None and found.rank is None:
            await self._vault.add(connection, standby, KeyState.PENDING)

    async def _missing(self, connection: AsyncConnection, state: KeyState = KeyState.ACTIVE) -> list[str]:
        """The algorithms that have no key in a state; of standbys, none of the vault's own."""
        # An imported key may verify alone, so that its algorithm has keys and none that signs.
        there = [key for key in await token_keys(connection) if key.state is state]
        have = {key.alg for key in there if state is not KeyState.PENDING or key.rank is None}
        return [alg for alg in self._algorithms if alg not in have]

    async def _move(self, connection: AsyncConnection, kid: str, state: KeyState) -> None:
        entered = {"state": state.value, "changed_at": self._database.time(), "due_since": None, "due_reason": ""}
        await connection.execute(update(keys).where(keys.c.kid == kid).values(entered))

    async def _publish(self, connection: AsyncConnection, *, reason: str, actor: str) -> SignedEvent:
        published = tuple(
            PublishedKey(
                kid=row["kid"],
                alg=row["alg"],
                state=KeyState(row["state"]),
                jwk=row["public_jwk"] if KeyState(row["state"]).verifies else None,
                changed_at=round(row["changed_at"], 3),
            )
            for row in told(await token_key_rows(connection))
        )
        event = await self._outbox.append(
            connection, Stream.KEYS, KeySet(keys=published, reason=reason, actor=actor[:MAX_ACTOR])
        )
        new = (keys.c.use == TOKEN_KEY) & keys.c.published_seq.is_(None)
        await connection.execute(update(keys).where(new).values(published_seq=event.seq))
        return event


def _refuse_against_list(situation: Situation, alg: str) -> None:
    """Refuse to rotate away from the key that is to sign by the list of configuration.

    Raises:
        Conflict: there is a list with keys for this algorithm, and its first signs.
    """
    first = listed_first(situation.keys, alg)
    if first is not None and first.state is KeyState.ACTIVE:
        raise Conflict(
            f"the setting 'signing_keys' says which key signs for {alg}, and its first, {first.kid}, does: "
            "put another one first there"
        )
