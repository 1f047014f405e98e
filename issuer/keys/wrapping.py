"""Who seals private keys for the store: a Protocol, and several of its kind side by side.

A wrapper has one key-encryption key and never hands it out. Which one sealed a row stands beside it, so rows of a key
before and of the one to come open while exactly one wraps.
"""

from collections.abc import Sequence
from typing import Protocol

from issuer.errors import SealBroken


class KeyWrapper(Protocol):
    """Seals secrets with one key-encryption key (NIST SP 800-38D, or the like of it).

    ``kid`` and ``use`` are associated data: what was sealed for one key opens in the place of no other.
    """

    @property
    def kek_id(self) -> str:
        """Tells this key-encryption key from any other; at most 64 characters, kept with what it sealed."""

    async def wrap(self, secret: bytes, *, kid: str, use: str) -> bytes:
        """``secret``, sealed.

        Raises:
            WrapperUnavailable: what holds the key-encryption key does not answer.
        """

    async def unwrap(self, sealed: bytes, *, kid: str, use: str) -> bytes:
        """What ``wrap`` was given.

        Raises:
            SealBroken: another key sealed it, it belongs to another ``kid`` or use, or it is damaged. The message
                names ``kid`` and ``kek_id``.
            WrapperUnavailable: what holds the key-encryption key does not answer.
        """


class Wrappers:
    """The wrapper that seals, and all that open.

    Attributes:
        current: seals whatever is sealed from now on.
    """

    def __init__(self, current: KeyWrapper, others: Sequence[KeyWrapper] = ()) -> None:
        """Set up.

        Args:
            current: seals, and opens.
            others: open what they have sealed before, or will have sealed; one that ``current`` is, too, is left out.
        """
        self.current = current
        self._by_id = {wrapper.kek_id: wrapper for wrapper in (*others, current)}

    def __repr__(self) -> str:
        return f"Wrappers({', '.join(self.kek_ids)})"

    @property
    def kek_ids(self) -> tuple[str, ...]:
        """Every key-encryption key that opens here; the one that seals comes first."""
        return (self.current.kek_id, *sorted(self._by_id.keys() - {self.current.kek_id}))

    def check(self, kid: str, kek_id: str) -> None:
        """Make sure that there is a wrapper for this row.

        Raises:
            SealBroken: there is none; the message names the row, its key-encryption key and those that are here.
        """
        if kek_id not in self._by_id:
            raise SealBroken(
                f"key {kid} was sealed with key-encryption key {kek_id}, not with {' or '.join(self.kek_ids)}"
            )

    async def unwrap(self, sealed: bytes, *, kid: str, use: str, kek_id: str) -> bytes:
        """What was sealed under ``kek_id``.

        Raises:
            SealBroken: as ``check`` and ``KeyWrapper.unwrap``.
            WrapperUnavailable: as ``KeyWrapper.unwrap``.
        """
        self.check(kid, kek_id)
        return await self._by_id[kek_id].unwrap(sealed, kid=kid, use=use)
