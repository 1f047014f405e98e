"""The issuer over TLS: 1.2 or newer, with a certificate that can be exchanged while it runs."""

import asyncio
import shutil
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.feed_under_test import self_signed
from tests.issuer_process import IssuerProcess
from tests.issuer_under_test import Installation, until
from tocsin.tls import ServerTls
from verifier_agent import SettingInvalid


@pytest.fixture
async def installation(tmp_path: Path) -> Installation:
    return await Installation.create(tmp_path)


def another(folder: Path, name: str) -> Path:
    """A further certificate with its key."""
    (folder / name).mkdir()
    return self_signed(folder / name)


async def shown(issuer: IssuerProcess) -> str:
    """The certificate that a new connection is shown, in PEM."""
    port = urlsplit(issuer.url).port
    assert port is not None
    return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))


def written(pem: Path) -> str:
    return pem.read_text()[pem.read_text().index("-----BEGIN CERTIFICATE") :]


async def test_tokens_are_given_over_tls_and_a_certificate_can_be_exchanged_while_it_runs(
    installation: Installation, tmp_path: Path
) -> None:
    first, second, live = another(tmp_path, "first"), another(tmp_path, "second"), tmp_path / "live.pem"
    shutil.copy(first, live)
    trusted = ssl.create_default_context(cafile=str(first))
    async with IssuerProcess.started(installation, tls=trusted, tls_cert=live, tls_key=live) as issuer:
        assert issuer.url.startswith("https://")
        await issuer.token(installation.demo)
        assert await shown(issuer) == written(first)

        live.write_text("neither a certificate nor a key")
        issuer.process.send_signal(signal.SIGHUP)
        await until(lambda: any("tls_not_reloaded" in line for line in issuer.log), "it says what is wrong")
        assert await shown(issuer) == written(first), "the old one stays"

        shutil.copy(second, live)
        issuer.process.send_signal(signal.SIGHUP)
        await until(lambda: any("tls_reloaded" in line for line in issuer.log), "it has read the new one")
        assert await shown(issuer) == written(second)
        assert await issuer.stop() == 0


async def test_versions_before_1_2_are_refused(installation: Installation, tmp_path: Path) -> None:
    pem = another(tmp_path, "one")
    trusted = ssl.create_default_context(cafile=str(pem))
    async with IssuerProcess.started(installation, tls=trusted, tls_cert=pem, tls_key=pem) as issuer:
        for option, is_taken in (("-tls1_1", False), ("-tls1_2", True)):
            assert await asyncio.to_thread(connects, urlsplit(issuer.url).port, option) == is_taken


def connects(port: int | None, option: str) -> bool:
    """Whether OpenSSL's own client comes to a connection with this version."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("openssl is missing")
    command = [openssl, "s_client", "-connect", f"127.0.0.1:{port}", option, "-cipher", "DEFAULT:@SECLEVEL=0"]
    return subprocess.run(command, input=b"", capture_output=True, timeout=60, check=False).returncode == 0


def test_one_half_of_a_pair_is_refused_by_name(tmp_path: Path) -> None:
    pem = another(tmp_path, "one")
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\nnot one\n-----END PRIVATE KEY-----\n")

    for certificate, key in ((pem, tmp_path / "key.pem"), (tmp_path / "nothing", pem), (pem, tmp_path / "nothing")):
        with pytest.raises(SettingInvalid, match="'tls_cert' and 'tls_key'"):
            ServerTls(certificate, key)


def test_a_certificate_and_the_key_of_another_are_refused(tmp_path: Path) -> None:
    first, second = another(tmp_path, "first"), another(tmp_path, "second")
    certificate = tmp_path / "certificate.pem"
    certificate.write_text(written(first))

    with pytest.raises(SettingInvalid):
        ServerTls(certificate, second)


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    pem = another(tmp_path, "one")
    locked = tmp_path / "locked.pem"
    command = ["openssl", "pkey", "-in", str(pem), "-aes256", "-passout", "pass:secret", "-out", str(locked)]
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing")
    subprocess.run(command, check=True, capture_output=True)
    script = "import sys, pathlib, tocsin.tls; tocsin.tls.ServerTls(*map(pathlib.Path, sys.argv[1:]))"

    ended = subprocess.run(
        [sys.executable, "-c", script, pem, locked], capture_output=True, text=True, timeout=60, check=False
    )

    assert "SettingInvalid" in ended.stderr
