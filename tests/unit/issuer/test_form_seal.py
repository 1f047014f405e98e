"""What a page hands itself through a form."""

import msgspec
import pytest

from issuer.errors import OAuthError
from issuer.pages import FormSeal

NOON = 1_800_000_000.0
SEAL = FormSeal(b"k" * 32)


class Carried(msgspec.Struct, frozen=True):
    """What a form carries."""

    destination: str


def opened(text: str, *, purpose: str = "login", bound_to: str = "browser", now: float = NOON) -> Carried:
    return SEAL.open(purpose, text, Carried, bound_to=bound_to, now=now)


def test_what_is_sealed_comes_back_in_the_same_browser_for_the_same_purpose() -> None:
    text = SEAL.seal("login", Carried("/oauth2/continue"), bound_to="browser", now=NOON)

    assert opened(text) == Carried("/oauth2/continue")
    assert opened(text, now=NOON + 3600) == Carried("/oauth2/continue")
    assert opened(text, now=NOON - 60) == Carried("/oauth2/continue")
    assert "continue" not in text


@pytest.mark.parametrize(
    "changes", [{"purpose": "consent"}, {"bound_to": "another"}, {"now": NOON + 3601}, {"now": NOON - 61}], ids=str
)
def test_it_is_no_good_for_another_purpose_in_another_browser_or_too_late(changes: dict[str, object]) -> None:
    text = SEAL.seal("login", Carried("/x"), bound_to="browser", now=NOON)
    with pytest.raises(OAuthError, match="lain open for too long"):
        opened(text, **changes)  # type: ignore[arg-type]


def test_neither_another_key_nor_a_changed_character_opens_it() -> None:
    text = SEAL.seal("login", Carried("/x"), bound_to="browser", now=NOON)
    for index in range(0, len(text), 7):
        changed = text[:index] + ("A" if text[index] != "A" else "B") + text[index + 1 :]
        with pytest.raises(OAuthError):
            opened(changed)
    with pytest.raises(OAuthError):
        FormSeal(b"j" * 32).open("login", text, Carried, bound_to="browser", now=NOON)


@pytest.mark.parametrize("text", ["", "x", "=", "é", "A" * 1000, "A" * 37, "\0"])
def test_what_was_never_sealed_is_refused(text: str) -> None:
    with pytest.raises(OAuthError):
        opened(text)


def test_the_same_sealed_twice_looks_different() -> None:
    twice = {SEAL.seal("login", Carried("/x"), bound_to="browser", now=NOON) for _ in range(2)}
    assert len(twice) == 2
