"""Where browsers may be sent back to: what may be registered, and what matches it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.redirect_uris import check_registered, form_target, matches, origin


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example/callback",
        "https://app.example",
        "https://app.example:8443/cb?tenant=1",
        "http://127.0.0.1/callback",
        "http://127.0.0.1:8123/callback",
        "http://[::1]/callback",
    ],
)
def test_https_and_loopback_may_be_registered_by_any_client(uri: str) -> None:
    check_registered(uri, public=False)
    check_registered(uri, public=True)


@pytest.mark.parametrize("uri", ["com.example.app:/callback", "com.example.app:/"])
def test_a_private_scheme_is_for_public_clients_alone(uri: str) -> None:
    check_registered(uri, public=True)
    with pytest.raises(ValueError, match="scheme of its own"):
        check_registered(uri, public=False)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("", "characters of RFC 3986"),
        ("https://app.example/#a", "fragment"),
        ("https://*.app.example/", "wildcard"),
        ("https://app.example/*", "wildcard"),
        ("http://app.example/", "is http"),
        ("http://localhost/callback", "is http"),
        ("http://127.0.0.1.evil.example/", "is http"),
        ("https://user@app.example/", "user information"),
        ("https://app.example@evil.example/", "user information"),
        ("https:///callback", "no host"),
        ("https:callback", "no host"),
        ("//app.example/", "domain name turned round"),
        ("/callback", "domain name turned round"),
        ("javascript:alert(1)", "domain name turned round"),
        ("data:text/html,x", "domain name turned round"),
        ("myapp:/callback", "domain name turned round"),
        ("com.example.app://callback", "one slash"),
        ("https://app.example/a b", "characters of RFC 3986"),
        ("https://app.example\\@evil.example/", "characters of RFC 3986"),
        ("https://app.example/\n", "characters of RFC 3986"),
        ("https://äpp.example/", "characters of RFC 3986"),
        ("https://[::1/", "no URL"),
        ("https://app.example:port/", "no URL"),
        ("https://app.example/" + "x" * 2048, "characters of RFC 3986"),
    ],
)
def test_anything_else_may_not_be_registered(uri: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_registered(uri, public=True)


@pytest.mark.parametrize(
    "tried",
    [
        "https://app.example/callback/",
        "https://app.example/callback?x=1",
        "https://app.example/callback#x",
        "https://app.example/Callback",
        "https://APP.example/callback",
        "https://app.example:443/callback",
        "https://app.example/./callback",
        "https://app.example/%63allback",
        "http://app.example/callback",
        "https://app.example.evil.example/callback",
        "https://app.example@evil.example/callback",
        "",
    ],
)
def test_a_web_address_matches_itself_alone(tried: str) -> None:
    assert matches("https://app.example/callback", "https://app.example/callback")
    assert not matches("https://app.example/callback", tried)


@pytest.mark.parametrize(
    ("registered", "tried"),
    [
        ("http://127.0.0.1/callback", "http://127.0.0.1:51004/callback"),
        ("http://127.0.0.1:1/callback", "http://127.0.0.1:51004/callback"),
        ("http://[::1]/callback", "http://[::1]:51004/callback"),
        ("http://127.0.0.1/callback?a=b", "http://127.0.0.1:51004/callback?a=b"),
    ],
)
def test_of_a_loopback_address_the_port_is_free(registered: str, tried: str) -> None:
    assert matches(registered, tried)


@pytest.mark.parametrize(
    "tried",
    [
        "http://127.0.0.1:51004/other",
        "http://127.0.0.1:51004/callback?x=1",
        "http://127.0.0.1:51004/callback#",
        "http://127.0.0.2:51004/callback",
        "http://localhost:51004/callback",
        "http://[::1]:51004/callback",
        "https://127.0.0.1:51004/callback",
        "http://user@127.0.0.1:51004/callback",
        "http://127.0.0.1:051004/callback",
        "http://127.0.0.1:99999/callback",
        "http://127.0.0.1:/callback",
        "http://127.0.0.1:51004\\@evil.example/callback",
        "http://127.0.0.1:51004@evil.example/callback",
    ],
)
def test_nothing_but_the_port_is_free(tried: str) -> None:
    assert not matches("http://127.0.0.1/callback", tried)


def test_https_on_a_loopback_address_has_the_port_that_it_was_registered_with() -> None:
    assert not matches("https://127.0.0.1/callback", "https://127.0.0.1:8443/callback")


@pytest.mark.parametrize(
    ("uri", "source", "shown"),
    [
        ("https://app.example/callback", "https://app.example", "app.example"),
        ("https://app.example:8443/cb", "https://app.example:8443", "app.example:8443"),
        ("http://127.0.0.1:51004/cb", "http://127.0.0.1:51004", "127.0.0.1:51004"),
        ("http://[::1]:51004/cb", "http:", "[::1]:51004"),
        ("com.example.app:/cb", "com.example.app:", "com.example.app:"),
    ],
)
def test_what_a_policy_and_a_person_are_told_of_it(uri: str, source: str, shown: str) -> None:
    assert form_target(uri) == source
    assert origin(uri) == shown


REGISTERED = ("https://app.example/callback", "http://127.0.0.1/callback", "com.example.app:/callback")
WORDS = re.findall(
    r"\S+",
    r"https: http: // / \ @ : :443 :51004 127.0.0.1 app.example evil.example ? # callback %2f %00 .. . [::1] ; & "
    r"com.example.app: javascript:",
)
PIECES = st.sampled_from([*WORDS, "\n", " ", "\u3002"])
READ_ALIKE = r"https://[a-zA-Z0-9]|http://127\.0\.0\.1([:/?]|$)|http://\[::1\]|[a-z0-9+-]+\."


@given(st.one_of(st.text(), st.lists(PIECES, max_size=8).map("".join)), st.sampled_from(REGISTERED))
def test_whatever_matches_is_what_was_registered_but_for_a_loopback_port(given_uri: str, registered: str) -> None:
    if matches(registered, given_uri):
        without_port = re.sub(r"^(http://127\.0\.0\.1):[0-9]{1,5}/", r"\1/", given_uri)
        assert registered in (given_uri, without_port)


@given(st.one_of(st.text(), st.lists(PIECES, max_size=8).map("".join)))
def test_whatever_may_be_registered_is_read_alike_by_everybody(uri: str) -> None:
    try:
        check_registered(uri, public=True)
    except ValueError:
        return
    assert uri.isascii()
    assert uri.isprintable()
    assert not set(uri) & set(" \\#*@")
    assert re.match(READ_ALIKE, uri)
