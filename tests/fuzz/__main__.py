"""``python -m tests.fuzz``: fuzzes each target for some seconds, beginning with the corpus that is kept."""

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.fuzz.seeds import event_seeds, token_seeds

HERE: Final = Path(__file__).parent
CORPUS: Final = HERE / "corpus"
CRASHES: Final = Path("build/fuzz")
SEEDS: Final[dict[str, Callable[[], Iterator[bytes]]]] = {"token": token_seeds, "event": event_seeds}
MAX_LENGTH: Final = 4096
"""Bytes of one input."""


def fuzzer(target: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
    """Run libFuzzer on one target."""
    command = [sys.executable, "-m", f"tests.fuzz.fuzz_{target}", *map(str, options), f"-max_len={MAX_LENGTH}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run(target: str, seconds: int, found: Path) -> bool:
    """Fuzz for a while, tell how far it came, and whether all was well."""
    CRASHES.mkdir(parents=True, exist_ok=True)
    limits = (f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1")
    done = fuzzer(
        target, found, CORPUS / target, *limits, f"-dict={HERE / 'words.dict'}", f"-artifact_prefix={CRASHES}/{target}-"
    )
    executions = _last_number(r"stat::number_of_executed_units:\s+(\d+)", done.stderr)
    coverage = _last_number(r"cov: (\d+)", done.stderr)
    tell(
        f"{target}: {executions:,} executions in {seconds} s, {coverage} edges, {len(list(found.iterdir()))} new inputs"
    )
    if done.returncode:
        tell(f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        tell(f"The input is in {CRASHES}; python -m tests.fuzz.fuzz_{target} FILE runs it again.")
    return not done.returncode


def keep(target: str, *found: Path) -> None:
    """Replace the corpus by the fewest inputs that reach all that it and what was found reach."""
    with tempfile.TemporaryDirectory() as fewest:
        fuzzer(target, "-merge=1", fewest, CORPUS / target, *found).check_returncode()
        inputs = [path.read_bytes() for path in Path(fewest).iterdir()]
    for path in (CORPUS / target).iterdir():
        path.unlink()
    write(inputs, CORPUS / target)
    tell(f"{target}: {len(inputs)} inputs kept")


def write(inputs: Iterable[bytes], folder: Path) -> None:
    """Each in a file named by its digest, as libFuzzer does."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        (folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)


def tell(text: str) -> None:
    """One line at once, for whoever waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _last_number(pattern: str, text: str) -> int:
    return int((re.findall(pattern, text) or ["0"])[-1])


def main() -> int:
    """Fuzz each target; 1 when something came out that must not."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=30, help="for each target (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="afterwards keep what is new, and drop what it makes idle")
    given = parser.parse_args()
    well = True
    for target, seeds in SEEDS.items():
        with tempfile.TemporaryDirectory() as folder:
            found, begun = Path(folder) / "found", Path(folder) / "seeds"
            found.mkdir()
            well &= run(target, given.seconds, found)
            if given.keep and well:
                write(seeds(), begun)
                keep(target, begun, found)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
