"""Opens the sealed keys of a list, and holds them against the keys that there are or were: refused whole, by entry."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import inspect

from issuer.errors import SealBroken, StoreUnavailable, WrapperUnavailable
from issuer.keys.choice import key_wrappers
from issuer.keys.exchange import KeyUnusable, read_key, same_key
from issuer.keys.generation import public
from issuer.keys.key_list import SETTING, ListedKey, named, read_list
from issuer.keys.key_rows import known_keys, renamed
from issuer.keys.vault import TOKEN_KEY, SealedKey
from issuer.keys.wrapping import Wrappers
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from issuer.store.schema import keys
from verifier_agent import SettingInvalid


def listed_key(key: SealedKey) -> ListedKey:
    """A sealed key as an entry of the list."""
    return ListedKey(kid=key.jwk["kid"], alg=key.jwk["alg"], kek_id=key.kek_id, sealed=key.sealed)


class ListOpening:
    """Opens entries, each once: what was opened is remembered by its public half."""

    def __init__(self, wrappers: Wrappers, algorithms: Sequence[str]) -> None:
        """Set up.

        Args:
            wrappers: the key-encryption keys that are here.
            algorithms: those that the issuer has keys for.
        """
        self._wrappers = wrappers
        self._algorithms = tuple(algorithms)
        self._opened: dict[ListedKey, SealedKey] = {}

    async def open(self, listed: Sequence[ListedKey]) -> tuple[SealedKey, ...]:
        """The keys of a list, fit to be kept in the store.

        Raises:
            SettingInvalid: one is sealed with a key-encryption key that is not here, does not open, is no key that
                signs here, is not what its entry says, or is another entry's; the message names the entry.
            WrapperUnavailable: what holds a key-encryption key does not answer.
        """
        opened = [await self._one(place, key) for place, key in enumerate(listed, 1)]
        for place, key in enumerate(opened, 1):
            for before, other in enumerate(opened[: place - 1], 1):
                if same_key(key.jwk, other.jwk):
                    raise SettingInvalid(
                        f"{named(place, listed[place - 1])}: it is the key of entry {before} once more"
                    )
        self._opened = {key: self._opened[key] for key in listed}
        return tuple(opened)

    async def _one(self, place: int, listed: ListedKey) -> SealedKey:
        if listed in self._opened:
            return self._opened[listed]
        what, kid, kek_id = named(place, listed), listed.kid, listed.kek_id
        if kek_id not in self._wrappers.kek_ids:
            here = " or ".join(self._wrappers.kek_ids)
            raise SettingInvalid(f"{what}: it is sealed with key-encryption key {kek_id}, and here is {here}")
        if listed.alg not in self._algorithms:
            raise SettingInvalid(
                f"{what}: it is a key for {listed.alg}, and 'signing_algorithms' has {', '.join(self._algorithms)}"
            )
        try:
            plain = await self._wrappers.unwrap(listed.sealed, kid=kid, use=TOKEN_KEY, kek_id=kek_id)
        except SealBroken:
            raise SettingInvalid(
                f"{what}: key-encryption key {kek_id} does not open it: it was sealed for another kid or use, is cut "
                "short, or was changed"
            ) from None
        try:
            jwk = read_key(plain)
        except KeyUnusable as error:
            raise SettingInvalid(f"{what}: {error}") from None
        if (jwk["kid"], jwk["alg"]) != (kid, listed.alg):
            raise SettingInvalid(f"{what}: what is sealed is a key {jwk['kid']} for {jwk['alg']}")
        opened = SealedKey(jwk=public(jwk), use=TOKEN_KEY, sealed=listed.sealed, kek_id=kek_id)
        self._opened[listed] = opened
        return opened


class ListCheck:
    """Checks the list of settings before they come into force, as a ``Check`` of hot configuration."""

    def __init__(self, settings: IssuerSettings) -> None:
        """Set up.

        Args:
            settings: key-encryption keys and store, which do not change while a program runs.
        """
        self._settings = settings
        self._opening: ListOpening | None = None

    async def __call__(self, settings: msgspec.Struct) -> None:
        """Check these.

        Raises:
            SettingInvalid: the list is not allowed, or cannot be checked now; the message names the entry.
        """
        if not isinstance(settings, IssuerSettings) or not (listed := read_list(settings.signing_keys)):
            return
        try:
            if self._opening is None:
                wrappers = await key_wrappers(self._settings)
                self._opening = ListOpening(wrappers, self._settings.signing_algorithms)
            opened = await self._opening.open(listed)
        except WrapperUnavailable as error:
            raise SettingInvalid(f"setting {SETTING!r} cannot be checked now, say it again later: {error}") from error
        refuse_reused(listed, opened, await self._known())

    async def _known(self) -> Sequence[Mapping[str, Any]]:
        """The keys that there are; none while the store does not say. Whoever puts a list into force asks again."""
        database = Database(self._settings.store)
        try:
            async with database.read() as connection:
                if not await connection.run_sync(lambda sync: inspect(sync).has_table(keys.name)):
                    return []
                return await known_keys(connection)
        except StoreUnavailable:
            return []
        finally:
            await database.close()


def refuse_reused(listed: Sequence[ListedKey], opened: Sequence[SealedKey], known: Iterable[Mapping[str, Any]]) -> None:
    """Make sure that neither a name nor a key is used twice, also of keys that are retired or revoked.

    Raises:
        SettingInvalid: one is; the message names the entry, and the key that there is.
    """
    rows = list(known)
    for place, (entry, key) in enumerate(zip(listed, opened, strict=True), 1):
        for row in rows:
            same = row["use"] == TOKEN_KEY and same_key(row["public_jwk"], key.jwk)
            if row["kid"] == entry.kid and not same:
                raise SettingInvalid(
                    f"{named(place, entry)}: there is another key of that name ({row['use']}, {row['state']}): "
                    "a kid is used once"
                )
            if row["kid"] != entry.kid and same_key(row["public_jwk"], key.jwk):
                raise SettingInvalid(f"{named(place, entry)}: {renamed(row)}")
