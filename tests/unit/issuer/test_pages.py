"""Pages: what every one of them has, and that nothing on them is anybody's script."""

import re
from typing import Any

import pytest
from aiohttp import web

from issuer.pages import Pages
from issuer.pages.scopes import described

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'"
PAGES: list[tuple[str, dict[str, Any]]] = [
    ("login", {"client": HOSTILE, "username": HOSTILE, "fault": HOSTILE, "form": HOSTILE}),
    ("login", {"client": "", "username": "", "fault": "", "form": "f"}),
    (
        "consent",
        {"client": HOSTILE, "username": HOSTILE, "scopes": described([HOSTILE]), "target": HOSTILE, "form": "f"},
    ),
    ("consent", {"client": "Orders", "username": "alice", "scopes": [], "target": "app.example", "form": "f"}),
    ("device", {"user_code": HOSTILE, "fault": HOSTILE, "form": HOSTILE}),
    ("device", {"user_code": "", "fault": "", "form": "f"}),
    (
        "device_consent",
        {"client": HOSTILE, "username": HOSTILE, "user_code": HOSTILE, "scopes": described([HOSTILE]), "form": "f"},
    ),
    (
        "device_consent",
        {"client": "TV", "username": "alice", "user_code": "WDJB-MJHT", "scopes": [], "form": "f"},
    ),
    ("logout", {"client": HOSTILE, "username": HOSTILE, "form": HOSTILE}),
    ("error", {"heading": HOSTILE, "description": HOSTILE, "code": HOSTILE, "request_id": HOSTILE}),
    ("notice", {"heading": HOSTILE, "words": HOSTILE}),
]
every_page = pytest.mark.parametrize(("name", "values"), PAGES, ids=[name for name, _ in PAGES])


def shown(name: str, values: dict[str, Any]) -> tuple[web.Response, str]:
    response = Pages("https://issuer.example").answer(name, **values)
    assert isinstance(response.text, str)
    return response, response.text


@every_page
def test_what_comes_from_outside_is_text(name: str, values: dict[str, Any]) -> None:
    _, text = shown(name, values)
    assert "<script" not in text
    assert "<img" not in text


@every_page
def test_no_page_has_a_script_or_a_style_of_its_own(name: str, values: dict[str, Any]) -> None:
    _, text = shown(name, {key: "x" if isinstance(value, str) else value for key, value in values.items()})
    tags = " ".join(re.findall(r"<[^>]*>", text))
    assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=|javascript:", tags)
    assert re.findall(r'href="([^"]*)"', text) == [f"/oauth2/pages/{Pages('https://issuer.example').stylesheet_name}"]


@every_page
def test_every_page_says_how_it_may_be_used(name: str, values: dict[str, Any]) -> None:
    response, _ = shown(name, values)
    assert response.headers["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"


@every_page
def test_every_page_can_be_read_by_everybody(name: str, values: dict[str, Any]) -> None:
    _, text = shown(name, values)
    assert '<html lang="en">' in text
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert len(re.findall(r"<h1[ >]", text)) == 1
    assert re.search(r"<title>[^<]+</title>", text)
    labels = set(re.findall(r'<label for="([^"]+)"', text))
    fields = set(re.findall(r'<input id="([^"]+)"', text))
    assert labels == fields
    if values.get("fault") or name == "error":
        assert 'role="alert"' in text


def test_redirects_of_forms_are_allowed_to_where_they_lead_and_nowhere_else() -> None:
    response = Pages("https://issuer.example").answer(
        "notice", heading="h", words="w", form_targets=["https://app.example"]
    )
    assert "form-action 'self' https://app.example;" in response.headers["Content-Security-Policy"]


def test_addresses_lie_below_the_path_of_the_issuer() -> None:
    pages = Pages("https://issuer.example/tenant")
    values = PAGES[1][1]
    assert 'action="/tenant/oauth2/login"' in str(pages.answer("login", **values).text)
    assert pages.address("/oauth2/continue") == "/tenant/oauth2/continue"


def test_scopes_that_everybody_knows_are_told_in_words() -> None:
    assert described(["email"]) == [("email", "See your email address")]
    assert described(["orders:read"]) == [("orders:read", "Use “orders:read”")]
