"""Settings of the command line itself, and the names of all settings there are."""

from pathlib import Path
from typing import ClassVar, Final

import msgspec

from issuer.settings import IssuerSettings, check_issuer
from verifier_agent import AgentSettings, Secret, SettingInvalid
from verifier_agent.consul import ConsulSettings
from verifier_agent.sidecar import SidecarSettings


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How programs log.

    Attributes:
        log_level: DEBUG, INFO, WARNING, ERROR or CRITICAL.
        log_format: ``json`` for machines, ``text`` for people; chosen by where the log goes when absent.
    """

    HOT: ClassVar[frozenset[str]] = frozenset({"log_level"})

    log_level: str = "INFO"
    log_format: str | None = None

    def __post_init__(self) -> None:
        if self.log_level not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
            raise SettingInvalid(
                f"setting 'log_level' must be DEBUG, INFO, WARNING, ERROR or CRITICAL: {self.log_level!r}"
            )
        if self.log_format not in (None, "json", "text"):
            raise SettingInvalid(f"setting 'log_format' must be json or text, not {self.log_format!r}")


class OperatorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How an operator reaches the issuer.

    Attributes:
        issuer: the issuer's URL.
        operator_file: JSON with ``client_id`` and ``client_secret``, as ``tocsin init`` writes it.
        operator_id: ``client_id``, instead of the file.
        operator_secret: ``client_secret``, instead of the file.
    """

    issuer: str
    operator_file: Path | None = None
    operator_id: str | None = None
    operator_secret: Secret | None = None

    def __post_init__(self) -> None:
        check_issuer(self.issuer)  # the secret is sent there


class Credentials(msgspec.Struct, frozen=True):
    """The file that ``operator_file`` names."""

    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return f"Credentials(client_id={self.client_id!r})"


def operator_credentials(settings: OperatorSettings) -> Credentials:
    """Who the operator is.

    Raises:
        SettingInvalid: neither the file nor both settings are there, or the file is not that.
    """
    if settings.operator_id and settings.operator_secret:
        return Credentials(settings.operator_id, settings.operator_secret.reveal())
    if settings.operator_file is None:
        raise SettingInvalid(
            "an operator is needed: set TOCSIN_OPERATOR_FILE, or TOCSIN_OPERATOR_ID and TOCSIN_OPERATOR_SECRET"
        )
    try:
        return msgspec.json.decode(settings.operator_file.read_bytes(), type=Credentials)
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingInvalid(f"setting 'operator_file': {settings.operator_file}: {error}") from error


_KINDS: Final[tuple[type[msgspec.Struct], ...]] = (
    AgentSettings,
    SidecarSettings,
    IssuerSettings,
    OperatorSettings,
    LogSettings,
    ConsulSettings,
)
ALL_NAMES: Final = frozenset(field.name for kind in _KINDS for field in msgspec.structs.fields(kind))
