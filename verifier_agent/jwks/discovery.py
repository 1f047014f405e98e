"""Where an issuer's keys are: which URLs may be asked at all, and what its metadata say."""

import ipaddress
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from verifier_agent.jwks.errors import FailureCode, JwksFailed

MAX_METADATA_BYTES: Final = 256 * 1024
MAX_URL_CHARS: Final = 2048


class _Metadata(msgspec.Struct):
    """OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2; what concerns us."""

    issuer: str
    jwks_uri: str


_DECODER: Final = msgspec.json.Decoder(_Metadata)


def check_url(url: str) -> None:
    """Whether keys may be asked for there: by https, or without TLS on this machine alone.

    Raises:
        JwksFailed: ``unsafe_url``.
    """
    _checked(url)


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where an issuer's metadata may be: OpenID Connect Discovery section 4, then RFC 8414 section 3.1.

    Raises:
        JwksFailed: ``unsafe_url``.
    """
    parts = _checked(issuer)
    if "?" in issuer:
        raise JwksFailed(FailureCode.UNSAFE_URL, "it must have no query")
    path = parts.path.rstrip("/")
    origin = f"{parts.scheme}://{parts.netloc}"
    return (
        f"{origin}{path}/.well-known/openid-configuration",
        f"{origin}/.well-known/oauth-authorization-server{path}",
    )


def jwks_uri_of(metadata: bytes, issuer: str) -> str:
    """Where the keys are by the issuer's metadata.

    1 a JSON object with the two members · 2 the issuer, letter by letter (RFC 8414 section 3.3) · 3 a URL that may be
    asked · 4 on this machine only if the issuer is too, or metadata could point at whatever listens here.

    Raises:
        JwksFailed: ``not_metadata``, ``wrong_issuer`` or ``unsafe_url``.
    """
    try:
        found = _DECODER.decode(metadata)  # 1
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise JwksFailed(FailureCode.NOT_METADATA, "the metadata name no issuer and jwks_uri") from error
    if found.issuer != issuer:  # 2
        raise JwksFailed(FailureCode.WRONG_ISSUER, f"the metadata are of issuer {found.issuer[:256]!r}")
    parts = _checked(found.jwks_uri)  # 3
    if _is_loopback(parts) and not _is_loopback(urlsplit(issuer)):  # 4
        raise JwksFailed(FailureCode.UNSAFE_URL, "the metadata of an issuer elsewhere point at this machine")
    return found.jwks_uri


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise JwksFailed(FailureCode.UNSAFE_URL, "it is no URL") from error
    if not host or len(url) > MAX_URL_CHARS or not url.isprintable() or " " in url:
        raise JwksFailed(FailureCode.UNSAFE_URL, "it is no URL of a server")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts)):
        raise JwksFailed(FailureCode.UNSAFE_URL, "it must be an https URL (http on this machine alone)")
    if "@" in parts.netloc or "#" in url:
        raise JwksFailed(FailureCode.UNSAFE_URL, "it must name no user and no fragment")
    return parts


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
