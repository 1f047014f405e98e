"""What the issuer is told at start."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import ClassVar, Final, Literal
from urllib.parse import urlsplit

import msgspec

from events.records import MAX_SKEW
from issuer.keys.key_list import SealedEntry, read_list
from issuer.keys.life_cycle import KeyPolicy
from issuer.keys.pkcs11_uri import Pkcs11Uri
from issuer.keys.schedule import Schedule
from issuer.limits.rate import Rate
from verifier_agent import Seconds, Secret, SettingInvalid
from verifier_agent.settings import settings_repr

MOST_WORKERS: Final = 64
MOST_LOGIN_DELAY: Final = 86_400.0
Algorithm = Literal["ES256", "RS256", "EdDSA"]

MOST_RETIRING: Final = 100
"""Token keys that have ceased to sign and verify still, at most: a key set is one event."""


_PATH: Final = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*")


class IssuerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one issuer process. Replicas of one issuer share everything but host and port.

    Attributes:
        issuer: its identifier (RFC 8414 section 2): an https URL, or http on a loopback address.
        store: ``sqlite:///file`` or ``postgresql://user:password@host/database``.
        log: URL of the event log, see ``events.log.open_log``.
        kek_file: file with the key-encryption key that private keys are sealed with, 32 bytes in base64.
        kek: the key itself, instead of the file.
        kek_uri: PKCS #11 URI of a key in a hardware security module, instead of either.
        other_kek_files: files with further key-encryption keys, which open what they have sealed and seal nothing:
            those before, and the one to come.
        other_keks: such keys themselves.
        other_kek_uris: such keys in hardware security modules.
        host: address to listen on.
        port: port to listen on.
        audience: ``aud`` of tokens of clients that have none of their own.
        signing_algorithms: for which there are keys; the first is the default.
        signing_keys: ordered list of sealed token keys, the first of which signs, see ``issuer.keys.key_list``.
        access_token_lifetime: unless a client has its own.
        id_token_lifetime: of ID tokens: a client looks at one when it comes, and never again.
        token_lifetime_ceiling: no token lives longer, whatever a client has; the log's retention must cover it.
        skew: by how much the clocks of verifiers may differ.
        grant_lifetime: longest time from the login of a user to the end of what comes of it, however often renewed.
        refresh_token_lifetime: how long a refresh token may lie unused.
        refresh_grace: for how long after its use a refresh token may be used again, if its successor has not been.
        session_lifetime: longest time that a login in a browser is good for, however much it is used.
        session_idle_lifetime: how long such a login may lie unused.
        logout_revokes_tokens: whether logging out also revokes, by event, all tokens that came of the session.
        password_grant: whether there is the password grant, which RFC 9700 section 2.4 forbids.
        user_claims: claims of a user's record that access tokens bear.
        feed: who may read ``/events``: with a ``token`` of scope ``tocsin.events``, whoever comes (``open``), or nobody
            (``off``).
        feed_readers: most connections to the feed at once.
        leader_lock: what says which replica rotates keys: the ``store``, ``redis`` or ``consul``.
        redis: URL of a Redis, for that.
        rotate_every: for how long a token key signs; 0 for no limit.
        rotate_after_signatures: how many tokens it signs; 0 for no limit.
        rotate_at: moments at which keys are rotated, ``03:00`` each day or ``Sun 03:00`` each week, UTC.
        activation_timeout: how long a rotation that is due waits for agents that have not acknowledged the standby.
        jwks_lead_time: how long a standby is in the JWKS document before it signs, for those who poll that.
        migrate: whether to bring the store's tables up to date at start.
        client_token_rate: how often one client may ask for tokens, and for codes of devices, in each process; see
            ``issuer.limits.rate.Rate``.
        client_revocation_rate: how often one client may give back tokens.
        client_introspection_rate: how often one client may ask about tokens.
        address_rate: how often one address may ask for any of these, whoever asks there; operators are not counted.
        login_attempts: wrong passwords for one user from one address before further ones have to wait.
        login_max_delay: longest wait after wrong passwords.
        trusted_proxies: networks (CIDR) whose word about the address of a client is taken.
        proxy_header: the header in which they say it; the other is nobody's word.
        tls_cert: file with the certificate and its chain, in PEM; with it the issuer speaks TLS.
        tls_key: file with its private key.
        access_log: whether every request is logged.
        drain_time: for how long ``/readyz`` says 503 before a process that is to stop takes no more connections.
        stop_timeout: how long requests may then take to end.
        workers: processes that listen on the port together.
    """

    HOT: ClassVar[frozenset[str]] = frozenset(
        {
            "access_token_lifetime",
            "id_token_lifetime",
            "grant_lifetime",
            "refresh_token_lifetime",
            "refresh_grace",
            "user_claims",
            "audience",
            "signing_keys",
            "rotate_every",
            "rotate_after_signatures",
            "rotate_at",
            "activation_timeout",
            "jwks_lead_time",
            "session_lifetime",
            "session_idle_lifetime",
            "logout_revokes_tokens",
        }
    )
    """What may change while an issuer runs."""

    issuer: str
    store: str
    log: str
    kek_file: Path | None = None
    kek: Secret | None = None
    kek_uri: str | None = None
    other_kek_files: tuple[Path, ...] = ()
    other_keks: tuple[Secret, ...] = ()
    other_kek_uris: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8080
    audience: str = "default"
    signing_algorithms: tuple[Algorithm, ...] = ("ES256",)
    signing_keys: tuple[SealedEntry, ...] = ()
    access_token_lifetime: Seconds = 900
    id_token_lifetime: Seconds = 300
    token_lifetime_ceiling: Seconds = 86_400
    skew: Seconds = 5
    grant_lifetime: Seconds = 30 * 86_400
    refresh_token_lifetime: Seconds = 7 * 86_400
    refresh_grace: Seconds = 10
    session_lifetime: Seconds = 12 * 3600
    session_idle_lifetime: Seconds = 3600
    logout_revokes_tokens: bool = False
    password_grant: bool = False
    user_claims: tuple[str, ...] = ("roles", "tenant")
    feed: Literal["token", "open", "off"] = "token"
    feed_readers: int = 1000
    leader_lock: Literal["store", "redis", "consul"] = "store"
    redis: str | None = None
    rotate_every: Seconds = 0
    rotate_after_signatures: int = 0
    rotate_at: tuple[str, ...] = ()
    activation_timeout: Seconds = 600
    jwks_lead_time: Seconds = 120
    migrate: bool = True
    client_token_rate: str = "500/s burst 5000"  # noqa: S105 - a rate
    client_revocation_rate: str = "50/s burst 500"
    client_introspection_rate: str = "500/s burst 5000"
    address_rate: str = "1000/s burst 10000"
    login_attempts: int = 5
    login_max_delay: Seconds = 900
    trusted_proxies: tuple[str, ...] = ()
    proxy_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    access_log: bool = True
    drain_time: Seconds = 0
    stop_timeout: Seconds = 5
    workers: int = 1

    def __post_init__(self) -> None:
        check_issuer(self.issuer)
        if self.log.partition(":")[0].lower() in ("https", "http"):
            raise SettingInvalid("setting 'log' is an event feed, which can only be read; an issuer writes to its log")
        if self.feed_readers < 1:
            raise SettingInvalid(f"setting 'feed_readers' must be 1 or more, not {self.feed_readers}")
        self._check_keks()
        if self.leader_lock == "redis" and self.redis is None:
            raise SettingInvalid("setting 'leader_lock' is redis, and the setting 'redis' names none")
        if not 0 <= self.port < 65536:
            raise SettingInvalid(f"setting 'port' must be 0 to 65535, not {self.port}")
        if self.skew > MAX_SKEW:
            raise SettingInvalid(f"setting 'skew' must be {MAX_SKEW:.0f} s or less, not {self.skew:g} s")
        if not self.signing_algorithms:
            raise SettingInvalid("setting 'signing_algorithms' must name at least one of ES256, RS256, EdDSA")
        if len(set(self.signing_algorithms)) != len(self.signing_algorithms):
            raise SettingInvalid(f"setting 'signing_algorithms' repeats itself: {', '.join(self.signing_algorithms)}")
        read_list(self.signing_keys)
        self._check_lifetime("access_token_lifetime", self.access_token_lifetime)
        self._check_lifetime("id_token_lifetime", self.id_token_lifetime)
        _check_limits(self)
        _check_operation(self)

    def _check_lifetime(self, name: str, lifetime: float) -> None:
        if not 1 <= lifetime <= self.token_lifetime_ceiling:  # keys are kept for as long as that
            raise SettingInvalid(
                f"setting '{name}' ({lifetime:g} s) must be 1 s or more "
                f"and not above 'token_lifetime_ceiling' ({self.token_lifetime_ceiling:g} s)"
            )

        self._check_rotation()

    def _check_keks(self) -> None:
        if self.kek_file is None and self.kek is None and self.kek_uri is None:
            raise SettingInvalid(
                "setting 'kek_file' is missing: set TOCSIN_KEK_FILE, or TOCSIN_KEK to the key itself, or TOCSIN_KEK_URI"
            )
        if self.kek_uri is not None and (self.kek_file is not None or self.kek is not None):
            raise SettingInvalid(
                "settings 'kek_uri' and 'kek_file' or 'kek' are both set, and one key seals: "
                "the other goes to 'other_kek_uris', 'other_kek_files' or 'other_keks'"
            )
        if self.kek_uri is not None:
            Pkcs11Uri.parse(self.kek_uri, "kek_uri")
        for uri in self.other_kek_uris:
            Pkcs11Uri.parse(uri, "other_kek_uris")

    def _check_rotation(self) -> None:
        if self.rotate_after_signatures < 0:
            raise SettingInvalid(
                f"setting 'rotate_after_signatures' must be 0 or more, not {self.rotate_after_signatures}"
            )
        if self.rotate_every and self.rotate_every < self.jwks_lead_time:
            raise SettingInvalid(
                f"setting 'rotate_every' ({self.rotate_every:g} s) must not be below "
                f"'jwks_lead_time' ({self.jwks_lead_time:g} s): no standby would be known in time"
            )
        if self.rotate_every and self.token_lifetime_ceiling > MOST_RETIRING * self.rotate_every:
            raise SettingInvalid(
                f"setting 'rotate_every' ({self.rotate_every:g} s) must be 1/{MOST_RETIRING} of "
                f"'token_lifetime_ceiling' ({self.token_lifetime_ceiling:g} s) or more: old keys verify for so long"
            )
        self.key_policy()

    def key_policy(self) -> KeyPolicy:
        """When keys are rotated, and what that waits for."""
        try:
            schedules = tuple(Schedule.parse(text) for text in self.rotate_at)
        except ValueError as error:
            raise SettingInvalid(f"setting 'rotate_at': {error}") from error
        return KeyPolicy(
            rotate_every=self.rotate_every,
            rotate_after_signatures=self.rotate_after_signatures,
            rotate_at=schedules,
            activation_timeout=self.activation_timeout,
            jwks_lead_time=self.jwks_lead_time,
        )

    def __repr__(self) -> str:
        return settings_repr(self, "store", "log", "redis")

    def check_workers(self, workers: int) -> None:
        """Refuse a number of workers that cannot be with these settings.

        Raises:
            SettingInvalid: it cannot.
        """
        if not 1 <= workers <= MOST_WORKERS:
            raise SettingInvalid(f"setting 'workers' must be 1 to {MOST_WORKERS}, not {workers}")
        if workers > 1 and self.log.startswith("memory:"):
            raise SettingInvalid("setting 'workers' must be 1 with a log in memory: no other process sees that")


