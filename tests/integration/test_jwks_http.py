"""Foreign keys over real HTTP, from issuers that behave and others that do not."""

import asyncio
import datetime
import gzip
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.integration.jwks_server import CERTS, OIDC, JwksServer, answering
from tests.unit.jwks.foreign_issuer import found, jwks, refreshing, until
from verifier_agent.jwks import FailureCode, ForeignIssuer, ForeignKeys, JwksFailed, Missing
from verifier_agent.jwks.document import MAX_BYTES
from verifier_agent.jwks.http_fetcher import HttpFetcher
from verifier_agent.jwks.source import JwksSource

PATIENCE = 30.0


@pytest.fixture
async def server() -> AsyncIterator[JwksServer]:
    """An issuer with one key."""
    async with JwksServer() as started:
        yield started


def source(server: JwksServer, *, discover: bool = False, timeout: float = 30) -> JwksSource:
    """Asks this server."""
    uri = None if discover else server.jwks_uri
    return JwksSource(ForeignIssuer(issuer=server.issuer, jwks_uri=uri, timeout=timeout), HttpFetcher())


async def code_of(asked: JwksSource) -> FailureCode:
    """Why a load fails."""
    with pytest.raises(JwksFailed) as failed:
        await asked.load(0.0)
    return failed.value.code


# -- issuers that behave


async def test_keys_are_discovered_and_loaded(server: JwksServer) -> None:
    server.headers = {"Cache-Control": "public, max-age=300", "Age": "60"}

    loaded = await source(server, discover=True).load(0.0)

    assert loaded.document is not None
    assert set(loaded.document.keys) == {"one"}
    assert loaded.max_age == 240
    assert server.asked == [OIDC, CERTS]


async def test_a_document_that_has_not_changed_is_not_sent_again(server: JwksServer) -> None:
    asked = source(server)
    await asked.load(0.0)

    assert (await asked.load(0.0)).document is None
    server.kids = ["one", "two"]
    changed = (await asked.load(0.0)).document
    assert changed is not None
    assert set(changed.keys) == {"one", "two"}


@pytest.mark.parametrize("kind", ["application/jwk-set+json", "application/octet-stream", "text/html"])
async def test_the_content_type_does_not_matter(server: JwksServer, kind: str) -> None:
    server.headers = {"Content-Type": kind}

    assert (await source(server).load(0.0)).document


async def test_the_request_says_what_is_wanted_and_nothing_else(server: JwksServer) -> None:
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        return web.Response(body=jwks("one"), headers={"Set-Cookie": "tracked=1"})

    server.instead[CERTS] = handler
    asked = source(server)
    await asked.load(0.0)
    await asked.load(0.0)

    for request in seen:
        assert request.headers["Accept-Encoding"] == "identity"
        assert not {"Cookie", "Authorization"} & set(request.headers)


# -- issuers that do not


@pytest.mark.parametrize("status", [204, 404, 429, 500, 503])
async def test_another_status_is_a_failure(server: JwksServer, status: int) -> None:
    server.instead[CERTS] = answering(jwks("one") if status != 204 else b"", status)

    assert await code_of(source(server)) is FailureCode.BAD_STATUS


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(server: JwksServer, status: int) -> None:
    server.instead[CERTS] = answering(b"", status, Location="/elsewhere")
    server.instead["/elsewhere"] = answering(jwks("one"))

    assert await code_of(source(server)) is FailureCode.REDIRECTED
    assert server.asked == [CERTS]


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"[]", b'{"keys": []}', b"\xff\xfe", jwks("one")[:-3]])
async def test_what_is_no_key_set_is_a_failure(server: JwksServer, body: bytes) -> None:
    server.instead[CERTS] = answering(body)

    assert await code_of(source(server)) is FailureCode.NOT_JWKS


async def test_metadata_of_another_issuer_are_a_failure(server: JwksServer) -> None:
    server.instead[OIDC] = answering(
        b'{"issuer": "https://other.example", "jwks_uri": "' + server.jwks_uri.encode() + b'"}'
    )

    assert await code_of(source(server, discover=True)) is FailureCode.WRONG_ISSUER
    assert CERTS not in server.asked


async def test_an_announced_length_beyond_the_limit_is_not_read(server: JwksServer) -> None:
    server.instead[CERTS] = answering(b" " * (MAX_BYTES + 1))

    assert await code_of(source(server)) is FailureCode.OVERSIZED


async def test_nothing_is_waited_for_that_would_be_too_much(server: JwksServer) -> None:
    server.instead[CERTS] = server.announce

    assert await code_of(source(server)) is FailureCode.OVERSIZED


