"""Selectors: which tokens a revocation hits.

A selector is an AND of claim equalities for one issuer. Equality with a list-valued claim means membership, and
``scope`` (RFC 8693 section 4.2: a space-separated string) counts as the list of its words. The empty selector hits
every token of the issuer.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

import msgspec

from events.errors import SelectorInvalid

ClaimValue = str | int | bool

MAX_CLAIMS: Final = 8
MAX_NAME: Final = 128
MAX_VALUE: Final = 1024
MAX_MEMBERS: Final = 256
"""Members of one list-valued claim that count; a token with more is rejected when it is verified."""

TEXT_CLAIMS: Final = frozenset({"sub", "client_id", "sid", "jti", "aud", "scope", "azp"})
"""Claims whose value, or each of whose members, is text by RFC 7519, 9068 and OpenID Connect."""

_RESERVED: Final = {
    "iss": "a selector belongs to one issuer: name it beside the claims, not among them",
    "rsq": "it is what a cutoff is compared with, not a claim to select by",
}


class Selector(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An AND of claim equalities.

    Attributes:
        claims: claim name to the value that it must equal, or contain.
        issuer: whose tokens; ``None`` for those of the stream's own issuer.
    """

    claims: dict[str, ClaimValue] = {}
    issuer: str | None = None

    def __post_init__(self) -> None:
        _check(self.claims)

    @classmethod
    def of(cls, **claims: ClaimValue) -> Self:
        """A selector for our own tokens: ``Selector.of(sub="alice")``."""
        return cls(claims=claims)

    @property
    def everything(self) -> bool:
        """Whether it hits every token of its issuer."""
        return not self.claims

    def matches(self, claims: Mapping[str, Any]) -> bool:
        """Whether a token with these claims is hit; its issuer is the caller's to compare."""
        for name, wanted in self.claims.items():
            found = claims.get(name)
            if found.__class__ is str and name != "scope":  # as nearly all are
                if found != wanted:
                    return False
            elif found is None or not any(same(wanted, member) for member in members_of(name, found)):
                return False
        return True

    def __str__(self) -> str:
        text = " ".join(f"{name}={value}" for name, value in sorted(self.claims.items())) or "everything"
        return f"{text} of {self.issuer}" if self.issuer else text


def members_of(name: str, value: Any) -> Iterable[Any]:
    """The values that count as equal to claim ``name`` with this value: the value itself, or each member of a list.

    A scope is cut wherever anybody might cut it, as it is better to revoke too much than too little; what it allows is
    cut at spaces alone.
    """
    if isinstance(value, list | tuple):
        return value
    if name == "scope" and isinstance(value, str):
        return value.split()
    return (value,)


def same(wanted: ClaimValue, found: object) -> bool:
    """JSON equality: ``1`` is neither ``true`` nor ``"1"``; ``1.0`` is ``1``."""
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    return wanted == found


def _check(claims: Mapping[str, ClaimValue]) -> None:
    if len(claims) > MAX_CLAIMS:
        raise SelectorInvalid(f"a selector has at most {MAX_CLAIMS} claims, not {len(claims)}")
    for name, value in claims.items():
        if name in _RESERVED:
            raise SelectorInvalid(f"claim {name!r} cannot be selected by: {_RESERVED[name]}")
        if not 0 < len(name) <= MAX_NAME:
            raise SelectorInvalid(f"a claim name has 1 to {MAX_NAME} characters, not {len(name)}")
        if name in TEXT_CLAIMS and not isinstance(value, str):
            raise SelectorInvalid(f"claim {name!r} is text in every token: {value!r} would hit none")
        if isinstance(value, str) and not 0 < len(value) <= MAX_VALUE:
            raise SelectorInvalid(f"claim {name!r}: a value has 1 to {MAX_VALUE} characters, not {len(value)}")
        if name == "scope" and isinstance(value, str) and len(value.split()) != 1:
            raise SelectorInvalid("claim 'scope': select by one scope, without spaces")
