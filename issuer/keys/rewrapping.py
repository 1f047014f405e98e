"""Seals every private key anew under the key-encryption key of today, while issuers go on working.

Row by row, each in a transaction of its own, so it may be interrupted anywhere and run again. A row is replaced only if
it is still the one that was opened, and only when what was sealed has been opened again.
"""

from typing import Final

import msgspec
from sqlalchemy import RowMapping, select, update

from issuer.errors import Conflict, SealBroken
from issuer.keys.holders import running_holders, without
from issuer.keys.wrapping import Wrappers
from issuer.store.database import Database
from issuer.store.schema import keys

_LONGEST_LIST: Final = 5


class Rewrapped(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        kek_id: under which all are to be.
        rewrapped: keys sealed anew.
        already: keys that were under it before.
        overtaken: keys that somebody else changed meanwhile; the next run finds them.
        broken: keys that do not open, each with what is wrong; they stay as they are.
        still_sealing: running issuers that seal with another one, so that there will be more to do.
    """

    kek_id: str
    rewrapped: int
    already: int
    overtaken: int
    broken: dict[str, str]
    still_sealing: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether everything is under it, and stays so: the old one may be destroyed."""
        return not (self.overtaken or self.broken or self.still_sealing)


class Rewrapping:
    """Goes over the rows."""

    def __init__(self, database: Database, wrappers: Wrappers) -> None:
        self._database = database
        self._wrappers = wrappers

    async def run(self) -> Rewrapped:
        """Do all that is to be done.

        Raises:
            SealBroken: rows are under a key-encryption key that is not here; the message names them. Nothing was done.
            Conflict: a running issuer could not open what is sealed anew; it is named. Nothing was done.
            WrapperUnavailable: what holds a key-encryption key does not answer; what was done stays.
            StoreUnavailable: the store does not answer; the same.
        """
        kek_id = self._wrappers.current.kek_id
        rows = await self._checked()
        rewrapped = overtaken = 0
        broken: dict[str, str] = {}
        due = [row for row in rows if row["kek_id"] != kek_id]
        for row in due:
            try:
                replaced = await self._rewrap(row)
            except SealBroken as error:
                broken[row["kid"]] = str(error)
                continue
            rewrapped += replaced
            overtaken += not replaced
        async with self._database.read() as connection:
            holders = await running_holders(connection, self._database)
        return Rewrapped(
            kek_id=kek_id,
            rewrapped=rewrapped,
            already=len(rows) - len(due),
            overtaken=overtaken,
            broken=broken,
            still_sealing=tuple(each.name for each in holders if each.kek_ids[0] != kek_id),
        )

    async def _checked(self) -> list[RowMapping]:
        """Every row, when all can be opened here and will be everywhere."""
        kek_id = self._wrappers.current.kek_id
        query = select(keys.c.kid, keys.c.use, keys.c.sealed, keys.c.kek_id).order_by(keys.c.created_at, keys.c.kid)
        async with self._database.read() as connection:
            ignorant = await without(connection, self._database, kek_id)
            rows = list((await connection.execute(query)).mappings())
        for row in rows:
            self._wrappers.check(row["kid"], row["kek_id"])
        if ignorant:
            more = f" and {len(ignorant) - _LONGEST_LIST} more" if len(ignorant) > _LONGEST_LIST else ""
            raise Conflict(
                f"key-encryption key {kek_id} is not known to the running issuers "
                f"{', '.join(ignorant[:_LONGEST_LIST])}{more}, which could not sign any more: add it to their "
                "other_kek_files, other_keks or other_kek_uris first; one that was killed counts for two minutes"
            )
        return rows

    async def _rewrap(self, row: RowMapping) -> bool:
        """Seal one anew; whether it was still there as it was."""
        kid, use, current = row["kid"], row["use"], self._wrappers.current
        secret = await self._wrappers.unwrap(row["sealed"], kid=kid, use=use, kek_id=row["kek_id"])
        sealed = await current.wrap(secret, kid=kid, use=use)
        if await current.unwrap(sealed, kid=kid, use=use) != secret:
            raise SealBroken(f"key-encryption key {current.kek_id} does not open what it has just sealed as key {kid}")
        unchanged = (keys.c.kid == kid) & (keys.c.kek_id == row["kek_id"]) & (keys.c.sealed == row["sealed"])
        async with self._database.write() as connection:
            done = await connection.execute(update(keys).where(unchanged).values(sealed=sealed, kek_id=current.kek_id))
        return done.rowcount == 1
