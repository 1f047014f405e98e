"""Where a client may have the browser sent back to: what may be registered, and what matches it (RFC 9700 2.1)."""

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

MAX_URI: Final = 2048
LOOPBACK: Final = ("127.0.0.1", "::1")
"""Addresses, not names: what ``localhost`` is, others may have a say in (RFC 8252 section 8.3)."""
_CHARACTERS: Final = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
"""RFC 3986 appendix A. A space, a backslash or a control character is read differently by every browser."""
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]+")
_PRIVATE_SCHEME: Final = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+")
"""A domain name turned round (RFC 8252 section 7.1); without a dot it may be anybody's, or ``javascript``."""

_NEVER: Final = {
    "#": "has a fragment (RFC 6749 section 3.1.2)",
    "*": "has a wildcard; every URI is registered as it is (RFC 9700 section 2.1)",
    "@": "has user information, or looks as if it had",
}


def check_registered(uri: str, *, public: bool) -> None:
    """Whether a redirect URI may be registered: https, http on loopback, or a private-use scheme of a public client.

    Raises:
        ValueError: it may not; the message names the URI and the reason.
    """
    fault = _fault(uri, public=public)
    if fault is not None:
        raise ValueError(f"redirect URI {uri[:200]!r} {fault}")


def matches(registered: str, given: str) -> bool:
    """Whether the URI in a request is a registered one: the same, character by character (RFC 9700 section 4.1.3).

    Of a loopback address the port is free, as a native application takes what it gets (RFC 8252 section 7.3).
    """
    if registered == given:
        return True
    if not _CHARACTERS.fullmatch(given) or len(given) > MAX_URI:
        return False
    try:
        ours, theirs = urlsplit(registered), urlsplit(given)
        if ours.scheme != "http" or ours.hostname not in LOOPBACK or theirs.port is None:
            return False
        return given == _with_port(ours, theirs.port)
    except ValueError:
        return False


def form_target(uri: str) -> str:
    """The CSP source that covers a redirect to this URI (CSP Level 3 section 2.3.1)."""
    parts = urlsplit(uri)
    if parts.scheme not in ("https", "http") or parts.hostname is None or ":" in parts.hostname:
        return f"{parts.scheme}:"  # CSP cannot name an IPv6 address, nor anything below a private scheme
    return f"{parts.scheme}://{parts.netloc}"


def origin(uri: str) -> str:
    """What a person is to recognise of the URI: the host, or the scheme where there is none."""
    parts = urlsplit(uri)
    return parts.netloc if parts.scheme in ("https", "http") else f"{parts.scheme}:"


def _with_port(registered: SplitResult, port: int) -> str:
    host = f"[{registered.hostname}]" if ":" in str(registered.hostname) else registered.hostname
    return registered._replace(netloc=f"{host}:{port}").geturl()


def _fault(uri: str, *, public: bool) -> str | None:
    if not 1 <= len(uri) <= MAX_URI or not _CHARACTERS.fullmatch(uri):
        return f"must be 1 to {MAX_URI} characters of RFC 3986"
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is no URL"
    for mark, reason in _NEVER.items():
        if mark in uri:
            return reason
    if parts.scheme in ("https", "http"):
        return _web_fault(parts.scheme, host)
    return _native_fault(parts, public=public)


def _web_fault(scheme: str, host: str | None) -> str | None:
    if not host or not _HOST.fullmatch(host):
        return "names no host"
    if scheme == "http" and host not in LOOPBACK:
        return "is http, which only 127.0.0.1 and [::1] may be; use https"
    return None


def _native_fault(parts: SplitResult, *, public: bool) -> str | None:
    if not public:
        return "has a scheme of its own, which only public clients (native applications) may have"
    if not _PRIVATE_SCHEME.fullmatch(parts.scheme):
        return "has a scheme that is no domain name turned round, such as com.example.app (RFC 8252 section 7.1)"
    if parts.netloc:
        return "has a scheme of its own and then a host; com.example.app:/path has one slash (RFC 8252 section 7.1)"
    return None
