"""A traceback in the log shows lines of code and no variables: tokens and private keys are among those."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import logging, sys
from issuer.keys.generation import generate
from tocsin import logs
from tocsin.settings import LogSettings

def sign(jwk, token, members):
    raise RuntimeError("it cannot sign")

token = '.'.join(['eyJhbGciOi', 'S3cret', 'T0ken'])
logs.set_up(LogSettings(log_format=sys.argv[1]))
try:
    jwk = generate("ES256")
    print(jwk["d"])
    sign(jwk, token, dict(jwk))
except RuntimeError:
    logging.getLogger("x").exception("request_failed")
sign_off = generate("EdDSA")
print(sign_off["d"])
sign(sign_off, token, dict(sign_off))
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_neither_a_logged_failure_nor_an_uncaught_one_shows_the_variables_of_its_frames(
    tmp_path: Path, form: str
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    done = subprocess.run(
        [sys.executable, str(program), form], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )

    assert done.returncode == 1
    assert "request_failed" in done.stderr
    assert done.stderr.count("it cannot sign") >= 2
    if form == "json":
        assert "it cannot sign" in json.loads(done.stderr.splitlines()[0])["exception"]
    for secret in (*done.stdout.split(), "S3cret.T0ken"):
        assert secret not in done.stderr
