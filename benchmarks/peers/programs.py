"""The peers of other languages: each set of them is a program that reads a work order and prints what it measured."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from tocsin.verification.issuer import AUDIENCE, ISSUER, MeasuredIssuer

HERE: Final = Path(__file__).parent
NODE_SINCE: Final = 20
SET_UP_SECONDS: Final = 300.0
MEASURE_SECONDS: Final = 300.0


@dataclass(frozen=True)
class PeerProgram:
    """One such program.

    Attributes:
        peers: that it measures.
        needs: what must be installed for it.
        set_up: in a folder of its own, with packages pinned by hash; the command, or ``None`` when it is not installed.
    """

    peers: tuple[str, ...]
    needs: str
    set_up: Callable[[Path], list[str] | None]


def node_program(source: Path, script: str, folder: Path) -> list[str] | None:
    """The command that runs a script with packages pinned by hash; ``None`` where Node is not installed.

    Args:
        source: folder of the script, ``package.json`` and ``package-lock.json``.
        script: its name there.
        folder: where all that is to be put.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None or _node_version(node) < NODE_SINCE:
        return None
    for name in ("package.json", "package-lock.json", script):
        shutil.copy(source / name, folder)
    _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder)
    return [node, str(folder / script)]


def _node(folder: Path) -> list[str] | None:
    return node_program(HERE / "node", "measure.mjs", folder)


def _node_version(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, check=True, text=True, timeout=10).stdout
    return int(said.removeprefix("v").partition(".")[0])


def _go(folder: Path) -> list[str] | None:
    go = shutil.which("go")
    if go is None:
        return None
    program = folder / "measure"
    _run([go, "build", "-mod=readonly", "-o", str(program), "."], HERE / "go")
    return [str(program)]


PROGRAMS: Final = (
    PeerProgram(("fast-jwt", "jose", "aws-jwt-verify"), f"Node {NODE_SINCE} and npm", _node),
    PeerProgram(("golang-jwt",), "Go", _go),
)


def write_order(path: Path, issuers: list[MeasuredIssuer], seconds: float) -> None:
    """The tokens and keys, and how long to time each figure."""
    algorithms = [
        {"alg": issuer.alg, "jwk": issuer.jwk, "tokens": issuer.tokens, "bad": issuer.bad_tokens()}
        for issuer in issuers
    ]
    order = {"issuer": ISSUER, "audience": AUDIENCE, "seconds": seconds, "algorithms": algorithms}
    path.write_bytes(msgspec.json.encode(order))


def run(command: list[str], order: Path) -> dict[str, Any]:
    """What the program measured.

    Raises:
        subprocess.CalledProcessError: it failed, or a peer does not reject what it must.
    """
    said = subprocess.run([*command, str(order)], stdout=subprocess.PIPE, check=True, timeout=MEASURE_SECONDS).stdout
    answer: dict[str, Any] = msgspec.json.decode(said)
    return answer


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, timeout=SET_UP_SECONDS)
