"""Programs as children: why one did not start, that one has ended, and that none is left behind."""

import os
import signal
from pathlib import Path

import pytest

from tocsin.errors import ADDRESS_IN_USE, CommandFailed
from tocsin.processes import Program, run_with_children

STAYING = """
import os, sys
print('{"pid": %d}' % os.getpid(), flush=True)
sys.stdin.read()
"""


def _program(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> Program:
    (folder / "child_of_a_test.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return Program("child", ["child_of_a_test"], folder)


async def test_a_program_that_does_not_start_is_told_in_the_words_of_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = '{"error": "address_in_use", "detail": "cannot listen on 127.0.0.1:1"}'
    program = _program(tmp_path, f"import sys; sys.exit({error!r})", monkeypatch)

    with pytest.raises(CommandFailed) as failed:
        await program.__aenter__()

    assert str(failed.value) == "child did not start: cannot listen on 127.0.0.1:1"
    assert failed.value.code == ADDRESS_IN_USE


async def test_a_program_that_breaks_at_its_start_is_told_by_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = _program(tmp_path, "raise RuntimeError('no disk')", monkeypatch)

    with pytest.raises(CommandFailed, match=r"(?s)^child did not start:\n.*RuntimeError: no disk$"):
        await program.__aenter__()


async def test_a_program_that_is_killed_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with _program(tmp_path, STAYING, monkeypatch) as program:
        os.kill(program.announcement["pid"], signal.SIGKILL)

        with pytest.raises(CommandFailed, match=r"^child has ended, by SIGKILL; see .*child\.log$"):
            await program.must_go_on()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_whoever_is_ended_by_a_signal_ends_its_programs_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    pids: list[int] = []

    async def main() -> None:
        async with _program(tmp_path, STAYING, monkeypatch) as program:
            pids.append(program.announcement["pid"])
            os.kill(os.getpid(), number)
            await program.must_go_on()

    with pytest.raises(CommandFailed, match=f"^ended by {number.name}$"):
        run_with_children(main())

    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
    assert signal.getsignal(number) is signal.SIG_DFL
