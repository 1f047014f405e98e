"""JSON that two readers read in two ways, or that costs its reader too much. All of it is well signed."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from events import Selector
from tests.security.forging import signed_text
from tests.simulator import IssuerSimulator, Listener
from verifier_agent import RejectionCode

FIRST_PART = '"iss":"https://issuer.example","aud":"orders","exp":1800000600,"iat":1800000000'
"""What a token needs, so that nothing but what is added can be wrong."""


def with_claims(issuer: IssuerSimulator, added: str) -> str:
    return signed_text(issuer, payload=f"{{{FIRST_PART}{added}}}".encode())


def with_header(issuer: IssuerSimulator, *members: str) -> str:
    return signed_text(issuer, header=f"{{{','.join(members)}}}".encode())


def test_what_is_added_to_is_good(issuer: IssuerSimulator, listener: Listener) -> None:
    assert listener.rejection(with_claims(issuer, "")) is None
    assert listener.rejection(with_claims(issuer, ' , "x" : [ 1 ]\n\t\r')) is None
    assert listener.rejection(signed_text(issuer)) is None


# -- numbers


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "nan", "+1", "01", "1.", ".5", "0x10", "1e", "1_0"])
@pytest.mark.parametrize("name", ["exp", "iat", "nbf", "rsq", "x"])
def test_what_json_does_not_call_a_number(issuer: IssuerSimulator, listener: Listener, number: str, name: str) -> None:
    """``exp: NaN`` is neither past nor to come: every comparison with it is false."""
    assert listener.rejection(with_claims(issuer, f',"{name}":{number}')) is RejectionCode.MALFORMED


@pytest.mark.parametrize("number", ["1e309", "-1e309", "1e999999999", "9" * 400 + ".0"])
@pytest.mark.parametrize("name", ["exp", "iat", "nbf", "x"])
def test_number_beyond_every_float(issuer: IssuerSimulator, listener: Listener, number: str, name: str) -> None:
    assert listener.rejection(with_claims(issuer, f',"{name}":{number}')) is RejectionCode.MALFORMED


@pytest.mark.parametrize("digits", [400, 4301, 5900])
@pytest.mark.parametrize("sign", ["", "-"])
def test_huge_integer(issuer: IssuerSimulator, listener: Listener, digits: int, sign: str) -> None:
    """Reading one takes quadratic time, which CPython bounds at 4300 digits (CVE-2020-10735)."""
    for name in ("exp", "iat", "nbf"):
        assert listener.rejection(with_claims(issuer, f',"{name}":{sign}{"9" * digits}')) is RejectionCode.MALFORMED
    listener.hear(issuer.revoke(Selector()))
    for name in ("rsq", "x"):
        huge = with_claims(issuer, f',"{name}":{sign}{"9" * digits}')
        assert listener.rejection(huge) in (RejectionCode.MALFORMED, RejectionCode.REVOKED)


@pytest.mark.parametrize(
    ("exp", "code"),
    [
        ("1800000600.0", None),
        ("18000006e2", None),
        ("1.8e9", None),
        ("1799999995.001", None),
        ("1799999995", RejectionCode.EXPIRED),
        ("-1800000600", RejectionCode.EXPIRED),
        ("-0", RejectionCode.EXPIRED),
        ("0e5", RejectionCode.EXPIRED),
        ("1e308", None),
    ],
)
def test_time_spelled_in_another_way(
    issuer: IssuerSimulator, listener: Listener, exp: str, code: RejectionCode | None
) -> None:
    payload = f'{{"iss":"https://issuer.example","aud":"orders","exp":{exp}}}'.encode()

    assert listener.rejection(signed_text(issuer, payload=payload)) is code


# -- members


@pytest.mark.parametrize("name", ["sub", "client_id", "jti", "scope", "tenant", "groups"])
@pytest.mark.parametrize("spell", [str, lambda name: name.replace(name[0], f"\\u{ord(name[0]):04x}", 1)])
def test_duplicate_claim_is_refused_or_the_last_counts_everywhere(
    issuer: IssuerSimulator, name: str, spell: Callable[[str], str]
) -> None:
    """RFC 7519 section 4 allows these two; a reader that takes the first may then act for somebody else."""
    token = with_claims(issuer, f',"{name}":"first","{spell(name)}":"last"')
    for value, hit in (("first", False), ("last", True)):
        listener = Listener.caught_up(issuer)
        if listener.rejection(token) is RejectionCode.MALFORMED:
            continue
        claims = listener.verify(token)
        assert claims.raw[name] == "last"
        assert getattr(claims, name, None) in ("last", frozenset({"last"}), None)
        listener.hear(issuer.revoke(Selector(claims={name: value}), issued_before=issuer.clock.now()))
        assert (listener.rejection(token) is RejectionCode.REVOKED) is hit


@pytest.mark.parametrize(
    "added", [',"iss":"https://evil.example"', ',"exp":1', ',"aud":"billing"', ',"nbf":1800001000']
)
def test_duplicate_of_what_is_checked_cannot_be_hidden_behind_a_good_one(
    issuer: IssuerSimulator, listener: Listener, added: str
) -> None:
    assert listener.rejection(with_claims(issuer, added)) is not None
    assert listener.rejection(signed_text(issuer, payload=f"{{{added[1:]},{FIRST_PART}}}".encode())) in (
        RejectionCode.MALFORMED,
        RejectionCode.NOT_YET_VALID if "nbf" in added else None,
    )


@pytest.mark.parametrize(("name", "bad"), [("alg", "none"), ("alg", "HS256"), ("kid", "nobody"), ("typ", "JWT")])
def test_duplicate_header_member_cannot_hide_a_bad_value(
    issuer: IssuerSimulator, listener: Listener, name: str, bad: str
) -> None:
    good = {"alg": issuer.key.alg, "kid": issuer.key.kid, "typ": "at+jwt"}
    members = [f'"{member}":"{value}"' for member, value in good.items()]
    odd = f'"{name}":"{bad}"'

    assert listener.rejection(with_header(issuer, *members)) is None
    assert listener.rejection(with_header(issuer, *members, odd)) is not None
    assert listener.rejection(with_header(issuer, odd, *members)) in (RejectionCode.MALFORMED, None)


@pytest.mark.parametrize(
    "crit", ['"crit":["b64"],"b64":false', '"cr\\u0069t":["x"],"x":1', '"crit":null', '"b64":null']
)
def test_what_must_be_understood_is_seen_however_it_is_spelled_and_repeated(
    issuer: IssuerSimulator, listener: Listener, crit: str
) -> None:
    good = f'"alg":"{issuer.key.alg}","kid":"{issuer.key.kid}","typ":"at+jwt"'

    for header in ((good, crit), (crit, good), (crit, good, crit)):
        assert listener.rejection(with_header(issuer, *header)) is RejectionCode.MALFORMED


@pytest.mark.parametrize("name", ["SUB", "Sub", "sub ", "sub\\u0000", "\\ufeffsub", "s\\u00adub", "\\u0455ub"])
def test_claim_names_are_told_apart_by_every_character(issuer: IssuerSimulator, listener: Listener, name: str) -> None:
    """Go's encoding/json takes a member whose name differs in case alone for the same one."""
    token = with_claims(issuer, f',"sub":"alice","{name}":"admin"')

    assert listener.verify(token).sub == "alice"


