"""Private keys sealed by a hardware security module: AES-256-GCM inside a PKCS #11 token, whose key never leaves it.

The library blocks and may hang, so each call has a thread of its own that ends with the process, one at a time, and a
time-out. A session that the token has closed is opened again once. A PIN that was refused is not tried again: tokens
lock themselves after a few.
"""

import asyncio
import secrets
import threading
from collections.abc import Callable
from typing import Final, Protocol, TypeVar, cast

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, PKCS11Error, Session, exceptions
from pkcs11.mechanisms import GCMParams

from issuer.errors import SealBroken, WrapperUnavailable
from issuer.keys.pkcs11_uri import Pkcs11Uri
from issuer.keys.private_file import read_private
from issuer.keys.sealing import KEK_BYTES, NONCE_BYTES, bound_to, broken, check_length
from verifier_agent import SettingInvalid

ANSWER_SECONDS: Final = 5.0
_DAMAGED: Final = (
    exceptions.EncryptedDataInvalid,
    exceptions.EncryptedDataLenRange,
    exceptions.GeneralError,  # what SoftHSM says of a tag that does not match
)

T = TypeVar("T")


class _AesKey(Protocol):
    """What a secret key of the library can do, which depends on its kind and is in no type of theirs."""

    def encrypt(self, data: bytes, *, mechanism: Mechanism, mechanism_param: GCMParams) -> bytes: ...

    def decrypt(self, data: bytes, *, mechanism: Mechanism, mechanism_param: GCMParams) -> bytes: ...


class Pkcs11Wrapper:
    """One AES key on one token, a ``KeyWrapper``."""

    def __init__(self, uri: Pkcs11Uri, setting: str) -> None:
        """Prepare; nothing is opened yet.

        Args:
            uri: names the key.
            setting: where that stands, for messages.
        """
        self.kek_id = uri.kek_id
        self._uri = uri
        self._setting = setting
        self._key: _AesKey | None = None
        self._session: Session | None = None
        self._refused = ""
        self._one_at_a_time = threading.Lock()

    def __repr__(self) -> str:
        return f"Pkcs11Wrapper(kek_id={self.kek_id!r})"

    async def open(self) -> None:
        """Log in and find the key; done at start, so that a wrong setting is told there.

        Raises:
            WrapperUnavailable: the token does not answer, or not in time.
            SettingInvalid: the token, its PIN or the key is not what the setting says.
        """
        await self._call(lambda _: None)

    async def wrap(self, secret: bytes, *, kid: str, use: str) -> bytes:
        """``secret`` encrypted, with its nonce in front.

        Raises:
            WrapperUnavailable: the token does not answer, not in time, or is another one by now.
        """
        nonce = secrets.token_bytes(NONCE_BYTES)
        given = GCMParams(nonce, bound_to(kid, use))
        return nonce + await self._ask(
            lambda key: key.encrypt(secret, mechanism=Mechanism.AES_GCM, mechanism_param=given)
        )

    async def unwrap(self, sealed: bytes, *, kid: str, use: str) -> bytes:
        """What ``wrap`` was given.

        Raises:
            SealBroken: another key sealed it, it belongs to another ``kid`` or use, or it is damaged.
            WrapperUnavailable: the token does not answer, not in time, or is another one by now.
        """
        check_length(sealed, kid=kid, use=use, kek_id=self.kek_id)
        given = GCMParams(sealed[:NONCE_BYTES], bound_to(kid, use))

        def decrypted(key: _AesKey) -> bytes:
            try:
                return key.decrypt(sealed[NONCE_BYTES:], mechanism=Mechanism.AES_GCM, mechanism_param=given)
            except _DAMAGED:
                raise broken(kid, use, self.kek_id) from None

        return await self._ask(decrypted)

    async def _ask(self, work: Callable[[_AesKey], T]) -> T:
        try:
            return await self._call(work)
        except SettingInvalid as error:  # it was right at the start
            raise self._unavailable(str(error)) from error

    async def _call(self, work: Callable[[_AesKey], T]) -> T:
        """Do it in a thread that nobody waits for at the end of the process."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if outcome.done():
                return
            if error is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(result)  # type: ignore[arg-type] # there is one when there is no error

        def tell(result: T | None, error: BaseException | None) -> None:
            try:
                loop.call_soon_threadsafe(settle, result, error)
            except RuntimeError:
                return  # the loop has been closed meanwhile: nobody waits any more

        def run() -> None:
            try:
                tell(self._with_key(work), None)
            except BaseException as error:  # noqa: BLE001 - handed to who waits
                tell(None, error)

        threading.Thread(target=run, name="pkcs11", daemon=True).start()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await outcome
        except TimeoutError as error:
            raise self._unavailable(f"no answer within {ANSWER_SECONDS:.0f} s") from error

    def _with_key(self, work: Callable[[_AesKey], T]) -> T:
        if not self._one_at_a_time.acquire(timeout=ANSWER_SECONDS):
            raise self._unavailable("a call before this one has not ended")
        try:
            try:
                return work(self._opened())
            except (SealBroken, SettingInvalid):
                raise
            except PKCS11Error:
                self._session = self._key = None  # the token was restarted or pulled out: once more, from the start
                return work(self._opened())
        except PKCS11Error as error:
            self._session = self._key = None
            raise self._unavailable(type(error).__name__) from error
        finally:
            self._one_at_a_time.release()

    def _opened(self) -> _AesKey:
        if self._refused:
            raise self._invalid(self._refused)
        if self._key is None:
            self._session = self._logged_in()
            self._key = self._found(self._session)
        return self._key

    def _logged_in(self) -> Session:
        pin = read_private(self._uri.pin_source, f"setting {self._setting!r}: pin-source").decode().strip()
        try:
            token = pkcs11.lib(str(self._uri.module)).get_token(token_label=self._uri.token)
        except exceptions.NoSuchToken:
            raise self._unavailable(f"there is no token {self._uri.token!r}") from None
        except (PKCS11Error, RuntimeError, OSError) as error:
            raise self._invalid(f"module-path {self._uri.module} cannot be used: {type(error).__name__}") from error
        try:
            return token.open(user_pin=pin)
        except exceptions.UserAlreadyLoggedIn:
            return token.open()  # a login is the whole process's
        except (exceptions.PinIncorrect, exceptions.PinInvalid, exceptions.PinLocked, exceptions.PinLenRange) as error:
            self._refused = f"token {self._uri.token!r} refuses the PIN in {self._uri.pin_source}"
            raise self._invalid(f"{self._refused} ({type(error).__name__})") from None

    def _found(self, session: Session) -> _AesKey:
        named = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: self._uri.object}
        keys = list(session.get_objects(named))
        if len(keys) != 1:
            raise self._invalid(f"token {self._uri.token!r} has {len(keys)} secret keys {self._uri.object!r}, not one")
        key = keys[0]
        if key[Attribute.KEY_TYPE] is not KeyType.AES or key[Attribute.VALUE_LEN] != KEK_BYTES:
            raise self._invalid(f"key {self._uri.object!r} is no AES key of {KEK_BYTES * 8} bits")
        if key[Attribute.EXTRACTABLE] or not key[Attribute.SENSITIVE]:
            raise self._invalid(f"key {self._uri.object!r} can leave its token: it must be sensitive, not extractable")
        return cast("_AesKey", key)

    def _unavailable(self, why: str) -> WrapperUnavailable:
        return WrapperUnavailable(f"key-encryption key {self.kek_id} is out of reach: {why}")

    def _invalid(self, why: str) -> SettingInvalid:
        return SettingInvalid(f"setting {self._setting!r}: {why}")
