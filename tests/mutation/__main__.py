"""``python -m tests.mutation``: makes every mutant of the verification path, and tells which ones no test notices."""

import argparse
import queue
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Final

from tests.mutation.equivalent import EQUIVALENT
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.trial import Trial, Verdict

ROOT: Final = Path(__file__).parents[2]


class Report:
    """What became of each mutant so far."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._lock = threading.Lock()
        self._verdicts: dict[str, Verdict] = {}

    def note(self, mutant: Mutant, verdict: Verdict) -> None:
        """Keep one verdict; tell at once of a mutant that survived."""
        with self._lock:
            self._verdicts[mutant.name] = verdict
            if verdict is Verdict.SURVIVED or len(self._verdicts) % 25 == 0:
                tell(f"[{len(self._verdicts)}/{self._total}] {verdict}: {mutant.name}")

    def survivors(self) -> list[str]:
        """Those that nothing has noticed and that are not known as equivalent."""
        return [name for name, verdict in self._verdicts.items() if verdict is Verdict.SURVIVED]

    def counts(self) -> Counter[Verdict]:
        """How many of each."""
        return Counter(self._verdicts.values())


def tell(text: str) -> None:
    """One line at once, for whoever waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def work(trial: Trial, waiting: "queue.SimpleQueue[Mutant]", report: Report, near: bool) -> None:
    """Judge what waits until nothing does."""
    while True:
        try:
            mutant = waiting.get_nowait()
        except queue.Empty:
            return
        report.note(mutant, trial.judge(mutant, near=near))


def judge_all(chosen: list[Mutant], jobs: int, near: bool) -> Report:
    """Judge the mutants, so many at once."""
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for mutant in chosen:
        waiting.put(mutant)
    report = Report(len(chosen))
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        modules = {mutant.module.stem for mutant in chosen} if near else ()
        trials = [Trial(ROOT, Path(folder) / str(number), modules) for number in range(jobs)]
        threads = [threading.Thread(target=work, args=(trial, waiting, report, near)) for trial in trials]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for trial in trials:
            trial.close()
    return report


def main() -> int:
    """Judge the mutants; 1 when one survives that is not known as equivalent."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="mutants at once (default: %(default)s)")
    parser.add_argument("--only", default="", help="those alone whose names hold this")
    parser.add_argument("--near", action="store_true", help="only the nearest tests: sooner, and more survive")
    parser.add_argument("--list", action="store_true", help="name them, and try none")
    given = parser.parse_args()
    made = [mutant for mutant in mutants(ROOT) if given.only in mutant.name]
    if given.list:
        tell("\n".join(mutant.name for mutant in made))
        return 0
    chosen, began = [mutant for mutant in made if mutant.name not in EQUIVALENT], time.monotonic()
    report = judge_all(chosen, given.jobs, given.near)
    counts, survivors = report.counts(), report.survivors()
    tell(f"{len(made)} mutants, {len(made) - len(chosen)} of them equivalent, in {time.monotonic() - began:.0f} s:")
    tell(", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict))
    for name in survivors:
        tell(f"survived: {name}")
    if not given.only:
        for name in sorted(EQUIVALENT.keys() - {mutant.name for mutant in made}):
            tell(f"listed as equivalent, and not there: {name}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
