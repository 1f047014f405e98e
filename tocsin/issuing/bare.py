"""``python -m tocsin.issuing.bare pyjwt|by-hand ALG [logged]``: the least that a token endpoint on aiohttp can be.

One client, whose secret is compared in constant time, and the claims and headers of RFC 9068 and RFC 6749; no store, no
other grant, no revocation, no request id, no metrics and no error other than 400 and 401. ``logged``, it has the access
log that aiohttp comes with. It announces its port and its client.
"""

import base64
import hashlib
import hmac
import logging
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp
import click
import jwt
import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_log import AccessLogger
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from issuer.keys.generation import generate
from tocsin import serving

CLIENT_ID: Final = "demo"
SECRET: Final = secrets.token_urlsafe(32)
HASHES: Final = {CLIENT_ID: hashlib.sha256(SECRET.encode()).digest()}
LIFETIME: Final = 900
ACCESS: Final = AccessLogger(logging.getLogger("aiohttp.access"), AccessLogger.LOG_FORMAT)

Sign = Callable[[Mapping[str, Any]], str]


def with_pyjwt(jwk: dict[str, str]) -> Sign:
    """As PyJWT's documentation says."""
    key = jwt.PyJWK(jwk)
    headers = {"typ": "at+jwt", "kid": jwk["kid"]}
    return lambda claims: jwt.encode(dict(claims), key, algorithm=jwk["alg"], headers=headers)


def by_hand(jwk: dict[str, str]) -> Sign:
    """Its header made once, JSON by msgspec, and the signature by ``cryptography``."""
    signed, alg = _SIGN[jwk["alg"]], jwk["alg"]
    key = jwt.PyJWK(jwk).key
    header = _encoded(msgspec.json.encode({"typ": "at+jwt", "kid": jwk["kid"], "alg": alg})) + b"."

    def sign(claims: Mapping[str, Any]) -> str:
        signing_input = header + _encoded(msgspec.json.encode(claims))
        return (signing_input + b"." + _encoded(signed(key, signing_input))).decode()

    return sign


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _es256(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _rs256(key: rsa.RSAPrivateKey, data: bytes) -> bytes:
    return key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def _eddsa(key: ed25519.Ed25519PrivateKey, data: bytes) -> bytes:
    return key.sign(data)


_SIGN: Final[dict[str, Callable[[Any, bytes], bytes]]] = {"ES256": _es256, "RS256": _rs256, "EdDSA": _eddsa}
WAYS: Final[dict[str, Callable[[dict[str, str]], Sign]]] = {"pyjwt": with_pyjwt, "by-hand": by_hand}


@web.middleware
async def access_log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """As aiohttp's own server does it unless it is told not to."""
    started = time.perf_counter()
    response = await handler(request)
    ACCESS.log(request, response, time.perf_counter() - started)
    return response


def application(sign: Sign, *, logged: bool) -> web.Application:
    """The endpoint."""

    async def token(request: web.Request) -> web.Response:
        form = await request.post()
        given = aiohttp.BasicAuth.decode(request.headers.get("Authorization", ""))
        if not hmac.compare_digest(hashlib.sha256(given.password.encode()).digest(), HASHES.get(given.login, b"")):
            return web.json_response({"error": "invalid_client"}, status=401)
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        now = int(time.time())
        claims = {
            "iss": "http://127.0.0.1:8080",
            "sub": given.login,
            "aud": "demo-api",
            "exp": now + LIFETIME,
            "iat": now,
            "jti": secrets.token_urlsafe(16),
            "client_id": given.login,
            "rsq": 1 << 40,
            "scope": "demo:read demo:write",
        }
        answer = {
            "access_token": sign(claims),
            "expires_in": LIFETIME,
            "scope": claims["scope"],
            "token_type": "Bearer",
        }
        return web.json_response(answer, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})

    app = web.Application(middlewares=[access_log] if logged else [])
    app.router.add_post("/oauth2/token", token)
    return app


def main(way: str, alg: str, logged: str = "") -> None:
    """Serve until told to stop."""
    jwk = generate(alg)
    if logged:
        logging.basicConfig(level=logging.INFO)

    def started(port: int) -> None:
        click.echo(msgspec.json.encode({"port": port, "client_id": CLIENT_ID, "client_secret": SECRET}))
        sys.stdout.flush()

    listening = serving.Listening(host="127.0.0.1", port=0)
    serving.run(lambda: serving.serve(application(WAYS[way](jwk), logged=bool(logged)), listening, started))


if __name__ == "__main__":
    main(*sys.argv[1:])
