"""Calls to Consul end, over TLS and with our ACL token alone, whatever answers."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from verifier_agent.consul import ConsulPlace, ConsulUnavailable
from verifier_agent.consul.connection import MAX_ANSWER_BYTES, ConsulConnection

SECRET = "an-acl-token"


class Server:
    """Something that answers as Consul would, or not.

    Attributes:
        answer: what it answers.
        tokens: the ACL token of each request.
        asked: method and path of each request.
    """

    def __init__(self) -> None:
        self.answer: web.Response | None = web.json_response([], headers={"X-Consul-Index": "7"})
        self.tokens: list[str | None] = []
        self.asked: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("X-Consul-Token"))
        self.asked.append(f"{request.method} {request.path_qs}")
        if self.answer is None:
            await asyncio.Event().wait()
        assert self.answer is not None
        return web.Response(body=self.answer.body, status=self.answer.status, headers=self.answer.headers)

    @asynccontextmanager
    async def connected(self, tls: ssl.SSLContext | None = None, options: str = "") -> AsyncIterator[ConsulConnection]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        server = TestServer(app, scheme="https" if tls else "http")
        await server.start_server(ssl=tls)
        url = f"{'https' if tls else 'http'}://:{SECRET}@127.0.0.1:{server.port}/p{options}"
        try:
            async with ConsulConnection(ConsulPlace.parse(url)) as connection:
                yield connection
        finally:
            await server.close()


@pytest.fixture
def server() -> Server:
    return Server()


async def test_the_token_of_the_setting_goes_with_every_call_and_not_the_environments(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "the environment's")
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "elsewhere:1")
    async with server.connected() as connection:
        assert (await connection.folder("issuer")).store_index == 7
        server.answer = web.json_response({})
        assert await connection.write("issuer", {"a": "1", "b": None}, {"b": 3})

    assert server.tokens == [SECRET, SECRET]
    assert server.asked == ["GET /v1/kv/p/issuer/?recurse=1", "PUT /v1/txn"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (web.Response(status=500, text="No cluster leader"), "No cluster leader"),
        (web.Response(status=403, text="Permission denied"), "ACL token does not allow it"),
        (web.Response(text="no json", headers={"X-Consul-Index": "7"}), "Failed to decode JSON"),
        (web.json_response([]), "Missing index header"),
        (web.json_response([{"Key": 3}], headers={"X-Consul-Index": "7"}), "not Consul's"),
        (web.json_response([], headers={"X-Consul-Index": "x"}), "not Consul's"),
        (web.Response(body=b" " * (MAX_ANSWER_BYTES + 1), headers={"X-Consul-Index": "7"}), "more than"),
        (web.Response(body=b"\xff", headers={"X-Consul-Index": "7"}), "codec"),
    ],
)
async def test_whatever_is_no_answer_of_consul_is_said_to_be_unavailable(
    server: Server, answer: web.Response, words: str
) -> None:
    server.answer = answer
    async with server.connected() as connection:
        with pytest.raises(ConsulUnavailable, match=words) as failed:
            await connection.folder("issuer")
    assert SECRET not in str(failed.value)
    assert failed.value.denied is (answer.status == 403)


async def test_who_hangs_is_given_up(server: Server) -> None:
    server.answer = None
    async with server.connected() as connection:
        with pytest.raises(ConsulUnavailable, match=r"no answer within 0\.05 s"):
            await connection.ask(lambda api: api.status.leader(), seconds=0.05)


async def test_a_change_of_what_is_another_by_now_does_not_happen(server: Server) -> None:
    server.answer = web.json_response({"Errors": []}, status=409)
    async with server.connected() as connection:
        assert not await connection.write("issuer", {"a": "1"}, {"a": 3})


async def test_tls_is_spoken_with_the_authority_of_the_setting_and_with_no_other(
    server: Server, tmp_path: Path
) -> None:
    certificate, context = made_certificate(tmp_path)
    async with server.connected(context, f"?ca={certificate}") as connection:
        assert (await connection.folder("issuer")).store_index == 7
    async with server.connected(context) as stranger:
        with pytest.raises(ConsulUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await stranger.folder("issuer")


def made_certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that signed itself, and a server's context with it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file, folder / "key.pem")
    return file, context