def _check_limits(settings: IssuerSettings) -> None:
    for name in ("client_token_rate", "client_revocation_rate", "client_introspection_rate", "address_rate"):
        try:
            Rate.parse(getattr(settings, name))
        except ValueError as error:
            raise SettingInvalid(f"setting {name!r}: {error}") from error
    if settings.login_attempts < 1:
        raise SettingInvalid(f"setting 'login_attempts' must be 1 or more, not {settings.login_attempts}")
    if not 1 <= settings.login_max_delay <= MOST_LOGIN_DELAY:
        raise SettingInvalid(
            f"setting 'login_max_delay' must be 1 s to {MOST_LOGIN_DELAY:.0f} s, not {settings.login_max_delay:g} s"
        )


def _check_operation(settings: IssuerSettings) -> None:
    for network in settings.trusted_proxies:
        try:
            ip_network(network)
        except ValueError as error:
            raise SettingInvalid(f"setting 'trusted_proxies': {error}; write 10.1.0.0/16, or one address") from error
    if (settings.tls_cert is None) != (settings.tls_key is None):
        missing = "tls_key" if settings.tls_key is None else "tls_cert"
        raise SettingInvalid(f"setting {missing!r} is missing: TLS takes a certificate and its key")
    settings.check_workers(settings.workers)


def check_issuer(issuer: str) -> None:
    """Refuse what cannot be an issuer's identifier (RFC 8414 section 2).

    Raises:
        SettingInvalid: it is no https URL, or http on a loopback address, or has parts that it must not have.
    """
    try:
        parts = urlsplit(issuer)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise SettingInvalid(f"setting 'issuer' is no URL: {issuer!r}") from error
    local = host in ("localhost", "127.0.0.1", "::1")
    if not host or (parts.scheme != "https" and not (parts.scheme == "http" and local)):
        raise SettingInvalid(f"setting 'issuer' must be an https URL, or http on loopback, not {issuer!r}")
    if parts.query or parts.fragment or issuer.endswith("/"):
        raise SettingInvalid(f"setting 'issuer' has no query, fragment or slash at its end: {issuer!r}")
    if not _PATH.fullmatch(parts.path):  # it becomes part of addresses, and is compared letter by letter
        raise SettingInvalid("setting 'issuer' has a path of other characters than letters, digits, '.', '_', '~', '-'")
