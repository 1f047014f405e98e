"""Who an agent is: a key pair of its own, whose thumbprint is its name. The private half never leaves it."""

import json
import logging
import os
import stat
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from events import EventKey
from events.thumbprint import thumbprint
from verifier_agent.errors import StoreUnavailable

log = logging.getLogger(__name__)

ALGORITHM: Final = "ES256"
FILE: Final = "tocsin-agent.key"
LOCK: Final = "tocsin-agent.lock"
_PRIVATE_MEMBERS: Final = frozenset({"d"})
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO

Jwk = dict[str, str]


class AgentIdentity:
    """A key pair; its ``repr`` tells the identifier alone.

    Attributes:
        agent: thumbprint of the key (RFC 7638).
        public_jwk: what the issuer is told.
        key: signs what the agent says.
    """

    def __init__(self, jwk: Jwk) -> None:
        """Take a private JWK.

        Raises:
            ValueError: it is no private key for ``ALGORITHM``.
        """
        if jwk.get("alg") != ALGORITHM or "d" not in jwk:
            raise ValueError(f"it is no private key for {ALGORITHM}")
        try:
            self.agent = thumbprint(jwk)
            self.key = EventKey({**jwk, "kid": self.agent})
        except (KeyError, ValueError) as error:
            raise ValueError("it is no key") from error
        self.public_jwk = {name: value for name, value in jwk.items() if name not in _PRIVATE_MEMBERS}
        self.public_jwk["kid"] = self.agent

    def __repr__(self) -> str:
        return f"AgentIdentity({self.agent!r})"

    @classmethod
    def create(cls) -> "AgentIdentity":
        """A new one, kept in memory alone."""
        return cls(_new_jwk())


class KeptIdentity:
    """The identity in an agent's folder, held by one agent at a time; whoever comes second has one in memory."""

    def __init__(self, folder: Path) -> None:
        from verifier_agent.saved.folder_lock import FolderLock  # needs a system with fcntl

        self._file = folder / FILE
        self._lock = FolderLock(folder / LOCK)

    def take(self) -> AgentIdentity:
        """The identity that is kept, or a new one, which is kept from now on. Touches the disk.

        A file that others may read is as good as known to them: it is replaced by a new key, and so is a broken one.
        """
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.hold()
            return self._kept() or self._make()
        except (OSError, StoreUnavailable) as error:
            log.info("agent_key_in_memory", extra={"error": str(error)})
            return AgentIdentity.create()

    def release(self) -> None:
        """Let another agent have it."""
        self._lock.release()

    def _kept(self) -> AgentIdentity | None:
        try:
            descriptor = os.open(self._file, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & _OTHERS:
                log.warning("agent_key_exposed", extra={"file": str(self._file), "mode": oct(stat.S_IMODE(mode))})
                return None
            try:
                return AgentIdentity(msgspec.json.decode(file.read(), type=Jwk))
            except (msgspec.MsgspecError, ValueError):
                log.warning("agent_key_broken", extra={"file": str(self._file)})
                return None

    def _make(self) -> AgentIdentity:
        jwk = _new_jwk()
        new = self._file.with_name(f"{FILE}.new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(jwk))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._file)
        return AgentIdentity(jwk)


def _new_jwk() -> Jwk:
    from jwt.algorithms import ECAlgorithm  # brings an HTTP client along

    while True:
        members = json.loads(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1())))
        jwk = {name: str(value) for name, value in members.items() if name != "key_ops"}
        if not thumbprint(jwk).startswith("-"):  # operators type it as an argument, where that would be an option
            return jwk | {"alg": ALGORITHM, "use": "sig"}
