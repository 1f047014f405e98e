"""Clients, and how they prove who they are (RFC 6749 section 2)."""

import hashlib
import hmac
import random
import re
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from sqlalchemy import Insert, RowMapping, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from events import jose
from issuer.errors import Conflict, NotFound
from issuer.lookups import Kind, Lookups, Remembered, note_change
from issuer.redirect_uris import check_registered
from issuer.store.database import Database
from issuer.store.schema import client_secrets, clients
from verifier_agent import Secret
from verifier_agent.clocks import SystemClock

SECRET_BYTES: Final = 32
SECRETS_AT_ONCE: Final = 2
"""The one in use and the one that replaces it."""
MAX_NAME: Final = 256
CODE_GRANT: Final = "authorization_code"
DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
CONFIDENTIAL_ALONE: Final = frozenset({"client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"})
"""Grants by which a client speaks for itself (RFC 6749 section 4.4), or with what others have sent it."""
_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}")
"""RFC 6749 section 3.3."""


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A registered client.

    Attributes:
        client_id: its identifier.
        name: for people.
        grants: grant types that it may use.
        scopes: scopes that it may ask for; all of them are given when it asks for none.
        audiences: services that its tokens may be for, the first by default; empty: the issuer's default.
        token_lifetime: seconds; ``None`` for the issuer's default.
        token_alg: signature algorithm of its tokens; ``None`` for the issuer's default.
        disabled: whether it may do nothing any more.
        jwks: public keys of a client that authenticates by ``private_key_jwt``; such a client has no secret.
        redirect_uris: where browsers may be sent back to with an answer, see ``redirect_uris.matches``.
        post_logout_redirect_uris: where they may be sent after a logout.
        public: whether it can keep no secret (RFC 6749 section 2.1), and so authenticates by ``none``.
        skip_consent: whether users need not agree: the client is one with the issuer.
    """

    client_id: str
    name: str = ""
    grants: tuple[str, ...] = ("client_credentials",)
    scopes: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    token_lifetime: float | None = None
    token_alg: str | None = None
    disabled: bool = False
    jwks: tuple[dict[str, str], ...] = ()
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    public: bool = False
    skip_consent: bool = False

    def __post_init__(self) -> None:
        if not _CLIENT_ID.fullmatch(self.client_id):
            raise ValueError(f"client_id {self.client_id!r} must be 1 to 128 letters, digits, '.', '_', '~' or '-'")
        for scope in self.scopes:
            if not _SCOPE.fullmatch(scope):
                raise ValueError(f"{scope!r} is no scope: no spaces, quotes or backslashes (RFC 6749 section 3.3)")
        if len(self.name) > MAX_NAME:
            raise ValueError(f"name has {len(self.name)} characters; at most {MAX_NAME} are kept")
        if self.token_lifetime is not None and not 1 <= self.token_lifetime < float("inf"):
            raise ValueError(f"token_lifetime must be 1 s or more, not {self.token_lifetime}")
        if self.token_alg is not None and self.token_alg not in jose.ALGORITHMS:
            raise ValueError(f"token_alg must be one of {', '.join(jose.ALGORITHMS)}, not {self.token_alg!r}")
        self._check_browser_fields()

    def _check_browser_fields(self) -> None:
        for uri in (*self.redirect_uris, *self.post_logout_redirect_uris):
            check_registered(uri, public=self.public)
        if self.public and self.jwks:
            raise ValueError("a public client has no keys: it authenticates by none")
        if self.public and (confidential := CONFIDENTIAL_ALONE.intersection(self.grants)):
            raise ValueError(
                f"grant {min(confidential)!r} is not for public clients: anybody can say that they are one"
            )
        if CODE_GRANT in self.grants and not self.redirect_uris:
            raise ValueError(f"grant {CODE_GRANT!r} needs redirect_uris")


class KnownClient(msgspec.Struct, frozen=True):
    """What is held of a client; one that may do nothing any more included. ``hashes`` are those of its secrets."""

    client: Client
    hashes: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"KnownClient({self.client.client_id!r})"


class ClientStore:
    """Clients in the store. Secrets have 256 random bits, so a plain hash of them is enough.

    What requests ask for is held for a while (``issuer.lookups``). Whatever changes a client does so by ``_changing``:
    other replicas are told in its transaction, and here it is forgotten before anybody is answered.
    """

    def __init__(self, database: Database, known: Lookups[KnownClient] | None = None) -> None:
        """Set up.

        Args:
            database: the store.
            known: holds what was found; of its own when absent.
        """
        self._database = database
        self._known = known or Lookups(Remembered(random.random), SystemClock().boot)

    async def add(self, client: Client) -> Secret:
        """Register a client; its secret, which nobody can read again.

        Raises:
            Conflict: there is one with this ``client_id``.
        """
        secret = _new_secret()
        await self._add(client, [secret])
        return secret

    async def add_without_secret(self, client: Client) -> None:
        """Register a client that has keys instead, or is public.

        Raises:
            Conflict: there is one with this ``client_id``.
            ValueError: it has no keys, and is not public.
        """
        if not client.jwks and not client.public:
            raise ValueError(f"client {client.client_id!r} has no keys")
        await self._add(client, [])

    async def _add(self, client: Client, given: Sequence[Secret]) -> None:
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in _fields(client)}
        try:
            async with self._changing(client.client_id) as connection:
                await connection.execute(insert(clients).values(**values, created_at=self._database.time()))
                for secret in given:
                    await connection.execute(self._secret_row(client.client_id, secret))
        except IntegrityError as error:
            raise Conflict(f"there is a client {client.client_id!r} already") from error

    async def all(self) -> Sequence[Client]:
        """Every client, by identifier."""
        async with self._database.read() as connection:
            rows = (await connection.execute(select(clients).order_by(clients.c.client_id))).mappings().all()
        return [_from_row(row) for row in rows]

    async def rotate_secret(self, client_id: str) -> Secret:
        """Give the client a further secret; the one before stays good until the next rotation, older ones do not.

        Raises:
            NotFound: no such client.
            Conflict: it has none.
        """
        secret = _new_secret()
        async with self._changing(client_id) as connection:
            query = select(clients.c.jwks, clients.c.public).where(clients.c.client_id == client_id).with_for_update()
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                raise NotFound(f"there is no client {client_id!r}")
            if row.jwks or row.public:
                raise Conflict(f"client {client_id!r} has no secret: it authenticates with a key, or is public")
            await connection.execute(self._secret_row(client_id, secret))
            newest = (
                select(client_secrets.c.id)
                .where(client_secrets.c.client_id == client_id)
                .order_by(client_secrets.c.id.desc())
                .limit(SECRETS_AT_ONCE)
            )
            keep = (await connection.execute(newest)).scalars().all()
            await connection.execute(
                delete(client_secrets).where(client_secrets.c.client_id == client_id, client_secrets.c.id.not_in(keep))
            )
        return secret

    async def change(self, client_id: str, changes: Mapping[str, object]) -> Client:
        """Change what a client may; what it is as a whole must be possible still.

        Raises:
            NotFound: no such client.
            ValueError: such a client cannot be.
        """
        async with self._changing(client_id) as connection:
            query = select(clients).where(clients.c.client_id == client_id).with_for_update()
            row = (await connection.execute(query)).mappings().one_or_none()
            if row is None:
                raise NotFound(f"there is no client {client_id!r}")
            changed = msgspec.structs.replace(_from_row(row), **changes)
            values = {name: list(value) if isinstance(value, tuple) else value for name, value in changes.items()}
            await connection.execute(update(clients).where(clients.c.client_id == client_id).values(**values))
        return changed

    @asynccontextmanager
    async def switched(self, client_id: str, *, disabled: bool) -> AsyncIterator[AsyncConnection]:
        """A transaction in which the client may do nothing any more, or may again, and in which more may be decided.

        Raises:
            NotFound: no such client.
        """
        async with self._changing(client_id, urgent=True) as connection:
            switched = update(clients).where(clients.c.client_id == client_id).values(disabled=disabled)
            if not (await connection.execute(switched)).rowcount:
                raise NotFound(f"there is no client {client_id!r}")
            yield connection

    @asynccontextmanager
    async def deleted(self, client_id: str) -> AsyncIterator[AsyncConnection]:
        """A transaction in which the client goes with all that hangs on it, and in which more may be decided.

        Raises:
            NotFound: no such client.
        """
        async with self._changing(client_id, urgent=True) as connection:
            gone = await connection.execute(delete(clients).where(clients.c.client_id == client_id))
            if not gone.rowcount:
                raise NotFound(f"there is no client {client_id!r}")
            yield connection

    async def find(self, client_id: str) -> Client | None:
        """The client of this identifier, unless it may do nothing any more."""
        known = await self._find(client_id)
        return None if known is None or known.client.disabled else known.client

    async def authenticate(self, client_id: str, secret: str) -> Client | None:
        """The client that this secret belongs to, or ``None``.

        Nothing tells how much of a secret was right. That a client exists may be told by the time that it takes to look
        it up, and its identifier is no secret (RFC 6749 section 2.2).
        """
        known = await self._find(client_id)
        given = _hashed(secret)
        hashes = known.hashes if known is not None else ()
        matched = [hmac.compare_digest(given, each) for each in hashes] or [hmac.compare_digest(given, given[::-1])]
        if known is None or not hashes or not any(matched) or known.client.disabled:
            return None
        return known.client

    async def _find(self, client_id: str) -> KnownClient | None:
        if not _CLIENT_ID.fullmatch(client_id):  # no other can be there, and PostgreSQL would refuse a NUL
            return None
        return await self._known.find(client_id, self._load)

    async def _load(self, client_id: str) -> KnownClient | None:
        query = (
            select(clients, client_secrets.c.hash)
            .join(client_secrets, client_secrets.c.client_id == clients.c.client_id, isouter=True)
            .where(clients.c.client_id == client_id)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        if not rows:
            return None
        return KnownClient(_from_row(rows[0]), tuple(row["hash"] for row in rows if row["hash"] is not None))

    @asynccontextmanager
    async def _changing(self, client_id: str, *, urgent: bool = False) -> AsyncIterator[AsyncConnection]:
        """A transaction that changes a client, heard of by every replica.

        Raises:
            NotFound: no client can have this identifier.
        """
        if not _CLIENT_ID.fullmatch(client_id):
            raise NotFound(f"there is no client {client_id[:MAX_NAME]!r}")
        try:
            async with self._database.write(urgent=urgent) as connection:
                await note_change(connection, Kind.CLIENT, client_id)
                yield connection
        finally:  # also when nobody can say whether it was committed
            self._known.drop(client_id)

    def _secret_row(self, client_id: str, secret: Secret) -> Insert:
        return insert(client_secrets).values(
            client_id=client_id, hash=_hashed(secret.reveal()), created_at=self._database.time()
        )


def _from_row(row: RowMapping) -> Client:
    # The names are SQLAlchemy's own kind of text, which msgspec does not take for keys.
    return msgspec.convert({name: row[name] for name in Client.__struct_fields__}, Client)


def _fields(client: Client) -> list[tuple[str, object]]:
    return [(name, getattr(client, name)) for name in client.__struct_fields__]


def _new_secret() -> Secret:
    return Secret(secrets.token_urlsafe(SECRET_BYTES))


def _hashed(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