# -- text


@pytest.mark.parametrize("part", ["header", "payload"])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.decode().encode("utf-16"),
        lambda text: text.decode().encode("utf-16-le"),
        lambda text: text.decode().encode("utf-32-be"),
        lambda text: text[:-1] + b',"x":"\xff"}',
        lambda text: text[:-1] + b',"x":"\xc0\xaf"}',
        lambda text: text[:-1] + b',"x":"\xed\xa0\x80"}',
        lambda text: text[:-1] + b',"x":"\xf4\x90\x80\x80"}',
        lambda text: text[:-1] + b',"x":"\\ud800"}',
        lambda text: text[:-1] + b',"x":"\\udc00\\ud800"}',
        lambda text: text[:-1] + b',"x":"\n"}',
        lambda text: text[:-1] + b',"x":"\\x41"}',
        lambda text: text[:-1] + b",}",
        lambda text: text[:-1] + b',"x":1,,"y":2}',
        lambda text: text[:-1] + b",'x':1}",
        lambda text: text[:-1] + b",x:1}",
        lambda text: text[:-1] + b"/**/}",
        lambda text: text + b"\0",
        lambda text: text + text,
        lambda text: text[:-1],
        lambda text: b"[" + text + b"]",
        lambda text: json.dumps(text.decode()).encode(),
        lambda _: b"",
        lambda _: b"{}",
    ],
    ids=[
        "byte order mark", "utf-16", "utf-16-le", "utf-32", "byte FF", "overlong slash", "surrogate in utf-8",
        "beyond unicode", "lone surrogate", "surrogates the wrong way round", "line break in text", "unknown escape",
        "trailing comma", "two commas", "single quotes", "name without quotes", "comment", "NUL behind", "twice",
        "cut off", "in a list", "in a string", "nothing", "no members",
    ],
)  # fmt: skip
def test_text_that_is_no_json_object(
    issuer: IssuerSimulator, listener: Listener, part: str, change: Callable[[bytes], bytes]
) -> None:
    good = json.dumps({"alg": issuer.key.alg, "kid": issuer.key.kid, "typ": "at+jwt"}).encode()
    parts: dict[str, Any] = {"header": good, "payload": f"{{{FIRST_PART}}}".encode()}
    parts[part] = change(parts[part])

    assert listener.rejection(signed_text(issuer, **parts)) is RejectionCode.MALFORMED


@pytest.mark.parametrize("opened", ["[" * 5500, '{"x":' * 1100, '[{"x":' * 900])
def test_deep_nesting(issuer: IssuerSimulator, listener: Listener, opened: str) -> None:
    good = f'"alg":"{issuer.key.alg}","kid":"{issuer.key.kid}","typ":"at+jwt"'

    assert listener.rejection(with_claims(issuer, f',"x":{opened}')) is RejectionCode.MALFORMED
    assert listener.rejection(with_header(issuer, good, f'"x":{opened}')) is RejectionCode.MALFORMED
    assert listener.rejection(issuer.token()) is None


@pytest.mark.parametrize("depth", [100, 900, 1100, 2700])
def test_deep_nesting_that_is_closed_again(issuer: IssuerSimulator, listener: Listener, depth: int) -> None:
    """How deep a reader goes is its Python's; that it comes back is what counts."""
    nested = "[" * depth + "]" * depth

    assert listener.rejection(with_claims(issuer, f',"x":{nested}')) in (None, RejectionCode.MALFORMED)
    assert listener.rejection(issuer.token()) is None
