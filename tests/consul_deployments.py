"""Consul as it is run for real: with access control and TLS, and as three servers that elect a leader."""

import datetime
import ipaddress
import json
import os
import secrets
import ssl
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.services.cache import Cache
from tests.services.consul import AGENT, PROBE_SECONDS, Consul
from tests.services.ports import free_ports
from tests.services.program import Launch, Place
from tests.services.program_service import ProgramService
from tests.services.readiness import NotReady

LOOPBACK = ipaddress.ip_address("127.0.0.1")


class Authority:
    """A certificate authority, and what it has signed, in a folder.

    Attributes:
        ca: file with its certificate.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.ca = folder / f"{name}-ca.pem"
        self.ca.write_bytes(self._certificate(self._name, self._key, ca=True).public_bytes(Encoding.PEM))

    def signed(self, name: str) -> tuple[Path, Path]:
        """Files with a certificate for this machine, and with its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate, private = self._folder / f"{name}.pem", self._folder / f"{name}-key.pem"
        certificate.write_bytes(self._certificate(subject, key).public_bytes(Encoding.PEM))
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, private

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool = False
    ) -> x509.Certificate:
        now, hour = datetime.datetime.now(datetime.UTC), datetime.timedelta(hours=1)
        names = x509.SubjectAlternativeName([x509.IPAddress(LOOPBACK), x509.DNSName("server.dc1.consul")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - hour)
            .not_valid_after(now + 24 * hour)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(names, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256())


class Guarded(Consul):
    """A server that denies by default and speaks TLS with those alone whose certificate it knows."""

    def __init__(self, cache: Cache, management: str, tls: ssl.SSLContext) -> None:
        super().__init__(cache)
        self._management = management
        self._tls = tls

    def address(self, host: str, port: int) -> str:
        return f"https://{host}:{port}"

    def probe(self, address: str) -> None:
        try:
            self.ask(address, "GET", "/v1/acl/token/self")
        except (urllib.error.URLError, OSError) as error:
            raise NotReady(str(error)) from error

    def ask(self, address: str, method: str, path: str, body: object = None) -> Any:
        """A call of whoever may do everything."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"{address}{path}", data=data, method=method)  # noqa: S310 - loopback
        request.add_header("X-Consul-Token", self._management)
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS, context=self._tls) as answer:  # noqa: S310 - loopback
            return json.load(answer)


class Configured:
    """The program with a file of configuration, and a port for TLS in place of the other."""

    port_count = 3
    user = None

    def __init__(self, consul: Path, configuration: Mapping[str, Any]) -> None:
        self._consul = consul
        self._configuration = configuration

    def prepare(self, place: Place) -> None:
        place.data.mkdir()
        (place.data / "consul.json").write_text(json.dumps(self._configuration))

    def launch(self, place: Place) -> Launch:
        https, rpc, gossip = place.ports
        own = ["-client=127.0.0.1", "-http-port=-1", f"-https-port={https}", f"-server-port={rpc}"]
        where = [f"-serf-lan-port={gossip}", f"-data-dir={place.data}", f"-config-file={place.data / 'consul.json'}"]
        return Launch(command=[str(self._consul), *AGENT, *own, *where])


@dataclass(frozen=True)
class GuardedConsul:
    """A running one.

    Attributes:
        address: an https:// URL.
        authority: signed its certificate, and that of those who may speak to it.
        files: ``ca``, ``cert`` and ``key``, as the setting ``consul`` names them.
    """

    address: str
    authority: Authority
    files: Mapping[str, Path]
    _kind: Guarded

    def url(self, token: str | None, prefix: str, **files: Path | None) -> str:
        """The setting ``consul``; ``files`` in place of the good ones, or ``None`` for none."""
        options = "&".join(f"{name}={path}" for name, path in {**self.files, **files}.items() if path is not None)
        who = "" if token is None else f":{token}@"
        return f"{self.address.replace('https://', f'https://{who}')}/{prefix}?{options}"

    def token(self, rules: str) -> str:
        """A new ACL token with these rules."""
        name = f"policy-{secrets.token_hex(4)}"
        self._kind.ask(self.address, "PUT", "/v1/acl/policy", {"Name": name, "Rules": rules})
        secret: str = self._kind.ask(self.address, "PUT", "/v1/acl/token", {"Policies": [{"Name": name}]})["SecretID"]
        return secret

    def change_rules(self, token: str, rules: str) -> None:
        """Let a token that ``token`` made have other rules."""
        request = urllib.request.Request(f"{self.address}/v1/acl/token/self")  # noqa: S310 - loopback
        request.add_header("X-Consul-Token", token)
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS, context=self._kind._tls) as answer:  # noqa: S310 - loopback
            policy = json.load(answer)["Policies"][0]
        body = {"ID": policy["ID"], "Name": policy["Name"], "Rules": rules}
        self._kind.ask(self.address, "PUT", f"/v1/acl/policy/{policy['ID']}", body)

    def put(self, key: str, value: str) -> None:
        """Write a key as somebody who may."""
        assert self._kind.ask(self.address, "PUT", f"/v1/kv/{key}", value.encode()) is True


@contextmanager
def guarded_consul(folder: Path) -> Iterator[GuardedConsul]:
    """A server with access control and TLS."""
    authority = Authority(folder, "good")
    server, client = authority.signed("server"), authority.signed("client")
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.load_cert_chain(*client)
    management = str(uuid.uuid4())
    kind = Guarded(Cache.of(os.environ), management, context)
    configuration = {
        "acl": {"enabled": True, "default_policy": "deny", "tokens": {"initial_management": management}},
        "tls": {
            "https": {"verify_incoming": True},
            "defaults": {"ca_file": str(authority.ca), "cert_file": str(server[0]), "key_file": str(server[1])},
        },
    }
    program = Configured(consul_program(), configuration)
    service = ProgramService(kind, program)
    try:
        service.start()
        files = {"ca": authority.ca, "cert": client[0], "key": client[1]}
        yield GuardedConsul(service.address, authority, files, kind)
    finally:
        service.close()


def consul_program() -> Path:
    """The program itself, built by ``make services``."""
    kind = Consul(Cache.of(os.environ))
    place = Place(folder=Path("nowhere"), ports=(1, 2, 3), run=lambda _: None)
    return Path(kind.program().launch(place).command[0])


class Peer:
    """One of several servers."""

    port_count = 1
    user = None

    def __init__(self, number: int, ports: Sequence[tuple[int, int]]) -> None:
        """Set up.

        Args:
            number: which one.
            ports: of each, for the servers' own calls and for gossip.
        """
        self._number = number
        self._ports = ports

    def prepare(self, place: Place) -> None:
        place.data.mkdir()

    def launch(self, place: Place) -> Launch:
        rpc, gossip = self._ports[self._number]
        alone = [option for option in AGENT if not option.startswith(("-bootstrap-expect", "-node"))]
        own = [f"-bootstrap-expect={len(self._ports)}", f"-node=server-{self._number}", f"-http-port={place.ports[0]}"]
        own += ["-client=127.0.0.1", f"-server-port={rpc}", f"-serf-lan-port={gossip}", f"-data-dir={place.data}"]
        others = [f"-retry-join=127.0.0.1:{each[1]}" for each in self._ports]
        return Launch(command=[str(consul_program()), *alone, *own, *others, "-retry-interval=1s"])


class Unelected(Consul):
    """A server that is there when it answers: alone it has no leader yet."""

    def probe(self, address: str) -> None:
        try:
            urllib.request.urlopen(f"{address}/v1/status/leader", timeout=PROBE_SECONDS).close()  # noqa: S310 - loopback
        except OSError as error:
            raise NotReady(str(error)) from error


@contextmanager
def three_consuls() -> Iterator[list[ProgramService]]:
    """Three servers that have elected one of them."""
    ports = [free_ports(2) for _ in range(3)]
    cache = Cache.of(os.environ)
    with ExitStack() as stack:
        services = [ProgramService(Unelected(cache), Peer(number, ports)) for number in range(3)]  # type: ignore[arg-type]
        for service in services:
            stack.callback(service.close)
        with ThreadPoolExecutor(len(services)) as threads:
            list(threads.map(ProgramService.start, services))
        yield services


def leader_of(services: Sequence[ProgramService]) -> int | None:
    """The number of the server that those who answer agree upon as their leader; ``None`` while they do not."""
    said = {node for service in services for node in _leaders(service.address)}
    return int(said.pop().rpartition("-")[2]) if len(said) == 1 else None


def _leaders(address: str) -> set[str]:
    """The servers that one takes for leaders: none while it does not answer."""
    url = f"{address}/v1/operator/raft/configuration"
    try:
        with urllib.request.urlopen(url, timeout=PROBE_SECONDS) as answer:  # noqa: S310 - loopback
            return {each["Node"] for each in json.load(answer)["Servers"] if each["Leader"]}
    except (OSError, ValueError):
        return set()
