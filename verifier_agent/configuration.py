"""Settings from a TOML file, the environment and Consul. One name a setting; ``TOCSIN_`` and upper case in the
environment.

Precedence: defaults, then the file, then the environment, then Consul.
"""

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, TypeVar, get_args, get_origin

import msgspec

from verifier_agent.errors import SettingInvalid

PREFIX: Final = "TOCSIN_"

SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SETTING_AT_FAULT: Final = re.compile(r"setting '(\w+)'(?! (?:\(?from|of|is missing)\b)")
"""How a message begins that names a setting, and neither where it stands nor what it belongs to."""


class Secret:
    """Text that must not be seen: its ``repr`` and ``str`` hide it."""

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself."""
        return self._value

    @property
    def shown(self) -> str:
        """What of it may be seen."""
        return "…"

    def check(self) -> None:
        """Make sure that it can be what it is to be; of text as such nothing is asked.

        Raises:
            ValueError: it cannot; the message shows nothing of it.
        """

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


Seconds = Annotated[float, msgspec.Meta(ge=0, extra={"unit": "seconds"})]
"""A length of time. Settings write it as ``900``, ``"15m"``, ``"1.5h"`` or ``"250ms"``; never negative."""


def parse_seconds(value: object) -> float:
    """The seconds that a setting says.

    Raises:
        ValueError: it is no length of time.
    """
    if isinstance(value, str) and (found := _DURATION.fullmatch(value.strip())):
        return float(found[1]) * _UNITS[found[2]]
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        seconds = -1.0
    if isinstance(value, bool) or not 0 <= seconds < float("inf"):
        raise ValueError(f"{value!r} is no length of time; write seconds, or a number with ms, s, m, h or d")
    return seconds


class _Origin(NamedTuple):
    name: str
    is_text: bool


@dataclasses.dataclass(frozen=True)
class Sources:
    """Where settings may stand.

    Attributes:
        environ: the environment.
        file: what the TOML file said, or nothing.
        path: that file, for messages.
        remote: what a store of configuration said, as text; it goes before all else.
        remote_name: names that store and folder, for messages.
    """

    environ: Mapping[str, str]
    file: Mapping[str, Any]
    path: Path | None = None
    remote: Mapping[str, str] = dataclasses.field(default_factory=dict)
    remote_name: str = ""

    @classmethod
    def find(cls, environ: Mapping[str, str], path: Path | None = None) -> "Sources":
        """The environment and the file at ``path``, or else the one that ``TOCSIN_CONFIG`` names.

        Raises:
            SettingInvalid: the file cannot be read or is no TOML.
        """
        named = path or (Path(environ[PREFIX + "CONFIG"]) if environ.get(PREFIX + "CONFIG") else None)
        if named is None:
            return cls(environ, {})
        try:
            return cls(environ, tomllib.loads(named.read_text()), named)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingInvalid(f"configuration file {named}: {error}") from error

    def read(self, kind: type[SettingsT]) -> SettingsT:
        """The settings of one program.

        Raises:
            SettingInvalid: a value is missing or not allowed; the message names the setting and its source.
        """
        values = self.read_some(kind)
        for field in msgspec.structs.fields(kind):
            if field.required and field.name not in values:
                raise SettingInvalid(
                    f"setting {field.name!r} is missing: set {PREFIX}{field.name.upper()}, "
                    f"or {field.name} in {self.path or 'a configuration file'}"
                )
        try:
            return kind(**values)
        except ValueError as error:
            raise SettingInvalid(located(str(error), self)) from error

    def read_some(self, kind: type[msgspec.Struct]) -> dict[str, Any]:
        """The settings of one program that stand anywhere, each checked by itself.

        Raises:
            SettingInvalid: a value is not allowed.
        """
        found = ((field, self._find(field.name)) for field in msgspec.structs.fields(kind))
        return {field.name: self._convert(field, *value) for field, value in found if value is not None}

    def origin(self, name: str) -> str:
        """Where a setting's value comes from: a file, a variable, a key of the store, or ``default``."""
        found = self._find(name)
        return "default" if found is None else found[1].name

    def check_names(self, known: Collection[str]) -> None:
        """Refuse names that no program has, with the nearest one that there is.

        Raises:
            SettingInvalid: the first such name, and its source.
        """
        variables = {name.removeprefix(PREFIX).lower(): name for name in self.environ if name.startswith(PREFIX)}
        for name in [*self.file, *variables]:
            if name in known or name == "config" or name.startswith("test_") or name == "cache":
                continue
            raise SettingInvalid(
                f"there is no setting {name!r} (from {variables.get(name, self.path)}){near(name, known)}"
            )

    def check_remote_names(self, hot: Collection[str], known: Collection[str]) -> None:
        """Refuse names in the store that no program has, or that cannot change while one runs.

        Args:
            hot: those that can.
            known: those that a program has.

        Raises:
            SettingInvalid: the first such name, and where it stands.
        """
        for name in self.remote:
            if name in hot:
                continue
            source = self._remote_source(name)
            if name in known:
                raise SettingInvalid(
                    f"setting {name!r} (from {source}) cannot change while a program runs; set it in the file or the "
                    "environment"
                )
            raise SettingInvalid(f"there is no setting {name!r} (from {source}){near(name, hot)}")

    def _find(self, name: str) -> tuple[Any, _Origin] | None:
        variable = PREFIX + name.upper()
        if name in self.remote:
            return self.remote[name], _Origin(self._remote_source(name), is_text=True)
        if self.environ.get(variable, "") != "":
            return self.environ[variable], _Origin(variable, is_text=True)
        if name in self.file:
            return self.file[name], _Origin(str(self.path), is_text=False)
        return None

    def _remote_source(self, name: str) -> str:
        return f"{self.remote_name}{name}"

    def _convert(self, field: msgspec.structs.FieldInfo, value: Any, source: _Origin) -> Any:
        if source.is_text and _is_list(field.type):
            value = [part.strip() for part in str(value).split(",") if part.strip()]
        if (kind := _table_kind(field.type)) is not None:
            return read_tables(kind, value, f"setting {field.name!r} from {source.name}", self.path)
        try:
            if field.type == Seconds:
                return parse_seconds(value)
            return _checked(msgspec.convert(value, field.type, strict=not source.is_text, dec_hook=_custom))
        except (msgspec.ValidationError, ValueError) as error:
            shown = "" if is_secret(field.type) else f": {value!r}"
            hint = f"; there are {', '.join(words)}" if (words := _choices(field.type)) else ""
            raise SettingInvalid(f"setting {field.name!r} from {source.name}{shown}: {error}{hint}") from error


