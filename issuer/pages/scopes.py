"""What scopes mean, in words for the person who is asked."""

from collections.abc import Iterable
from typing import Final, NamedTuple

_WORDS: Final = {
    "openid": "Know who you are",
    "profile": "See your name and profile",
    "email": "See your email address",
    "phone": "See your phone number",
    "address": "See your postal address",
    "offline_access": "Stay connected while you are away",
}
"""OpenID Connect Core sections 5.4 and 11."""


class DescribedScope(NamedTuple):
    """A scope, and what it lets an application do."""

    name: str
    words: str


def described(scope: Iterable[str]) -> list[DescribedScope]:
    """Each scope with its words; one that only the services know speaks for itself."""
    return [DescribedScope(name, _WORDS.get(name, f"Use “{name}”")) for name in scope]
