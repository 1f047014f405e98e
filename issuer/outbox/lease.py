"""A lease on being the one that does something, with a fencing number (Kleppmann, 2016).

Time is the store's, so replicas need not agree about it. The fence grows with every change of holder: whoever acts
under a lease names its fence, and what is done under an older one has no effect.
"""

from typing import Final

from sqlalchemy import and_, case, or_, update

from issuer.store.database import Database
from issuer.store.schema import leases

LEASE_SECONDS: Final = 3.0
RELAY: Final = "relay"


class Lease:
    """One named lease, as one process sees it."""

    def __init__(self, database: Database, name: str, holder: str) -> None:
        """Prepare to ask for the lease ``name`` as ``holder``, a name that no other process has."""
        self._database = database
        self._name = name
        self._holder = holder

    async def acquire(self) -> int | None:
        """Take or renew it; its fence, or ``None`` while another holds it.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        now = self._database.time()
        mine = and_(leases.c.holder == self._holder, leases.c.expires_at > now)
        # One that ends later than any can was given before the store's clock was put back.
        over = or_(leases.c.expires_at <= now, leases.c.expires_at > now + 2 * LEASE_SECONDS)
        statement = (
            update(leases)
            .where(leases.c.name == self._name, or_(mine, over))
            .values(
                holder=self._holder,
                fence=case((mine, leases.c.fence), else_=leases.c.fence + 1),
                expires_at=now + LEASE_SECONDS,
            )
            .returning(leases.c.fence)
        )
        async with self._database.write(urgent=True) as connection:
            fence: int | None = (await connection.execute(statement)).scalar_one_or_none()
            return fence

    async def release(self) -> None:
        """Let go of it, if it is ours, so that another need not wait for its end.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        statement = (
            update(leases).where(leases.c.name == self._name, leases.c.holder == self._holder).values(expires_at=0.0)
        )
        async with self._database.write(urgent=True) as connection:
            await connection.execute(statement)
