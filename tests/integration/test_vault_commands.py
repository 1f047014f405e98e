"""``tocsin keys rewrap``, ``import`` and ``export`` as an operator types them; no issuer needs to run."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from issuer.keys.exchange import read_key, same_key, write_key
from issuer.keys.generation import generate
from issuer.keys.sealing import KeyEncryptionKey
from tests.integration.test_command_line import Ran, Shell
from tests.softhsm import SoftHsm

PASSPHRASE = "c0rrect horse battery"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A folder with an installation in it."""
    shell = Shell(tmp_path)
    assert shell.tocsin("init", "--port", "0", "--no-demo").code == 0
    return shell


def private(path: Path, content: bytes) -> str:
    path.touch(0o600)
    path.write_bytes(content)
    return str(path)


def imported(shell: Shell, *arguments: str) -> Any:
    return shell.tocsin("keys", "import", *arguments, "--reason", "a test", "--json").json()


def export(shell: Shell, kid: str, *arguments: str) -> Ran:
    return shell.tocsin("keys", "export", kid, "--reason", "a test", *arguments)


def test_a_key_goes_in_as_pem_and_comes_out_as_jwk_and_under_a_passphrase(shell: Shell) -> None:
    jwk = generate("ES256")
    passphrase = private(shell.folder / "passphrase", PASSPHRASE.encode() + b"\n")

    answer = imported(shell, private(shell.folder / "key.pem", write_key(jwk, "pem")))
    assert (answer["kid"], answer["alg"], answer["state"]) == (jwk["kid"], "ES256", "pending")

    piped = export(shell, jwk["kid"], "--reveal-private-key", "--format", "jwk")
    assert piped.code == 0
    assert json.loads(piped.out) == jwk
    assert jwk["d"] not in piped.err
    done = export(
        shell, jwk["kid"], "--reveal-private-key", "--out", "out.pem", "--passphrase-file", passphrase, "--json"
    )
    assert done.json() == {"kid": jwk["kid"], "format": "pem", "file": "out.pem"}
    out = shell.folder / "out.pem"
    assert out.stat().st_mode & 0o777 == 0o600
    assert out.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert same_key(read_key(out.read_bytes(), PASSPHRASE), jwk)


def test_a_key_under_a_passphrase_goes_in_to_verify_alone(shell: Shell) -> None:
    file = private(shell.folder / "key.pem", write_key(generate("RS256"), "pem", PASSPHRASE))
    passphrase = private(shell.folder / "passphrase", PASSPHRASE.encode())

    refused = shell.tocsin("keys", "import", file, "--reason", "x", "--verify-only")
    answer = imported(shell, file, "--verify-only", "--kid", "old-system", "--passphrase-file", passphrase)

    assert (refused.code, refused.out) == (2, "")
    assert "its passphrase is needed" in refused.err
    assert (answer["kid"], answer["alg"], answer["state"]) == ("old-system", "RS256", "retiring")
    again = shell.tocsin("keys", "import", file, "--reason", "x", "--verify-only", "--passphrase-file", passphrase)
    assert again.code == 1
    assert "it is the key old-system (token, retiring), which a new name does not change" in again.err


def test_bad_files_are_refused_by_what_is_wrong_with_them(shell: Shell) -> None:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - to be refused
    pem = small.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    good = private(shell.folder / "good.pem", write_key(generate("ES256"), "pem"))
    loose = private(shell.folder / "loose", PASSPHRASE.encode())
    Path(loose).chmod(0o644)

    refused = shell.tocsin("keys", "import", private(shell.folder / "small.pem", pem), "--reason", "x")
    assert refused.code == 2
    assert "small.pem is of no use here: it is an RSA key of 1024 bits, and RS256 needs 2048 or more" in refused.err
    refused = shell.tocsin("keys", "import", good, "--reason", "x", "--passphrase-file", loose)
    assert refused.code == 2
    assert "--passphrase-file" in refused.err
    assert "has mode 0644" in refused.err


