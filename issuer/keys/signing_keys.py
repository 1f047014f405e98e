"""The private halves of the keys that sign, unsealed once, and how often each has signed."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import select, update

from events import KeyState, PublishedKey
from issuer.errors import StoreUninitialised
from issuer.keys.signing import SigningKey
from issuer.keys.vault import KeyVault
from issuer.store.database import Database
from issuer.store.schema import keys


class SigningKeys:
    """Those of one process; only active keys are kept in memory."""

    def __init__(self, database: Database, vault: KeyVault, algorithms: Sequence[str]) -> None:
        """Set up.

        Args:
            database: keeps the keys.
            vault: opens them.
            algorithms: for which there are keys; the first is the default.
        """
        self._database = database
        self._vault = vault
        self._algorithms = tuple(algorithms)
        self._opened: dict[str, SigningKey] = {}
        self._uncounted: Counter[str] = Counter()

    async def active(self, published: Sequence[PublishedKey], alg: str | None = None) -> SigningKey:
        """The private half of the active key in a published set.

        Args:
            published: the set, as our own agent knows it: what signs must have been told to everybody.
            alg: which algorithm's key; the default one's when absent.

        Raises:
            StoreUninitialised: the set has no active key for it.
            SealBroken: it cannot be unsealed.
        """
        alg = alg or self._algorithms[0]
        kid = next((key.kid for key in published if key.alg == alg and key.state is KeyState.ACTIVE), None)
        if kid is None:
            raise StoreUninitialised(f"there is no active key for {alg}")
        if kid not in self._opened:
            async with self._database.read() as connection:
                row = (await connection.execute(select(keys).where(keys.c.kid == kid))).mappings().one()
            active = {key.kid for key in published if key.state is KeyState.ACTIVE}
            for gone in self._opened.keys() - active:
                self._uncounted[gone] += self._opened.pop(gone).signed
            self._opened[kid] = SigningKey(await self._vault.open(row))
        return self._opened[kid]

    async def open_all(self, published: Sequence[PublishedKey]) -> None:
        """Unseal every key that signs, before the first token needs it.

        Raises:
            StoreUninitialised, SealBroken: as ``active``.
            WrapperUnavailable: what holds the key-encryption key does not answer.
        """
        for alg in self._algorithms:
            await self.active(published, alg)

    async def count(self) -> None:
        """Add what has been signed here since the last time; what a replica has not added when it dies is lost."""
        counted, self._uncounted = self._uncounted, Counter()
        for kid, key in self._opened.items():
            counted[kid] += key.signed
            key.signed = 0
        counted = +counted  # without zeros
        if not counted:
            return
        try:
            async with self._database.write() as connection:
                for kid, count in sorted(counted.items()):
                    added = keys.c.signatures + count
                    await connection.execute(update(keys).where(keys.c.kid == kid).values(signatures=added))
        except BaseException:
            self._uncounted.update(counted)
            raise
