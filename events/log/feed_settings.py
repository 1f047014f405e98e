"""Where an event feed is and who reads it: what an https://…/events URL says."""

from dataclasses import dataclass
from ssl import SSLContext, create_default_context
from typing import Final, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from events.errors import LogMisconfigured

SCOPE: Final = "tocsin.events"
"""What an access token must allow for the feed to be read with it."""

_PATH: Final = "/events"
_OPTIONS: Final = ("ca", "resource")
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedSettings:
    """One feed and its reader.

    Attributes:
        url: of the feed, without credentials and options.
        token_endpoint: of the same issuer, beside the feed.
        client_id: who reads, from the URL; ``None`` for a feed that is open.
        client_secret: from the URL; not in the ``repr``.
        ca: file of certificate authorities (option ``ca``).
        resource: the issuer's identifier (option ``resource``, RFC 8707), for a client whose tokens are for another
            service unless it asks.
    """

    url: str
    token_endpoint: str
    client_id: str | None = None
    client_secret: str | None = None
    ca: str | None = None
    resource: str | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """The settings in ``https://[client:secret@]host[:port][/prefix]/events[?option=value…]``.

        Raises:
            LogMisconfigured: it is no such URL, an option is unknown, or the secret would travel unencrypted; the
                message holds no secret.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise LogMisconfigured("the URL of an event feed has a host and a port that can be read") from None
        if not host or not parts.path.endswith(_PATH) or parts.fragment:
            raise LogMisconfigured("the URL of an event feed looks like https://host[:port]/events")
        address = f"{f'[{host}]' if ':' in host else host}{'' if port is None else f':{port}'}"
        origin = f"{parts.scheme}://{address}"
        return cls(
            url=f"{origin}{parts.path}",
            token_endpoint=f"{origin}{parts.path.removesuffix(_PATH)}/oauth2/token",
            **_credentials(parts),
            **_options(parts.query),
        )

    def __repr__(self) -> str:
        return f"FeedSettings(url={self.url!r}, client_id={self.client_id!r})"

    def ssl(self) -> SSLContext | bool:
        """Whose certificates count: those of the option ``ca``, or the machine's.

        Raises:
            LogMisconfigured: the file cannot be read.
        """
        if self.ca is None:
            return True
        try:
            return create_default_context(cafile=self.ca)
        except OSError as error:
            raise LogMisconfigured(f"option ca of an event feed: {self.ca}: {error}") from error


def _credentials(parts: SplitResult) -> dict[str, str]:
    if parts.username is None and parts.password is None:
        return {}
    if not parts.username or not parts.password:
        raise LogMisconfigured("an event feed is read with a client and its secret, or with neither")
    if parts.scheme != "https" and parts.hostname not in _LOCAL:
        raise LogMisconfigured("a client's secret is sent by https:// alone, or to this machine")
    return {"client_id": unquote(parts.username), "client_secret": unquote(parts.password)}


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise LogMisconfigured(f"an event feed knows no option {unknown[0]!r}; it has {' and '.join(_OPTIONS)}")
    return options