async def test_a_body_of_exactly_the_limit_is_read(server: JwksServer) -> None:
    server.instead[CERTS] = answering(jwks("one").ljust(MAX_BYTES))

    assert (await source(server).load(0.0)).document


async def test_a_body_without_end_is_left_at_the_limit(server: JwksServer) -> None:
    server.instead[CERTS] = server.flood

    assert await code_of(source(server)) is FailureCode.OVERSIZED
    async with asyncio.timeout(PATIENCE):
        await server.ended.wait()
    assert server.sent < 100 * MAX_BYTES  # sockets hold some megabytes


async def test_a_small_answer_that_would_unpack_to_a_big_one_is_not_unpacked(server: JwksServer) -> None:
    server.instead[CERTS] = answering(gzip.compress(b" " * 10_000_000), Content_Encoding="gzip")

    assert await code_of(source(server)) is FailureCode.ENCODED


async def test_an_answer_that_never_begins_or_ends_is_left(server: JwksServer) -> None:
    for misbehaving in (server.hang, server.trickle):
        server.instead[CERTS] = misbehaving
        server.ended.clear()

        assert await code_of(source(server, timeout=0.2)) is FailureCode.TIMED_OUT
        async with asyncio.timeout(PATIENCE):
            await server.ended.wait()


async def test_an_answer_that_breaks_off_is_a_failure(server: JwksServer) -> None:
    server.instead[CERTS] = server.break_off

    assert await code_of(source(server)) is FailureCode.UNREACHABLE


async def test_headers_without_end_are_a_failure(server: JwksServer) -> None:
    server.instead[CERTS] = answering(jwks("one"), X_Long="h" * 100_000)

    assert await code_of(source(server)) is FailureCode.UNREACHABLE


async def test_a_server_that_is_not_there_is_a_failure(unused_tcp_port: int) -> None:
    nowhere = ForeignIssuer(issuer="shop", jwks_uri=f"http://127.0.0.1:{unused_tcp_port}/certs")

    assert await code_of(JwksSource(nowhere, HttpFetcher())) is FailureCode.UNREACHABLE


# -- keys over time


async def test_keys_rotate_and_the_old_one_goes(server: JwksServer) -> None:
    gone: list[frozenset[str]] = []
    keys = ForeignKeys(ForeignIssuer(issuer=server.issuer, spacing=0.01, cool_down=300))
    async with refreshing(keys, HttpFetcher(), gone.append) as refresher:
        for number in range(2, 12):
            server.kids = [f"key {number - 1}", f"key {number}"]
            assert found(await refresher.wait_for(f"key {number}", PATIENCE))

    assert set(keys.keys) == {"key 10", "key 11"}
    assert {kid for kids in gone for kid in kids} == {f"key {number}" for number in range(1, 10)}


async def test_keys_outlive_every_kind_of_failure(server: JwksServer) -> None:
    often = ForeignIssuer(
        issuer=server.issuer, min_refresh=0.01, max_refresh=0.01, spacing=0.01, cool_down=0.02, timeout=0.2
    )
    keys = ForeignKeys(often)
    async with refreshing(keys, HttpFetcher()) as refresher:
        assert found(await refresher.wait_for("one", PATIENCE))
        for misbehaving in (
            server.hang,
            server.flood,
            server.break_off,
            answering(b"", 500),
            answering(b"<html>"),
            answering(b"", 302, Location="/elsewhere"),
            answering(b'{"keys": []}'),
        ):
            server.instead[CERTS] = misbehaving
            await until(_further(keys, 2))
            assert found(await refresher.wait_for("one", 0))

        server.instead.clear()
        server.kids = ["two"]
        assert found(await refresher.wait_for("two", PATIENCE))
        assert await refresher.wait_for("one", 0) is Missing.UNKNOWN


def _further(keys: ForeignKeys, times: int) -> Callable[[], bool]:
    enough = keys.failures + times
    return lambda: keys.failures >= enough


# -- TLS


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return path


async def test_a_certificate_must_be_vouched_for(tmp_path: Path) -> None:
    path = _certificate(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(path)
    async with JwksServer(serving) as server:
        issuer = ForeignIssuer(issuer="shop", jwks_uri=server.jwks_uri)
        assert await code_of(JwksSource(issuer, HttpFetcher())) is FailureCode.UNREACHABLE
        trusting = HttpFetcher(ssl.create_default_context(cafile=str(path)))
        assert (await JwksSource(issuer, trusting).load(0.0)).document
