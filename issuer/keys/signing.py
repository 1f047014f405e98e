"""Signing tokens: compact JWSs (RFC 7515 section 7.1), and threads for the algorithm that takes long."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec
from jwt import PyJWK

from events import base64url, jose
from issuer.keys.generation import Jwk

SLOW: Final = frozenset({"RS256"})
"""It takes about ten times as long as the others, for which changing threads would be the dearer part."""
AT_ONCE: Final = max(1, (os.cpu_count() or 2) - 1)


class SigningKey:
    """A private token key; its ``repr`` tells the ``kid`` alone.

    Attributes:
        signed: how often it has signed in this process and has not been counted yet.
    """

    def __init__(self, jwk: Jwk) -> None:
        self.signed = 0
        self.kid = jwk["kid"]
        self.alg = jwk["alg"]
        self._key: PyJWK = jose.parse_key(jwk)
        self._headers: dict[str, bytes] = {}  # the encoded header of each typ: the same in all tokens of the key

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r})"

    def sign(self, claims: dict[str, Any], typ: str) -> str:
        """A compact JWS over ``claims``."""
        self.signed += 1
        return self.jws(claims, typ)

    def jws(self, claims: dict[str, Any], typ: str) -> str:
        """The same, counted by whoever has it done in another thread: two of them would lose one."""
        header = self._headers.get(typ)
        if header is None:
            said = {"typ": typ, "alg": self.alg, "kid": self.kid}
            header = self._headers[typ] = base64url.encode(msgspec.json.encode(said)) + b"."
        signing_input = header + base64url.encode(msgspec.json.encode(claims))
        signature = base64url.encode(jose.signature(self._key, signing_input))
        return (signing_input + b"." + signature).decode("ascii")


class SigningThreads:
    """Signs what takes long where nobody on the event loop waits for it; OpenSSL lets others run meanwhile."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        """Set up.

        Args:
            at_once: signatures made at once; further ones wait for their turn.
        """
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="signing")

    async def sign(self, key: SigningKey, claims: dict[str, Any], typ: str) -> str:
        """As ``SigningKey.sign``."""
        if key.alg not in SLOW:
            return key.sign(claims, typ)
        key.signed += 1
        return await asyncio.get_running_loop().run_in_executor(self._threads, key.jws, claims, typ)

    def close(self) -> None:
        """End the threads, when they have done what they are at."""
        self._threads.shutdown(wait=False, cancel_futures=True)
