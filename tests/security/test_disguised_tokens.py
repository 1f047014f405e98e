"""Something else than an access token in compact form, handed over as one."""

import json
import zlib
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.security.forging import issuer_signing_with, signed_text
from tests.simulator import ISSUER, NOON, IssuerSimulator, Listener, b64, signing_key
from verifier_agent import RejectionCode, TokenRejected

CLIENT: Final = signing_key("ES256", "client-key")
REFUSED_AS_NO_JWS: Final = {RejectionCode.MALFORMED, RejectionCode.OVERSIZED}


# -- other containers


@pytest.mark.parametrize("named", ["RSA-OAEP-256", "RS256"])
def test_jwe_encrypted_to_our_public_key(named: str) -> None:
    """Anybody can encrypt to a public key, and nobody has signed what comes out of it.

    json-jwt, issue 113; pac4j, CVE-2026-29000.
    """
    issuer = issuer_signing_with("RS256")
    key, nonce = AESGCM.generate_key(256), bytes(12)
    header = b64(json.dumps({"alg": named, "enc": "A256GCM", "kid": issuer.key.kid, "typ": "at+jwt"}).encode())
    wrapped = issuer.key.private.public_key().encrypt(
        key, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    )
    for inner in (issuer.token().encode(), json.dumps({"iss": ISSUER, "exp": NOON + 60}).encode()):
        sealed = AESGCM(key).encrypt(nonce, inner, header.encode())
        jwe = ".".join([header, b64(wrapped), b64(nonce), b64(sealed[:-16]), b64(sealed[-16:])])

        assert Listener.caught_up(issuer).rejection(jwe) is RejectionCode.MALFORMED


def test_five_parts_and_other_numbers_of_them(issuer: IssuerSimulator, listener: Listener) -> None:
    head, payload, signature = issuer.token().split(".")
    for parts in ([head], [head, payload], [head, payload, signature, ""], [head, "", payload, signature]):
        assert listener.rejection(".".join(parts)) is RejectionCode.MALFORMED
    for more in (4, 5, 6, 30):
        assert listener.rejection(".".join([head, payload, *[signature] * (more - 2)])) is RejectionCode.MALFORMED


@pytest.mark.parametrize("dots", [2, 8000, 8192, 8193, 1_000_000])
def test_nothing_but_dots(listener: Listener, dots: int) -> None:
    """Cutting at every dot took memory for each of them (golang-jwt, CVE-2025-30204)."""
    assert listener.rejection("." * dots) in REFUSED_AS_NO_JWS


@pytest.mark.parametrize("members", [{}, {"cty": "JWT"}, {"cty": "at+jwt"}])
def test_token_nested_in_a_token(issuer: IssuerSimulator, listener: Listener, members: dict[str, str]) -> None:
    header = json.dumps({"alg": issuer.key.alg, "kid": issuer.key.kid, "typ": "at+jwt"} | members).encode()
    for inner in (issuer.token(), json.dumps(issuer.token())):
        assert listener.rejection(signed_text(issuer, header=header, payload=inner.encode())) is RejectionCode.MALFORMED


@pytest.mark.parametrize("zipped", ["DEF", "GZIP", "", None])
def test_compressed_payload(issuer: IssuerSimulator, listener: Listener, zipped: str | None) -> None:
    """A few kilobytes may unfold to gigabytes; nothing is ever unfolded."""
    claims = json.dumps({"iss": ISSUER, "aud": "orders", "exp": int(NOON) + 60, "x": " " * 1_000_000}).encode()
    header = {"alg": issuer.key.alg, "kid": issuer.key.kid, "typ": "at+jwt", "zip": zipped}
    for again in (1, 2):
        payload = claims
        for _ in range(again):
            payload = zlib.compress(payload)[2:-4]
        for members in (header, {name: value for name, value in header.items() if name != "zip"}):
            token = signed_text(issuer, header=json.dumps(members).encode(), payload=payload)
            assert listener.rejection(token) is RejectionCode.MALFORMED
    assert listener.rejection(signed_text(issuer, header=json.dumps(header).encode())) is RejectionCode.MALFORMED


def test_json_serialization(issuer: IssuerSimulator, listener: Listener) -> None:
    protected, payload, signature = issuer.token().split(".")
    flattened = {"payload": payload, "protected": protected, "signature": signature}
    general = {"payload": payload, "signatures": [{"protected": protected, "signature": signature}]}

    for form in (flattened, general, {"header": {"alg": "none"}} | flattened):
        assert listener.rejection(json.dumps(form)) is RejectionCode.MALFORMED


def test_detached_or_unencoded_payload(issuer: IssuerSimulator, listener: Listener) -> None:
    protected, payload, signature = issuer.token().split(".")
    unencoded = json.dumps(
        {"alg": issuer.key.alg, "kid": issuer.key.kid, "typ": "at+jwt", "b64": False, "crit": ["b64"]}
    )

    assert listener.rejection(f"{protected}..{signature}") is RejectionCode.MALFORMED
    assert listener.rejection(f"{unencoded}.{payload}.{signature}") is RejectionCode.MALFORMED
    assert listener.rejection(f"{unencoded}..{signature}") is RejectionCode.MALFORMED


@pytest.mark.parametrize(
    "wrap",
    ["Bearer {}", "bearer {}", '"{}"', "{},{}", "{} {}", "{}\n", "\ufeff{}", "{}%3D", "{}#", "{}?", "{};q=1", "{}\0"],
)
def test_token_with_something_around_it(issuer: IssuerSimulator, listener: Listener, wrap: str) -> None:
    token = issuer.token()
    assert listener.rejection(token) is None

    assert listener.rejection(wrap.format(token, token)) is RejectionCode.MALFORMED


