"""Grants by type, from the entry point group ``tocsin.grants``: ours, and an application's own."""

from importlib.metadata import entry_points
from typing import Any, Final

from issuer.grants.grant import Grant
from issuer.parts import Parts
from issuer.settings import IssuerSettings

GROUP: Final = "tocsin.grants"


def offered_grants(settings: IssuerSettings) -> dict[str, Any]:
    """The class of each grant that is installed and offered under these settings, by type.

    Raises:
        ValueError: two have the same ``grant_type``.
    """
    offered: dict[str, Any] = {}
    for entry in entry_points(group=GROUP):
        kind = entry.load()
        if not getattr(kind, "is_offered", _always)(settings):
            continue
        if kind.grant_type in offered:
            raise ValueError(f"entry point {entry.name!r} in {GROUP} brings a second grant {kind.grant_type!r}")
        offered[kind.grant_type] = kind
    return offered


def load_grants(parts: Parts) -> dict[str, Grant]:
    """Every grant that is offered, by type.

    Raises:
        ValueError: see ``offered_grants``.
    """
    return {grant_type: kind(parts) for grant_type, kind in offered_grants(parts.settings).items()}


def _always(_settings: IssuerSettings) -> bool:
    return True