def test_a_private_key_comes_out_only_by_the_flag_into_a_new_file_or_a_pipe(shell: Shell) -> None:
    jwk = generate("ES256")
    imported(shell, private(shell.folder / "key.jwk", write_key(jwk, "jwk")))

    without_flag = export(shell, jwk["kid"])
    over = export(shell, jwk["kid"], "--reveal-private-key", "--out", "key.jwk")
    nobody = export(shell, "nobody", "--reveal-private-key")
    both = export(shell, jwk["kid"], "--reveal-private-key", "--format", "jwk", "--passphrase-file", "key.jwk")

    assert (without_flag.code, without_flag.out) == (2, "")
    assert "--reveal-private-key" in without_flag.err
    assert (over.code, over.out) == (2, "")
    assert "key.jwk is there already" in over.err
    assert (nobody.code, nobody.out) == (1, "")
    assert "no key has the kid 'nobody'" in nobody.err
    assert both.code == 2
    assert "choose --format pem" in both.err


def test_a_private_key_is_not_shown_on_a_terminal(shell: Shell) -> None:
    jwk = generate("ES256")
    imported(shell, private(shell.folder / "key.jwk", write_key(jwk, "jwk")))
    master, terminal = pty.openpty()

    done = subprocess.run(
        [sys.executable, "-m", "tocsin", "keys", "export", jwk["kid"], "--reason", "x", "--reveal-private-key"],
        cwd=shell.folder,
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(terminal)
    os.set_blocking(master, False)
    try:
        shown = os.read(master, 65536)
    except OSError:  # nothing, and the other end is closed
        shown = b""
    os.close(master)

    assert done.returncode == 2
    assert b"not shown on a terminal" in done.stderr
    assert shown == b""


def test_keys_are_sealed_anew_and_the_old_key_is_needed_no_more(shell: Shell) -> None:
    new = KeyEncryptionKey.create(shell.folder / "new-kek").kek_id
    imported(shell, private(shell.folder / "key.jwk", write_key(generate("ES256"), "jwk")))
    both = {"TOCSIN_KEK_FILE": "new-kek", "TOCSIN_OTHER_KEK_FILES": ".tocsin/kek"}

    refused = shell.tocsin("keys", "rewrap", TOCSIN_KEK_FILE="new-kek")
    done = shell.tocsin("keys", "rewrap", "--json", **both).json()
    again = shell.tocsin("keys", "rewrap", **both)

    assert refused.code == 1
    assert f"not with {new}" in refused.err
    assert (done["kek_id"], done["rewrapped"], done["complete"]) == (new, 4, True)
    assert again.code == 0
    assert f"0 keys sealed anew under {new}, 4 were already" in again.out
    (shell.folder / "new-kek").replace(shell.folder / ".tocsin" / "kek")
    assert imported(shell, private(shell.folder / "o.jwk", write_key(generate("ES256"), "jwk")))["state"] == "pending"


def test_the_whole_life_works_with_keys_in_a_token(shell: Shell, softhsm: SoftHsm) -> None:
    uri = softhsm.key("commands")
    config = (shell.folder / ".tocsin" / "tocsin.toml").read_text()
    moved = [line for line in config.splitlines() if not line.startswith("kek_file")]
    (shell.folder / ".tocsin" / "tocsin.toml").write_text("\n".join([*moved, f'kek_uri = "{uri}"']))

    done = shell.tocsin("keys", "rewrap", "--json", TOCSIN_OTHER_KEK_FILES=".tocsin/kek").json()

    assert (done["kek_id"], done["complete"]) == ("pkcs11:tocsin-tests/commands", True)
    (shell.folder / ".tocsin" / "kek").unlink()
    jwk = generate("ES256")
    imported(shell, private(shell.folder / "key.jwk", write_key(jwk, "jwk")))
    assert json.loads(export(shell, jwk["kid"], "--reveal-private-key", "--format", "jwk").out) == jwk


def test_a_key_file_that_others_may_read_is_refused_with_its_mode(shell: Shell) -> None:
    (shell.folder / ".tocsin" / "kek").chmod(0o640)

    refused = shell.tocsin("keys", "rewrap")

    assert refused.code == 2
    assert "setting 'kek_file'" in refused.err
    assert "has mode 0640" in refused.err
