"""What configuration is in force, where each value came from, and what was refused and why."""

from pathlib import Path
from typing import Any

import msgspec

from verifier_agent.configuration import Secret, Sources, is_secret
from verifier_agent.settings import without_secrets


class SettingReport(msgspec.Struct, frozen=True, kw_only=True):
    """One setting.

    Attributes:
        name: of the setting.
        value: in force; secrets and passwords are left out.
        source: the file, variable or key that it came from, or ``default``.
        hot: whether it can change while the program runs.
    """

    name: str
    value: Any
    source: str
    hot: bool


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A change that was refused whole.

    Attributes:
        source: who brought it: ``file`` or ``consul``.
        time: when, seconds since the epoch.
        detail: which setting, from where, and what is allowed.
    """

    source: str
    time: float
    detail: str


class ConfigurationReport(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of one program.

    Attributes:
        settings: every one, by name.
        refused: by its source, the change that stands there and is not in force.
        waiting: settings that the file says otherwise, and that take a restart.
        changes: how often something came into force since the start.
        consul: what is known of Consul, where one is used.
    """

    settings: tuple[SettingReport, ...]
    refused: dict[str, Refusal]
    waiting: tuple[str, ...]
    changes: int
    consul: dict[str, Any] | None = None


def reported(settings: msgspec.Struct, sources: Sources, hot: frozenset[str]) -> list[SettingReport]:
    """Each field of ``settings``, fit to be shown."""
    return [
        SettingReport(
            name=field.name,
            value=_shown(field.type, getattr(settings, field.name)),
            source=sources.origin(field.name),
            hot=field.name in hot,
        )
        for field in msgspec.structs.fields(type(settings))
    ]


def _shown(kind: Any, value: Any) -> Any:
    if isinstance(value, Secret):
        return value.shown
    if value and is_secret(kind):
        shown = [each.shown for each in value]
        return "…" if set(shown) == {"…"} else shown
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str) and "://" in value:
        return without_secrets(value)
    if isinstance(value, tuple | list):
        return [repr(each) if isinstance(each, msgspec.Struct) else _shown(None, each) for each in value]
    return value
