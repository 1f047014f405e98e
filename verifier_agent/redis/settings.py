"""Where Redis is and how to log in: what a redis URL says."""

from enum import StrEnum
from pathlib import Path
from typing import Final, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

from verifier_agent.configuration import Secret
from verifier_agent.errors import SettingInvalid

DEFAULT_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
MAX_PREFIX: Final = 64

_OPTIONS: Final = ("ca", "sentinel_user", "sentinel_password")
_FORMS: Final = (
    "redis://host[:port][/database], redis+sentinel://host[:port][,host[:port]…]/master[/database] "
    "or redis+cluster://host[:port][,host[:port]…]; rediss in the place of redis for TLS"
)


class Deployment(StrEnum):
    """How the servers are put together."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class RedisPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where Redis is.

    Attributes:
        deployment: one server, a master watched by sentinels, or a cluster.
        hosts: host and port of the server, of the sentinels, or of some nodes of the cluster.
        tls: whether to speak TLS, with sentinels too.
        database: number of the logical database; a cluster has only 0.
        master: name by which the sentinels know the master.
        user: from the URL.
        password: from the URL.
        ca: file of certificate authorities (option ``ca``); the machine's by default.
        sentinel_user: for the sentinels (option ``sentinel_user``).
        sentinel_password: for the sentinels (option ``sentinel_password``).
    """

    deployment: Deployment
    hosts: tuple[tuple[str, int], ...]
    tls: bool = False
    database: int = 0
    master: str = ""
    user: Secret | None = None
    password: Secret | None = None
    ca: str | None = None
    sentinel_user: Secret | None = None
    sentinel_password: Secret | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """The place that a URL names; nothing is connected.

        Raises:
            SettingInvalid: it is of another form, or an option or its value is unknown; the message holds nothing of
                the URL that could be a password.
        """
        try:
            parts = urlsplit(url)
        except ValueError:  # its message holds the URL
            raise _invalid(f"must be {_FORMS}") from None
        scheme, _, kind = parts.scheme.partition("+")
        if scheme not in ("redis", "rediss") or kind not in ("", "sentinel", "cluster"):
            raise _invalid(f"must be {_FORMS}")
        deployment = Deployment(kind or "single")
        login, _, hosts = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        master, database = _path(deployment, parts)
        options = _options(deployment, scheme == "rediss", parts.query)
        return cls(
            deployment=deployment,
            hosts=_hosts(deployment, hosts),
            tls=scheme == "rediss",
            database=database,
            master=master,
            user=_secret(user),
            password=_secret(password),
            ca=options.get("ca"),
            sentinel_user=_secret(options.get("sentinel_user", "")),
            sentinel_password=_secret(options.get("sentinel_password", "")),
        )

    @property
    def is_cluster(self) -> bool:
        """Whether keys lie on several servers."""
        return self.deployment is Deployment.CLUSTER


def check_prefix(name: str, prefix: str) -> None:
    """Refuse a prefix of keys that would not do.

    Args:
        name: of the setting.
        prefix: its value.

    Raises:
        SettingInvalid: it is too long, not plain text, or holds what has a meaning in patterns or to a cluster.
    """
    if len(prefix) > MAX_PREFIX or not prefix.isascii() or any(one in r" {}[]*?\^" for one in prefix):
        raise SettingInvalid(
            f"setting {name!r} must be up to {MAX_PREFIX} ASCII characters without spaces and {{}}[]*?\\^"
        )


def _path(deployment: Deployment, parts: SplitResult) -> tuple[str, int]:
    """Name of the master and number of the database."""
    segments = [unquote(segment) for segment in parts.path.split("/") if segment]
    master = segments.pop(0) if deployment is Deployment.SENTINEL and segments else ""
    if deployment is Deployment.SENTINEL and not master:
        raise _invalid("must name the master that the sentinels watch: redis+sentinel://host:port/master")
    number = segments.pop(0) if segments else "0"
    if segments or parts.fragment or not (number.isascii() and number.isdecimal() and len(number) < 6):
        raise _invalid(f"must be {_FORMS}; special characters in a password are written as %40, %2F, %23, %3F")
    if deployment is Deployment.CLUSTER and int(number):
        raise _invalid("must name no database but 0, as a cluster has no other")
    return master, int(number)


def _hosts(deployment: Deployment, text: str) -> tuple[tuple[str, int], ...]:
    usual = SENTINEL_PORT if deployment is Deployment.SENTINEL else DEFAULT_PORT
    hosts = tuple(_host(one, usual) for one in text.split(","))
    if deployment is Deployment.SINGLE and len(hosts) > 1:
        raise _invalid("names several hosts; that is for redis+sentinel:// and redis+cluster://")
    return hosts


def _host(text: str, usual: int) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):  # an IPv6 address without a port
        host, port = text, str(usual)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host or not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65_536):
        raise _invalid("must name each host as host or host:port, with a port from 1 to 65535")
    return host, int(port)


def _options(deployment: Deployment, tls: bool, query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    if set(options) - set(_OPTIONS):
        raise _invalid(f"has an option that there is not; there are {', '.join(_OPTIONS)}")
    if "ca" in options and not tls:
        raise _invalid("has the option ca, which is for TLS alone: rediss://")
    if "ca" in options and not Path(options["ca"]).is_file():
        raise _invalid(f"has an option ca that names no file: {options['ca']!r}")
    if deployment is not Deployment.SENTINEL and any(name.startswith("sentinel_") for name in options):
        raise _invalid("has an option for sentinels, and none of these: redis+sentinel://")
    return options


def _secret(text: str) -> Secret | None:
    return Secret(unquote(text)) if text else None


def _invalid(text: str) -> SettingInvalid:
    return SettingInvalid(f"setting 'redis' {text}")
