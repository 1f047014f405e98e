"""Short digests that name one token in a revocation.

A digest is the first 8 bytes of SHA-256 over the JWS *signing input* (``header.payload``), or over the ``jti``.
Never over the whole token: an ECDSA signature has a twin (r, n-s) and base64url has spare bits, so whoever holds a
revoked token could spell it another way and walk around a deny-list of whole tokens.
"""

import struct
import sys
from array import array
from collections.abc import Iterable
from hashlib import sha256
from itertools import islice
from operator import lt
from typing import Final, NewType

TokenDigest = NewType("TokenDigest", int)
"""An unsigned 64-bit integer, the big-endian reading of the 8 bytes."""

DIGEST_BYTES: Final = 8
_first_eight: Final = struct.Struct(">Q24x").unpack
BATCH_LIMIT: Final = 50_000
"""Digests in one event: 400 kB packed, about 710 kB as a signed event, below Kafka's usual 1 MB limit."""


def digest_of(hashed: bytes) -> TokenDigest:
    """The digest that a SHA-256 of 32 bytes begins with."""
    digest: TokenDigest = _first_eight(hashed)[0]
    return digest


def signing_input_digest(signing_input: bytes) -> TokenDigest:
    """The digest of a token whose signing input has been cut out already."""
    return digest_of(sha256(signing_input).digest())


def token_digest(token: str) -> TokenDigest:
    """The digest of a compact JWS, taken over its signing input.

    Raises:
        ValueError: the text is not ASCII or has no dot, so it is no compact JWS.
    """
    return signing_input_digest(token[: token.rindex(".")].encode("ascii"))


def jti_digest(jti: str) -> TokenDigest:
    """The digest of a token identifier (RFC 7519 section 4.1.7)."""
    hashed = sha256(jti.encode("utf-8", "surrogatepass")).digest()
    digest: TokenDigest = _first_eight(hashed)[0]  # as ``digest_of``, but for a call
    return digest


def pack_digests(digests: Iterable[TokenDigest]) -> bytes:
    """Sorted, without repetition, 8 bytes big-endian each: one form for one set.

    Raises:
        ValueError: more than ``BATCH_LIMIT`` digests, or none.
    """
    ordered = array("Q", sorted(set(digests)))
    if not 0 < len(ordered) <= BATCH_LIMIT:
        raise ValueError(f"a batch holds 1 to {BATCH_LIMIT} digests, not {len(ordered)}")
    return repack_digests(ordered)


def repack_digests(digests: "array[int]") -> bytes:
    """The packed batch that ``unpack_digests`` has read."""
    swapped = digests[:]
    if sys.byteorder == "little":
        swapped.byteswap()
    return swapped.tobytes()


def reread_digests(packed: bytes) -> "array[int]":
    """The digests of a packed batch that ``unpack_digests`` has let pass before."""
    digests = array("Q", packed)
    if sys.byteorder == "little":
        digests.byteswap()
    return digests


def unpack_digests(packed: bytes) -> "array[int]":
    """The digests of a packed batch, in ascending order.

    Raises:
        ValueError: the length is not a multiple of 8, the batch is empty or too long, or it is not sorted.
    """
    if len(packed) % DIGEST_BYTES or not 0 < len(packed) <= BATCH_LIMIT * DIGEST_BYTES:
        raise ValueError(f"a batch is 1 to {BATCH_LIMIT} digests of {DIGEST_BYTES} bytes, not {len(packed)} bytes")
    digests = reread_digests(packed)
    if not all(map(lt, digests, islice(digests, 1, None))):
        raise ValueError("the digests of a batch must ascend without repetition")
    return digests
