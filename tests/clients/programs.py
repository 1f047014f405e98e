"""Clients that others have written, as programs that go through everything the issuer offers to one."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.services.cache import Cache

HERE: Final = Path(__file__).parent
BUILD_SECONDS: Final = 300.0
STEPS: Final = (
    *("discovery", "client_credentials", "verification", "token_exchange", "authorization_code"),
    *("userinfo", "refresh_token", "introspection", "revocation", "device_code"),
)
"""What each says to have done."""


class Missing(Exception):
    """A language is not on this machine, or is too old."""


def command(language: str) -> list[str]:
    """The command of a program, built once into the cache with what its lock file pins.

    Raises:
        Missing: see there.
        subprocess.CalledProcessError: it could not be built.
    """
    return {"python": _python, "node": _node, "go": _go}[language]()


def _python() -> list[str]:
    return [sys.executable, str(HERE / "python" / "client.py")]


def _node() -> list[str]:
    node, npm = _found("node", "--version", (20,)), shutil.which("npm")
    if npm is None:
        raise Missing("npm is not installed")

    def build(folder: Path) -> None:
        for name in ("package.json", "package-lock.json", "client.mjs"):
            shutil.copy(HERE / "node" / name, folder)
        _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder)

    return [node, str(_built("node", build) / "client.mjs")]


def _go() -> list[str]:
    go = _found("go", "version", (1, 26))

    def build(folder: Path) -> None:
        _run([go, "build", "-mod=readonly", "-o", str(folder / "client"), "."], HERE / "go")

    return [str(_built("go", build) / "client")]


def _found(program: str, how: str, since: tuple[int, ...]) -> str:
    """Where a program is whose version suffices."""
    path = shutil.which(program)
    if path is None:
        raise Missing(f"{program} is not installed")
    said = subprocess.run([path, how], cwd=HERE, capture_output=True, check=True, text=True, timeout=60).stdout
    version = re.search(r"[0-9]+(?:\.[0-9]+)+", said)
    if version is None or tuple(map(int, version[0].split("."))) < since:
        raise Missing(f"{program} {'.'.join(map(str, since))} or later is needed, and this is {said.strip()}")
    return path


def _built(language: str, build: Callable[[Path], None]) -> Path:
    """The folder of a program, named by what it is made of."""
    sources = sorted(each for each in (HERE / language).iterdir() if each.is_file())
    digest = hashlib.sha256(b"".join(each.name.encode() + each.read_bytes() for each in sources)).hexdigest()[:16]
    cache, name = Cache.of(os.environ), f"client-{language}-{digest}"
    cache.make(name, build)
    return cache.path(name)


def _run(arguments: list[str], folder: Path) -> None:
    # Go compares its version with that of go.mod: a newer toolchain is not to be fetched.
    subprocess.run(arguments, cwd=folder, check=True, timeout=BUILD_SECONDS, env=os.environ | {"GOTOOLCHAIN": "local"})
