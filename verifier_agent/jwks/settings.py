"""Which foreign issuers to trust, and how often to ask for their keys."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from verifier_agent.configuration import Seconds, read_tables
from verifier_agent.errors import SettingInvalid
from verifier_agent.jwks.discovery import check_url, metadata_urls
from verifier_agent.jwks.errors import JwksFailed
from verifier_agent.keyring import ALGORITHMS

MAX_ISSUERS: Final = 64


class ForeignIssuer(msgspec.Struct, frozen=True, kw_only=True):
    """An issuer whose keys come from its JWKS document, as Keycloak, Auth0 and others publish one.

    Attributes:
        issuer: what ``iss`` of its tokens must be, exactly.
        jwks_uri: where its keys are; by default its metadata are asked (OpenID Connect Discovery, RFC 8414).
        audience: what ``aud`` of its tokens must contain unless a call says otherwise; ``None``: the agent's.
        algorithms: those that it may use.
        types: what ``typ`` of its tokens may be, whatever the case; the empty text stands for none at all.
        min_refresh: the least seconds between periodic refreshes, whatever ``Cache-Control`` says.
        max_refresh: the most seconds between them, so for how long a key counts after it was taken away.
        cool_down: seconds for which who named a key that does not exist causes no further refresh.
        spacing: the least seconds between any two refreshes, whoever asks.
        max_stale: seconds for which known keys count while refreshes fail.
        timeout: seconds that one request may take.
    """

    issuer: str
    jwks_uri: str | None = None
    audience: str | None = None
    algorithms: tuple[str, ...] = tuple(ALGORITHMS)
    types: tuple[str, ...] = ("at+jwt", "JWT", "")
    min_refresh: Seconds = 60
    max_refresh: Seconds = 900
    cool_down: Seconds = 30
    spacing: Seconds = 2
    max_stale: Seconds = 86_400
    timeout: Seconds = 5

    def __post_init__(self) -> None:
        if not self.issuer:
            raise SettingInvalid("setting 'issuer' of a foreign issuer must not be empty")
        self._check_place()
        if not self.algorithms or not set(self.algorithms) <= set(ALGORITHMS):
            raise self._invalid("algorithms", f"must be some of {', '.join(ALGORITHMS)}, not {self.algorithms!r}")
        if not self.types:
            raise self._invalid("types", "must name at least one; '' stands for tokens without typ")
        self._check_times()

    def accepts_type(self, typ: str) -> bool:
        """Whether tokens with this ``typ``, ``""`` for none, are taken; ``application/`` is optional (RFC 7515)."""
        return typ.lower().removeprefix("application/") in {one.lower() for one in self.types}

    def _check_place(self) -> None:
        try:
            if self.jwks_uri is not None:
                check_url(self.jwks_uri)
            else:
                metadata_urls(self.issuer)
        except JwksFailed as error:
            if self.jwks_uri is not None:
                raise self._invalid("jwks_uri", error.detail) from error
            raise self._invalid("jwks_uri", f"is missing, and the issuer cannot be asked: {error.detail}") from error

    def _check_times(self) -> None:
        for name in ("min_refresh", "cool_down", "spacing", "timeout"):
            if not getattr(self, name) > 0:
                raise self._invalid(name, "must be more than 0")
        for lower, upper in (("min_refresh", "max_refresh"), ("max_refresh", "max_stale"), ("spacing", "cool_down")):
            low, high = getattr(self, lower), getattr(self, upper)
            if not low <= high:
                raise self._invalid(upper, f"must be {low:g} s ({lower}) or more, not {high:g} s")

    def _invalid(self, name: str, text: str) -> SettingInvalid:
        return SettingInvalid(f"setting {name!r} of foreign issuer {self.issuer!r}: {text}")


def read_foreign_issuers(tables: Iterable[Mapping[str, Any]], path: Path | None = None) -> tuple[ForeignIssuer, ...]:
    """The foreign issuers that a configuration file names, one table each.

    Args:
        tables: as TOML gave them.
        path: the file, for messages.

    Raises:
        SettingInvalid: a value is missing or not allowed, a name is not known, or an issuer stands there twice.
    """
    issuers = read_tables(ForeignIssuer, list(tables), "setting 'foreign_issuers'", path)
    check_issuers(issuers)
    return issuers


def check_issuers(issuers: Sequence[ForeignIssuer]) -> None:
    """Refuse too many, and one that stands there twice.

    Raises:
        SettingInvalid: so it is.
    """
    names = [foreign.issuer for foreign in issuers]
    if len(names) > MAX_ISSUERS:
        raise SettingInvalid(f"{len(names)} foreign issuers, more than {MAX_ISSUERS}")
    for name in names:
        if names.count(name) > 1:
            raise SettingInvalid(f"foreign issuer {name!r} stands there {names.count(name)} times")


def refuse_own_issuer(own: str, foreign: Iterable[ForeignIssuer]) -> None:
    """Our own keys come from signed events alone: a JWKS document must never bring one in, least of all a revoked one.

    Raises:
        SettingInvalid: the agent's own issuer is among the foreign ones, with or without a slash at its end.
    """
    for one in foreign:
        if one.issuer.rstrip("/") == own.rstrip("/"):
            raise SettingInvalid(
                f"foreign issuer {one.issuer!r} is the agent's own: its keys come from signed events, never from JWKS"
            )