def near(name: str, known: Collection[str]) -> str:
    """A hint at the nearest name that there is, or nothing."""
    found = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def located(message: str, sources: Sources) -> str:
    """A message that begins with ``setting 'name'``, with where that setting stands; any other as it is."""
    found = _SETTING_AT_FAULT.match(message)
    origin = sources.origin(found[1]) if found else "default"
    return message if found is None or origin == "default" else f"{found[0]} from {origin}{message[found.end() :]}"


def read_tables(kind: type[SettingsT], tables: Any, what: str, path: Path | None = None) -> tuple[SettingsT, ...]:
    """Settings that stand in an array of tables (``[[name]]`` in TOML).

    Args:
        kind: what each table is.
        tables: as the file gave them.
        what: names them in messages.
        path: the file, for messages.

    Raises:
        SettingInvalid: it is no such array, or a table has a wrong value or an unknown name.
    """
    if not isinstance(tables, list | tuple) or not all(isinstance(table, Mapping) for table in tables):
        raise SettingInvalid(f"{what} must be an array of tables in a configuration file, such as [[foreign_issuers]]")
    sources = [Sources({}, table, path) for table in tables]
    for each in sources:
        each.check_names({field.name for field in msgspec.structs.fields(kind)})
    return tuple(each.read(kind) for each in sources)


def _table_kind(kind: Any) -> type[msgspec.Struct] | None:
    """The kind of table that an array of them holds; ``None`` for any other setting."""
    arguments = get_args(kind)
    of_structs = (
        get_origin(kind) is tuple and isinstance(arguments[0], type) and issubclass(arguments[0], msgspec.Struct)
    )
    return arguments[0] if of_structs else None


def is_secret(kind: Any) -> bool:
    """Whether values of this type must not be shown."""
    return any(isinstance(each, type) and issubclass(each, Secret) for each in (kind, *get_args(kind)))


def _is_list(kind: Any) -> bool:
    return isinstance(msgspec.inspect.type_info(kind), msgspec.inspect.VarTupleType | msgspec.inspect.ListType)


def _checked(value: Any) -> Any:
    """A value; the secrets of a list are checked, each by itself.

    Raises:
        ValueError: one cannot be what it is to be; the message names it by its place.
    """
    for place, each in enumerate(value if isinstance(value, tuple) else (), 1):
        if isinstance(each, Secret):
            try:
                each.check()
            except ValueError as error:
                raise ValueError(f"entry {place}: {error}") from error
    return value


def _choices(kind: Any) -> tuple[str, ...]:
    """The words that a setting, or each in its list, must be one of; none for any other setting."""
    found = msgspec.inspect.type_info(kind)
    if isinstance(found, msgspec.inspect.VarTupleType):
        found = found.item_type
    if isinstance(found, msgspec.inspect.EnumType):
        return tuple(str(member.value) for member in found.cls)
    return tuple(map(str, found.values)) if isinstance(found, msgspec.inspect.LiteralType) else ()


def _custom(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(str(value)).expanduser()
    if issubclass(kind, Secret):
        return kind(str(value))
    raise NotImplementedError(kind)
