"""Devices in the store: begun, found by what people type, decided, polled, let in once.

Device codes are kept hashed, as they have 256 random bits (RFC 8628 section 5.2).
"""

import hashlib
import logging
import secrets
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.elements import ColumnElement

from issuer.devices.device import GOOD_FOR_SECONDS, INTERVAL_SECONDS, Answer, Approval, Device
from issuer.devices.guessing import UserCodeGuesses
from issuer.devices.user_code import new_user_code
from issuer.errors import OAuthError, StoreUnavailable
from issuer.families import Family, FamilyStore
from issuer.sessions import Session
from issuer.store.database import Database
from issuer.store.schema import devices
from verifier_agent import Secret

log = logging.getLogger(__name__)

CODE_BYTES: Final = 32
KEPT_SECONDS: Final = GOOD_FOR_SECONDS
"""For how long after its end a device is told that its code has expired, and not that there is none."""
TRIES: Final = 5
"""Of a transaction that meets another's new row."""
_WORDS: Final = {
    Answer.PENDING: "nobody has decided yet; ask again after the interval",
    Answer.SLOW_DOWN: "nobody has decided yet; wait five seconds longer from now on",
    Answer.DENIED: "the user does not agree",
    Answer.EXPIRED: "the device code has expired; begin anew",
    Answer.USED: "the device code is invalid, revoked or was used before",
}


class Codes(NamedTuple):
    """What a device is given. The user code is as it is kept, in letters alone."""

    device_code: Secret
    user_code: str


class DeviceStore:
    """The one place where devices wait."""

    def __init__(
        self,
        database: Database,
        families: FamilyStore,
        guesses: UserCodeGuesses,
        user_codes: Callable[[], str] = new_user_code,
    ) -> None:
        """Set up; ``user_codes`` makes up new ones."""
        self._database = database
        self._families = families
        self._guesses = guesses
        self._user_codes = user_codes

    async def begin(self, client_id: str, scope: tuple[str, ...], audience: tuple[str, ...]) -> Codes:
        """Both codes for a device that asks for this; nobody else has either of them.

        Raises:
            StoreUnavailable: the store does not answer, or every user code that was tried is taken.
        """
        code = Secret(secrets.token_urlsafe(CODE_BYTES))
        for _ in range(TRIES):
            codes = Codes(code, self._user_codes())
            values = {
                "hash": _hashed(code.reveal()),
                "user_code": codes.user_code,
                "client_id": client_id,
                "scope": scope,
                "audience": audience,
                "interval": INTERVAL_SECONDS,
                "expires_at": self._database.time() + GOOD_FOR_SECONDS,
                "denied": False,
            }
            try:
                async with self._database.write() as connection:
                    await connection.execute(insert(devices).values(**values))
            except IntegrityError:
                continue  # the user code is another's
            return codes
        raise StoreUnavailable(f"{TRIES} user codes in a row were taken")

    async def find(self, user_code: str, *, guessed_by: str) -> Device | None:
        """The device that shows this code, if somebody may still decide; a wrong code is counted.

        Args:
            user_code: as it is kept.
            guessed_by: ``sub`` of who has typed it.

        Raises:
            OAuthError: 429, after too many wrong ones.
        """
        for _ in range(TRIES):
            try:
                async with self._database.write() as connection:
                    await self._guesses.count(connection, guessed_by)
                    device = await self._undecided(connection, devices.c.user_code == user_code)
                    if device is not None:
                        await self._guesses.take_back(connection, guessed_by)
                    return device
            except IntegrityError:
                continue  # the first guess of this user was counted twice at once
        raise StoreUnavailable(f"a user code could not be counted in {TRIES} attempts")

    async def allow(self, device: Device, session: Session) -> bool:
        """Let the device in, in this session; ``False`` when it is too late, or somebody else has decided."""
        said = {name: getattr(session, name) for name in Approval.__struct_fields__}
        return await self._decide(device, said, "device_allowed")

    async def deny(self, device: Device) -> bool:
        """Keep the device out; ``False`` as for ``allow``."""
        return await self._decide(device, {"denied": True}, "device_denied")

    async def poll(self, device_code: str, client_id: str) -> tuple[Device, Approval]:
        """The device that may come in, and who has said so.

        Raises:
            OAuthError: it has not; see ``Answer``.
        """
        this = devices.c.hash == _hashed(device_code)
        async with self._database.read() as connection:
            device, now = await self._one(connection, this)
        if device is None or device.client_id != client_id:
            raise no_good()
        answer = device.answer(now)
        if answer in (Answer.PENDING, Answer.SLOW_DOWN):
            async with self._database.write() as connection:
                device, answer = await self._note_poll(connection, device.hash)
        if answer is not Answer.ALLOWED or device.approval is None:
            raise OAuthError(answer, _WORDS[answer])
        return device, device.approval

    async def let_in(self, device: Device, family: Family, *, renewable: bool) -> Secret | None:
        """Use the device code up, once, for a family; its first refresh token, if it is to have one.

        Raises:
            OAuthError: another was faster, or the code has expired.
        """
        async with self._database.write() as connection:
            found, now = await self._one(connection, devices.c.hash == device.hash, lock=True)
            if found is None:
                raise no_good()
            if (answer := found.answer(now)) is not Answer.ALLOWED:
                raise OAuthError(answer, _WORDS[answer])
            await connection.execute(update(devices).where(devices.c.hash == device.hash).values(used_at=now))
            return await self._families.begin_in(connection, family, renewable=renewable)

    async def purge(self) -> None:
        """Remove what has ended a while ago."""
        past = devices.c.expires_at < self._database.time() - KEPT_SECONDS
        async with self._database.write() as connection:
            await connection.execute(delete(devices).where(past))
        await self._guesses.purge()

    async def _note_poll(self, connection: AsyncConnection, hashed: bytes) -> tuple[Device, Answer]:
        found, now = await self._one(connection, devices.c.hash == hashed, lock=True)
        if found is None:
            raise no_good()
        answer, after = found.answer(now), found.polled(now)
        if answer in (Answer.PENDING, Answer.SLOW_DOWN):
            changed = {"polled_at": after.polled_at, "interval": after.interval}
            await connection.execute(update(devices).where(devices.c.hash == hashed).values(**changed))
        return found, answer

    async def _decide(self, device: Device, said: dict[str, object], event: str) -> bool:
        async with self._database.write() as connection:
            if await self._undecided(connection, devices.c.hash == device.hash) is None:
                return False
            await connection.execute(update(devices).where(devices.c.hash == device.hash).values(**said))
        log.info(event, extra={"client_id": device.client_id})
        return True

    async def _undecided(self, connection: AsyncConnection, which: ColumnElement[bool]) -> Device | None:
        device, now = await self._one(connection, which, lock=True)
        return device if device is not None and device.may_be_decided(now) else None

    async def _one(
        self, connection: AsyncConnection, which: ColumnElement[bool], *, lock: bool = False
    ) -> tuple[Device | None, float]:
        """A device, and the store's time after it has been locked."""
        query = select(devices).where(which)
        row = (await connection.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
        now: float = (await connection.execute(select(self._database.time()))).scalar_one()
        return (None if row is None else _device(row)), now


def no_good() -> OAuthError:
    """Why it is no good is nobody's business."""
    return OAuthError(Answer.USED, _WORDS[Answer.USED])


def _hashed(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()


def _device(row: RowMapping) -> Device:
    approval = {name: row[name] for name in Approval.__struct_fields__} if row["sub"] is not None else None
    kept = {name: row[name] for name in Device.__struct_fields__ if name in row}
    return msgspec.convert({**kept, "approval": approval}, Device)