# -- other kinds of tokens, under a key that signs access tokens too

OTHER_KINDS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "ID token": ("JWT", {"nonce": "n", "auth_time": int(NOON), "azp": "web"}),
    "ID token without typ": (None, {"nonce": "n"}),
    "security event": ("secevent+jwt", {"events": {"urn:ietf:params:event:x": {}}, "exp": int(NOON) + 60}),
    "logout token": ("logout+jwt", {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}, "sid": "s"}),
    "client assertion": ("client-authentication+jwt", {"iss": "web", "sub": "web"}),
    "client assertion with our iss": ("JWT", {"sub": "web"}),
    "introspection response": ("token-introspection+jwt", {"token_introspection": {"active": True}}),
    "DPoP proof": ("dpop+jwt", {"htm": "GET", "htu": "https://orders.example/"}),
    "request object": ("oauth-authz-req+jwt", {"response_type": "code"}),
    "refresh token": ("rt+jwt", {}),
    "entity statement": ("entity-statement+jwt", {"jwks": {"keys": [CLIENT.jwk()]}}),
}


@pytest.mark.parametrize("kind", list(OTHER_KINDS))
def test_other_kind_of_token_with_the_claims_of_an_access_token(
    issuer: IssuerSimulator, listener: Listener, kind: str
) -> None:
    typ, claims = OTHER_KINDS[kind]
    expected = RejectionCode.MALFORMED if typ is None else RejectionCode.WRONG_TYPE

    assert listener.rejection(issuer.token(claims, header={"typ": typ})) is expected


def test_client_assertion_by_the_client_itself(issuer: IssuerSimulator, listener: Listener) -> None:
    for header in ({}, {"kid": issuer.key.kid}, {"jwk": CLIENT.jwk()}):
        assertion = issuer.token(key=CLIENT, header=header, iss="web", sub="web", aud=[ISSUER, "orders"])
        assert listener.rejection(assertion) in (RejectionCode.UNKNOWN_KEY, RejectionCode.BAD_SIGNATURE)


@pytest.mark.parametrize(
    "typ",
    ["at+jwt;v=1", "at+jwt, JWT", "at+jwt\0", "\tat+jwt", "at-jwt", "at jwt", "at", "+jwt", "application/at+jwt/",
     "application/application/at+jwt", "text/at+jwt", "\uff41t+jwt", "at+\u2c7cwt", "\u0430t+jwt", "at\ufe62jwt"],
)  # fmt: skip
def test_typ_that_only_looks_like_ours(issuer: IssuerSimulator, listener: Listener, typ: str) -> None:
    assert listener.rejection(issuer.token(header={"typ": typ})) is RejectionCode.WRONG_TYPE


# -- kid


@pytest.mark.parametrize(
    "kid",
    [
        "../ES256-key", "./ES256-key", "ES256-key/.", "keys/../ES256-key", "..\\..\\dev\\null", "/proc/self/environ",
        "ES256%2Dkey", "ES256-key%00", "ES256-key\0.pem", "ES256-key\n", "\tES256-key", "ES256-key;", "ES256-key,x",
        "' OR '1'='1", "x'; DROP TABLE keys; --", "$(id)", "`id`", "| id", "{{7*7}}", "${jndi:ldap://evil.example/}",
        "\u0415S256-key", "ES256\u2010key", "\uff25S256-key", "E\u0301S256-key", "ES256-\u212aey", "ES256-key\u200b",
        "\u202eyek-652SE", "__proto__", "constructor", "None", "null", "0", "*", "kid" * 1500,
    ],
)  # fmt: skip
def test_kid_that_names_something_else_than_a_key(issuer: IssuerSimulator, listener: Listener, kid: str) -> None:
    """Files, SQL, commands, look-alikes; of none of them more than a short line gets into a log."""
    assert listener.rejection(issuer.token()) is None
    with pytest.raises(TokenRejected) as rejected:
        listener.verify(issuer.token(header={"kid": kid}))

    assert rejected.value.code is RejectionCode.UNKNOWN_KEY
    assert len(rejected.value.detail) <= 200
    assert rejected.value.detail.isprintable()


@pytest.mark.parametrize("kid", [0, 1.5, True, [], ["ES256-key"], {}, {"ES256-key": 1}])
def test_kid_that_is_no_text(issuer: IssuerSimulator, listener: Listener, kid: object) -> None:
    assert listener.rejection(issuer.token(header={"kid": kid})) is RejectionCode.MALFORMED


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "jwks", "key", "iss", "trust_chain"])
@pytest.mark.parametrize("value", [None, "", 0, [], {}, "https://evil.example/", "file:///dev/null", ["chain"] * 3])
def test_key_material_in_the_header_changes_nothing(
    issuer: IssuerSimulator, listener: Listener, name: str, value: object
) -> None:
    header = {"alg": issuer.key.alg, "kid": issuer.key.kid, "typ": "at+jwt", name: value}
    text = json.dumps(header).encode()

    assert listener.rejection(signed_text(issuer, header=text)) is None
    forged = CLIENT.jws(header | ({"jwk": CLIENT.jwk()} if name == "jwk" else {}), b'{"iss":"https://issuer.example"}')
    assert listener.rejection(forged) is RejectionCode.BAD_SIGNATURE
