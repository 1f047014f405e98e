"""Where the Kafka brokers are, what the topics are called, and how to log in: what a kafka:// URL says."""

import ssl
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from events.errors import LogMisconfigured
from events.streams import Stream

MAX_MESSAGE_BYTES: Final = 1_048_576
CALL_SECONDS: Final = 5.0
"""Longest wait for an answer of the broker; the client's own default is 40."""

_OPTIONS: Final = {"prefix", "security", "mechanism", "ca", "replication"}
_CHOICES: Final = {
    "security": ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "mechanism": ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class KafkaSettings:
    """Where the brokers are and what the topics are called.

    Attributes:
        servers: ``host:port`` of the bootstrap brokers.
        prefix: before each stream's name in its topic (option ``prefix``).
        security: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL (option ``security``).
        mechanism: SASL mechanism, such as SCRAM-SHA-512 (option ``mechanism``).
        user: SASL user name, from the URL.
        password: SASL password, from the URL; not in the ``repr``.
        ca: file of certificate authorities (option ``ca``).
        replication: replicas of each topic (option ``replication``).
    """

    servers: tuple[str, ...]
    prefix: str = "tocsin."
    security: str = "PLAINTEXT"
    mechanism: str = "SCRAM-SHA-512"
    user: str | None = None
    password: str | None = None
    ca: str | None = None
    replication: int = 1

    @classmethod
    def parse(cls, url: str) -> Self:
        """The settings in ``kafka://[user:password@]host:port[,host:port…][?option=value…]``.

        Raises:
            LogMisconfigured: no broker is named, an option or its value is unknown, or credentials are missing; the
                message holds no password.
        """
        parts = urlsplit(url)
        credentials, _, hosts = parts.netloc.rpartition("@")
        servers = tuple(host for host in hosts.split(",") if host)
        if not servers or not all(host.rpartition(":")[2].isdigit() for host in servers):
            raise LogMisconfigured("a kafka:// URL names its brokers: kafka://host:port[,host:port…]")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        unknown = sorted(set(options) - _OPTIONS)
        if unknown:
            raise LogMisconfigured(f"kafka:// knows no option {unknown[0]!r}; it has {', '.join(sorted(_OPTIONS))}")
        for name, allowed in _CHOICES.items():
            if options.get(name, allowed[0]) not in allowed:
                raise LogMisconfigured(f"kafka:// option {name} must be one of {', '.join(allowed)}")
        replication = options.pop("replication", "1")
        if not replication.isdecimal() or not int(replication):
            raise LogMisconfigured(f"kafka:// option replication must be a number from 1 on, not {replication!r}")
        user, _, password = credentials.partition(":")
        if options.get("security", "").startswith("SASL") and not (user and password):
            raise LogMisconfigured(f"kafka:// with {options['security']} needs a user and a password in the URL")
        return cls(
            servers=servers,
            user=unquote(user) or None,
            password=unquote(password) or None,
            replication=int(replication),
            **options,
        )

    def __repr__(self) -> str:
        return f"KafkaSettings(servers={self.servers!r}, prefix={self.prefix!r}, security={self.security!r})"

    def topic(self, stream: Stream) -> str:
        """The topic that carries ``stream``."""
        return f"{self.prefix}{stream}"

    def connection(self) -> dict[str, Any]:
        """What every client of aiokafka is given.

        Raises:
            LogMisconfigured: the certificate authorities cannot be read.
        """
        shared: dict[str, Any] = {"bootstrap_servers": list(self.servers), "security_protocol": self.security}
        if "SSL" in self.security.split("_"):
            try:
                shared["ssl_context"] = ssl.create_default_context(cafile=self.ca)
            except OSError as error:
                raise LogMisconfigured(f"kafka:// option ca: {self.ca}: {error}") from error
        if self.security.startswith("SASL"):
            shared |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        return shared
