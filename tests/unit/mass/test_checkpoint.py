"""Going on where a run died."""

from pathlib import Path
from typing import Any

import pytest

from tocsin.errors import CommandFailed
from tocsin.mass.checkpoint import Checkpoint

JOB: dict[str, Any] = {
    "fingerprint": "f" * 64,
    "batch_size": 50_000,
    "issuer": "https://issuer.example",
    "reason": "leaked",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.csv.tocsin"


def test_a_second_run_has_the_jobs_name_and_what_was_answered(path: Path) -> None:
    with Checkpoint.open(path, **JOB) as first:
        first.note(0, "1.5")
        first.note(1, "1.6")

    with Checkpoint.open(path, **JOB) as second:
        assert second.job == first.job
        assert second.done == {0: "1.5", 1: "1.6"}
        second.note(2, "1.7")
    with Checkpoint.open(path, **JOB) as third:
        assert third.done == {0: "1.5", 1: "1.6", 2: "1.7"}


def test_only_its_owner_reads_it(path: Path) -> None:
    with Checkpoint.open(path, **JOB):
        assert path.stat().st_mode & 0o777 == 0o600


def test_after_the_end_a_run_is_another_job(path: Path) -> None:
    with Checkpoint.open(path, **JOB) as first:
        first.note(0, "1.5")
        first.remove()
    assert not path.exists()

    with Checkpoint.open(path, **JOB) as second:
        assert second.done == {}
        assert second.job.name != first.job.name


def test_wherever_the_file_breaks_off_what_is_whole_counts(path: Path) -> None:
    with Checkpoint.open(path, **JOB) as whole:
        whole.note(0, "1.5")
        whole.note(1, "1.6")
    text = path.read_bytes()
    ends = [at + 1 for at, octet in enumerate(text) if octet == ord("\n")]

    for length in range(len(text)):
        path.write_bytes(text[:length])
        if 0 < length < 8:
            continue  # it is not to be told from somebody else's file
        with Checkpoint.open(path, **JOB) as again:
            assert len(again.done) == max(0, sum(end <= length for end in ends) - 1)
            assert (again.job == whole.job) == (length >= ends[0])
            again.note(7, "1.9")
        with Checkpoint.open(path, **JOB) as once_more:
            assert once_more.done == again.done


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("fingerprint", "e" * 64, "another content of the file"),
        ("batch_size", 10, "another batch size"),
        ("issuer", "https://other.example", "another issuer"),
        ("reason", "lost", "another reason"),
    ],
)
def test_another_job_does_not_go_on_with_it(path: Path, name: str, value: object, words: str) -> None:
    with Checkpoint.open(path, **JOB) as first:
        first.note(0, "1.5")
    before = path.read_bytes()

    with pytest.raises(CommandFailed, match=words) as failed:
        Checkpoint.open(path, **{**JOB, name: value})
    assert (failed.value.exit_code, "1 batches" in str(failed.value)) == (2, True)
    assert path.read_bytes() == before


def test_two_runs_at_once_are_one_too_many(path: Path) -> None:
    with Checkpoint.open(path, **JOB), pytest.raises(CommandFailed, match="another run"):
        Checkpoint.open(path, **JOB)
    with Checkpoint.open(path, **JOB):
        pass


@pytest.mark.parametrize("content", [b"my notes", b"my notes\n", b"{}\n", b"\n\n", b"\xff\xff\n"])
def test_a_file_of_something_else_is_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(CommandFailed, match="no checkpoint"):
        Checkpoint.open(path, **JOB)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="--checkpoint"):
        Checkpoint.open(tmp_path / "nowhere" / "x", **JOB)


def test_without_a_path_nothing_is_kept() -> None:
    with Checkpoint.open(None, **JOB) as checkpoint:
        checkpoint.note(0, "1.5")
        checkpoint.remove()
    assert checkpoint.done == {0: "1.5"}
