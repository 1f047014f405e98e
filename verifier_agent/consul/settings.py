"""Where Consul is, and what it is used for."""

import re
import ssl
from pathlib import Path
from typing import Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from verifier_agent.configuration import Secret
from verifier_agent.errors import SettingInvalid
from verifier_agent.settings import settings_repr

DEFAULT_PORT: Final = 8500
DEFAULT_PREFIX: Final = "tocsin"
_PREFIX: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_OPTIONS: Final = frozenset({"ca", "cert", "key", "dc"})
_FORM: Final = "http[s]://[:acl-token@]host[:port][/prefix][?ca=…&cert=…&key=…&dc=…]"


class ConsulPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where Consul is and how to log in: what the URL says.

    Attributes:
        host: of an agent or server.
        port: of its HTTP API.
        tls: whether to speak TLS.
        prefix: folder in the key-value store that all our keys are under.
        token: ACL token.
        ca: file of certificate authorities; the machine's by default.
        cert: file with our certificate, where Consul asks for one.
        key: file with its private key; in ``cert`` by default.
        dc: datacenter; that of the agent by default.
    """

    host: str
    port: int = DEFAULT_PORT
    tls: bool = False
    prefix: str = DEFAULT_PREFIX
    token: Secret | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    dc: str | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """The place that a URL names; nothing is connected.

        Raises:
            SettingInvalid: it is of another form; the message holds nothing of the URL that could be a secret.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
            options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        except ValueError:  # its message holds the URL
            raise _invalid(f"must be {_FORM}") from None
        if parts.scheme not in ("http", "https") or not host or parts.fragment or parts.username:
            raise _invalid(f"must be {_FORM}")
        if set(options) - _OPTIONS:
            raise _invalid(f"has an option that there is not; there are {', '.join(sorted(_OPTIONS))}")
        tls = parts.scheme == "https"
        for name in ("ca", "cert", "key"):
            if name in options and not tls:
                raise _invalid(f"has the option {name}, which is for TLS alone: https://")
            if name in options and not Path(options[name]).is_file():
                raise _invalid(f"has an option {name} that names no file: {options[name]!r}")
        prefix = unquote(parts.path).strip("/") or DEFAULT_PREFIX
        if not _PREFIX.fullmatch(prefix):
            raise _invalid("must have a prefix of letters, digits, '.', '_', '-' and '/'")
        token = Secret(unquote(parts.password)) if parts.password else None
        return cls(host=host, port=port or DEFAULT_PORT, tls=tls, prefix=prefix, token=token, **options)

    @property
    def url(self) -> str:
        """The address, fit to be shown."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}/{self.prefix}"

    def tls_context(self) -> ssl.SSLContext | None:
        """How to speak TLS, or ``None`` where it is not spoken.

        Raises:
            SettingInvalid: a file is no certificate or key.
        """
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.cert is not None:
                context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as error:
            raise _invalid(f"has a ca, cert or key that cannot be used: {error.strerror or error}") from error
        return context


class ConsulSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a program uses Consul for.

    Attributes:
        consul: URL, see ``ConsulPlace``; without it there is no Consul.
        consul_cache: folder to keep the last good configuration in, for a start with Consul away.
        consul_register: whether to register as a service, with a health check.
        consul_address: at which others reach this program, for that; the address that it listens on by default.
    """

    consul: str | None = None
    consul_cache: Path | None = None
    consul_register: bool = False
    consul_address: str | None = None

    def __post_init__(self) -> None:
        if self.consul is not None:
            ConsulPlace.parse(self.consul).tls_context()
        elif self.consul_register:
            raise SettingInvalid("setting 'consul_register' needs the setting 'consul'")

    def __repr__(self) -> str:
        return settings_repr(self, "consul")

    def place(self) -> ConsulPlace | None:
        """Where Consul is, if there is one."""
        return None if self.consul is None else ConsulPlace.parse(self.consul)


def _invalid(text: str) -> SettingInvalid:
    return SettingInvalid(f"setting 'consul' {text}")
