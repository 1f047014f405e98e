"""A JWK Set (RFC 7517 section 5): the keys in it that can verify, and why the others cannot.

One key that we cannot use never spoils the others: an issuer that begins to publish keys of a new kind would
otherwise be cut off.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from verifier_agent.jwks.errors import FailureCode, JwksFailed
from verifier_agent.keyring import ALGORITHMS, VerifySignature

MAX_BYTES: Final = 256 * 1024
MAX_KEYS: Final = 64
MAX_KID_CHARS: Final = 256
_MAX_MEMBER_CHARS: Final = 1366
"""8192 bits in base64url: to check a signature takes time with the square of the length, and nobody signs with more."""

_ALGORITHM: Final = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
"""By ``kty`` and ``crv``: the one algorithm such a key is for, whatever a token says."""
_PUBLIC: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """One key of a foreign issuer, parsed once.

    Attributes:
        kid: its name.
        alg: the one algorithm that it verifies.
        jwk: its public members.
        verify: checks a signature by it.
    """

    kid: str
    alg: str
    jwk: Mapping[str, str]
    verify: VerifySignature = field(compare=False)


@dataclass(frozen=True)
class JwksDocument:
    """What one document says.

    Attributes:
        keys: by ``kid``, those that can be used.
        skipped: in words, by ``kid`` or place, those that cannot.
    """

    keys: Mapping[str, ForeignKey]
    skipped: Mapping[str, str]


def parse_jwks(data: bytes, algorithms: Collection[str] = tuple(ALGORITHMS)) -> JwksDocument:
    """Read a JWK Set.

    1 size · 2 JSON, an object with ``keys`` · 3 their number: at least one, for who signs has a key, and an empty list
    is what a half-started server says · 4 each key for itself · 5 of usable keys with one ``kid`` none: which is meant?

    Args:
        data: the document.
        algorithms: those that this issuer may use.

    Raises:
        JwksFailed: ``not_jwks`` or ``oversized``.
    """
    if len(data) > MAX_BYTES:  # 1
        raise JwksFailed(FailureCode.OVERSIZED, f"the key set has {len(data)} bytes, more than {MAX_BYTES}")
    usable: list[tuple[int, ForeignKey]] = []
    skipped: dict[str, str] = {}
    for number, entry in enumerate(_entries(data)):  # 2, 3
        try:
            usable.append((number, _key(entry, algorithms)))  # 4
        except ValueError as error:
            skipped[_name(entry, number)] = str(error)
    times = Counter(key.kid for _, key in usable)
    for number, key in usable:
        if times[key.kid] > 1:  # 5
            skipped[_name({"kid": key.kid}, number)] = f"{times[key.kid]} keys have this kid"
    return JwksDocument({key.kid: key for _, key in usable if times[key.kid] == 1}, skipped)


def _entries(data: bytes) -> list[Any]:
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise JwksFailed(FailureCode.NOT_JWKS, "the key set is no JSON") from error
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise JwksFailed(FailureCode.NOT_JWKS, "the key set is no object with a list of keys, named once")
    if not 1 <= len(entries) <= MAX_KEYS:
        raise JwksFailed(FailureCode.NOT_JWKS, f"the key set has {len(entries)} keys, not 1 to {MAX_KEYS}")
    return entries


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | None:
    """A JSON object; ``None`` for one that names a member twice (RFC 7517 section 4)."""
    members = dict(pairs)
    return members if len(members) == len(pairs) else None


def _key(entry: Any, algorithms: Collection[str]) -> ForeignKey:
    """One JWK.

    1 an object, each member once · 2 public and asymmetric · 3 a ``kid``: tokens must name one, so that a key without
    is of no use, alone or not · 4 meant for signatures (RFC 7517 sections 4.2, 4.3) · 5 its one algorithm (RFC 8725
    section 3.1) · 6 its material. A member that is ``null`` is one that is not there.

    Raises:
        ValueError: it cannot be used; the message says why.
    """
    if not isinstance(entry, dict):  # 1
        raise ValueError("it is no object that names each member once")
    kty = entry.get("kty")
    if kty == "oct" or not _PRIVATE.isdisjoint(entry):  # 2
        raise ValueError("it is no public key")
    kid = entry.get("kid")
    if not isinstance(kid, str) or not 1 <= len(kid) <= MAX_KID_CHARS or not kid.isprintable():  # 3
        raise ValueError(f"it needs a kid of 1 to {MAX_KID_CHARS} printable characters")
    if entry.get("use") not in (None, "sig") or not _may_verify(entry.get("key_ops")):  # 4
        raise ValueError("it is not meant for signatures")
    alg = _algorithm(entry, algorithms)  # 5
    jwk = _public_members(entry)
    return ForeignKey(kid, alg, jwk, _parse(alg, jwk))  # 6


def _may_verify(key_ops: Any) -> bool:
    return key_ops is None or (isinstance(key_ops, list) and "verify" in key_ops)


def _algorithm(entry: Mapping[str, Any], algorithms: Collection[str]) -> str:
    kty, crv, alg = entry.get("kty"), entry.get("crv"), entry.get("alg")
    fixed = _ALGORITHM.get((str(kty), None if crv is None else str(crv)))
    if fixed is None:
        raise ValueError(f"keys of kind {str(kty)[:32]!r}, curve {str(crv)[:32]!r}, are not supported")
    if alg not in (None, fixed):
        raise ValueError(f"algorithm {str(alg)[:32]!r} is not supported; such a key is for {fixed}")
    if fixed not in algorithms:
        raise ValueError(f"{fixed} is not allowed for this issuer")
    return fixed


def _public_members(entry: Mapping[str, Any]) -> dict[str, str]:
    members: dict[str, str] = {}
    for name in ("kty", *_PUBLIC[entry["kty"]]):
        value = entry.get(name)
        if not isinstance(value, str) or len(value) > _MAX_MEMBER_CHARS:
            raise ValueError(f"its {name!r} is missing or too long")
        members[name] = value
    return members


def _parse(alg: str, jwk: Mapping[str, str]) -> VerifySignature:
    from events import jose  # noqa: PLC0415 - PyJWT is slow to import, see events.jose

    return ALGORITHMS[alg](jose.parse_key({**jwk, "alg": alg}).key)


def _name(entry: Any, number: int) -> str:
    """How to speak of a key that cannot be used: its ``kid`` if it has one, and its place."""
    kid = entry.get("kid") if isinstance(entry, dict) else None
    return f"{kid[:64]} (key {number + 1})" if isinstance(kid, str) and kid.isprintable() else f"key {number + 1}"
