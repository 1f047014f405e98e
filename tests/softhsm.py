"""A real PKCS #11 token in software (SoftHSM 2), one for all tests, with keys by label."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.services.search import services_are_required

TOKEN: Final = "tocsin-tests"
PIN: Final = "4711-0815"
MODULES: Final = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
WHAT_IS_MISSING: Final = "SoftHSM is missing (apt-get install softhsm2), or set TOCSIN_TEST_SOFTHSM to its library"


@dataclass
class SoftHsm:
    """The token.

    Attributes:
        module: the library.
        folder: where tokens, their configuration and the PIN lie.
    """

    module: Path
    folder: Path
    made: set[str] = field(default_factory=set)

    @property
    def pin_file(self) -> Path:
        """The file with the PIN."""
        return self.folder / "pin"

    def uri(self, label: str, *, token: str = TOKEN, pin_file: Path | None = None) -> str:
        """Names a key."""
        return (
            f"pkcs11:token={token};object={label}?module-path={self.module}&pin-source=file:{pin_file or self.pin_file}"
        )

    def key(self, label: str, *, bits: int = 256, extractable: bool = False) -> str:
        """Make an AES key unless it is there; its URI."""
        import pkcs11  # noqa: PLC0415 - an extra

        if label not in self.made:
            token = pkcs11.lib(str(self.module)).get_token(token_label=TOKEN)
            try:
                session = token.open(rw=True, user_pin=PIN)
            except pkcs11.exceptions.UserAlreadyLoggedIn:
                session = token.open(rw=True)
            template = {pkcs11.Attribute.SENSITIVE: not extractable, pkcs11.Attribute.EXTRACTABLE: extractable}
            session.generate_key(pkcs11.KeyType.AES, bits, label=label, store=True, template=template)
            self.made.add(label)
        return self.uri(label)


def started_softhsm(folder: Path) -> Iterator[SoftHsm]:
    """A token with a PIN and no keys; its library is this process's for good, so there is one for all tests.

    Without SoftHSM the test is skipped, or fails where services are required.
    """
    module = next(
        (Path(path) for path in (os.environ.get("TOCSIN_TEST_SOFTHSM", ""), *MODULES) if path and Path(path).exists()),
        None,
    )
    tool = shutil.which("softhsm2-util")
    if module is None or tool is None:
        if services_are_required(os.environ):
            pytest.fail(WHAT_IS_MISSING, pytrace=False)
        pytest.skip(WHAT_IS_MISSING)
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    subprocess.run(
        [tool, "--init-token", "--free", "--label", TOKEN, "--pin", PIN, "--so-pin", "0000-1111"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    hsm = SoftHsm(module, folder)
    hsm.pin_file.touch(0o600)
    hsm.pin_file.write_text(PIN + "\n")
    yield hsm
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before
