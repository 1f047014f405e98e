"""A copy of the checkout, in which mutants are tried one after the other."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import Final

from tests.mutation.forking import HUNG, OUTPUT
from tests.mutation.mutants import PATH, Mutant

COPIED: Final = ["events", "issuer", "verifier_agent", "tocsin", "tests", "pyproject.toml"]
OPTIONS: Final = [
    "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", "-W", "ignore::pytest.PytestAssertRewriteWarning",
]  # fmt: skip
PASSED: Final = "0"
NEAREST: Final = {
    "verifier hot_path verified_tokens": "verifier hot_path verified_tokens evaded_revocations peers_bugs forged_tokens"
    " forged_events foreign_tokens snapshots threads",
    "jws base64url claims": "verifier odd_json forged_tokens disguised_tokens arbitrary_tokens known_answers",
    "foreign_issuers": "foreign_tokens",
    "seal": "snapshots",
    "keyring": "keyring verifier forged_tokens confused_algorithms broken_signatures peers_bugs",
    "revocations selector_index": "revocation_index evaded_revocations snapshot any_order",
    "digest_index digest_filter digest_runs digests": "digests digest_index digest_runs revocation_index"
    " evaded_revocations",
    "issuer_state freshness": "freshness verifier snapshot forged_events peers_bugs evaded_revocations any_order",
}
"""By modules, the tests that are tried first when one of them was changed. If these notice nothing, all others are."""
KNOWS_THE_VERIFIER: Final = re.compile(r"verifier_agent|simulator|events.digests|events.base64url")
HAS_A_LOOP: Final = re.compile(r"async def|issuer_under_test")
ROOMS: Final = ("unit", "vectors", "security", "oracle")
LEFT_OUT: Final = re.compile(r"test_(benchmarks|configuration|imports|trust_file)")
"""Tests that know the verifier and have no part in a verdict."""


class Verdict(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    HUNG = "hung"
    SURVIVED = "survived"


class Trial:
    """One copy, under ``folder``, in which the unchanged program passes."""

    def __init__(self, root: Path, folder: Path, near: Collection[str] = ()) -> None:
        """Copy the checkout, and see it pass.

        Args:
            root: of the checkout.
            folder: of the copy.
            near: modules whose nearest tests alone will be run; by default all tests will.

        Raises:
            RuntimeError: it does not.
        """
        self._folder = folder
        for name in COPIED:
            if (root / name).is_dir():
                shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(root / name, folder / name)
        nearest = {name for module in near for name in _nearest(module)}
        self._tests = [test for test in _relevant(folder) if not near or _name(test) in nearest]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mutation.forking"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ask(self._tests)
        if (status := self._run(self._tests)) != PASSED:
            output = (folder / OUTPUT).read_text()[-3000:]
            raise RuntimeError(f"without any change, tests fail already ({status}):\n{output}")

    def close(self) -> None:
        """End the process that runs the tests."""
        self._process.communicate()

    def judge(self, mutant: Mutant, *, near: bool = False) -> Verdict:
        """Whether any test notices this mutant; with ``near``, any of those that are nearest."""
        file = self._folder / mutant.module
        original = file.read_text()
        file.write_text(mutant.source)
        try:
            return self._judge(_nearest(mutant.module.stem), near)
        finally:
            file.write_text(original)

    def _judge(self, names: list[str], near: bool) -> Verdict:
        first = [test for test in self._tests if _name(test) in names]
        others = [test for test in self._tests if test not in first]
        for tests in [first] if near else [first, others]:
            status = self._run(tests)
            if status != PASSED:
                return Verdict.HUNG if status == HUNG else Verdict.KILLED
        return Verdict.SURVIVED

    def _run(self, tests: list[str]) -> str:
        for package in PATH:
            for compiled in (self._folder / package).glob("__pycache__/*"):
                compiled.unlink()  # it would pass for that of a mutant written within the same second
        self._ask(tests)
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _ask(self, tests: list[str]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([*OPTIONS, *tests]) + "\n")
        self._process.stdin.flush()


def _nearest(module: str) -> list[str]:
    return next((tests.split() for modules, tests in NEAREST.items() if module in modules.split()), [])


def _name(test: str) -> str:
    return Path(test).stem.removeprefix("test_")


def _relevant(folder: Path) -> list[str]:
    """The tests without I/O in which the verifier has a part."""
    found = [path for room in ROOMS for path in sorted(folder.glob(f"tests/{room}/test_*.py"))]
    chosen = [path for path in found if not LEFT_OUT.match(path.name) and _is_about_verdicts(path.read_text())]
    return [str(path.relative_to(folder)) for path in chosen]


def _is_about_verdicts(source: str) -> bool:
    return bool(KNOWS_THE_VERIFIER.search(source)) and not HAS_A_LOOP.search(source)
