"""``tocsin trust`` as an operator types it; no issuer needs to run."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from events import IssuerTrust
from events.thumbprint import thumbprint
from tests.integration.test_command_line import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A folder with an installation in it."""
    shell = Shell(tmp_path)
    assert shell.tocsin("init", "--port", "0", "--no-demo").code == 0
    return shell


OFFLINE = ".tocsin/event-key-successor.json"


def succeed(shell: Shell, key: str, following: str, *more: str) -> Any:
    return shell.tocsin("trust", "succeed", "--key", key, "--next-out", following, "--reason", "a test", *more)


def test_init_makes_the_first_successor_for_its_owner_alone_and_says_where_it_belongs(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    said = shell.tocsin("init", "--port", "0", "--no-demo").out
    offline = tmp_path / OFFLINE

    assert "event-key-successor.json offline" in said.replace("\n", " ")
    assert stat.S_IMODE(offline.stat().st_mode) == 0o600
    trust = IssuerTrust.load(tmp_path / ".tocsin" / "trust.json")
    assert trust.successor == thumbprint(json.loads(offline.read_text()))
    assert json.loads(offline.read_text())["d"] not in said

    offline.unlink()  # as it should be
    assert shell.tocsin("init", "--port", "0", "--no-demo").code == 0
    assert not offline.exists()
    assert IssuerTrust.load(tmp_path / ".tocsin" / "trust.json") == trust


def test_a_succession_prints_the_chain_and_a_trust_file_that_pins_all_of_it(shell: Shell) -> None:
    before = shell.tocsin("trust", "show", "--json").json()
    answer = succeed(shell, OFFLINE, "second.json", "--trust-out", "trust.json", "--json").json()

    old, new = answer["event_keys"]
    assert old["kid"] == before["event_keys"][0]["kid"]
    assert new["kid"] == before["successor"]
    assert set(old["ends"]) == {"keys", "revocations", "heartbeats"}
    assert answer["successor"] == thumbprint(json.loads((shell.folder / "second.json").read_text()))
    assert stat.S_IMODE((shell.folder / "second.json").stat().st_mode) == 0o600
    assert shell.tocsin("trust", "show", "trust.json").code == 0
    assert shell.tocsin("trust", "show", ".tocsin/trust.json").code == 0  # an agent that has it follows
    assert succeed(shell, "second.json", "third.json").code == 0
    assert len(shell.tocsin("trust", "show", "--json").json()["event_keys"]) == 3


@pytest.mark.parametrize(
    ("key", "following", "words"),
    [
        ("stranger.json", "next.json", "the successor of event key"),
        (OFFLINE, OFFLINE, "must be another"),
        ("readable.json", "next.json", "has mode 0644"),
        ("nonsense.json", "next.json", "holds no event key"),
    ],
)
def test_a_key_that_cannot_succeed_is_refused_by_name_and_leaves_nothing_behind(
    shell: Shell, key: str, following: str, words: str
) -> None:
    assert shell.tocsin("trust", "successor", "--out", "stranger.json", "--replace").code == 0
    assert shell.tocsin("trust", "successor", "--out", "other.json", "--replace").code == 0
    for name, mode, content in (("readable.json", 0o644, b"{}"), ("nonsense.json", 0o600, b"[]")):
        (shell.folder / name).write_bytes(content)
        (shell.folder / name).chmod(mode)

    refused = succeed(shell, key, following)

    assert refused.code != 0
    assert words in refused.err.replace("\n", " ")
    assert (shell.folder / following).exists() == (following == OFFLINE)
    assert len(shell.tocsin("trust", "show", "--json").json()["event_keys"]) == 1


def test_a_second_successor_needs_to_be_asked_for(shell: Shell) -> None:
    refused = shell.tocsin("trust", "successor", "--out", "other.json")

    assert refused.code == 1
    assert "has a successor already" in refused.err
    assert not (shell.folder / "other.json").exists()


def test_a_trust_file_that_says_something_else_is_told_where(shell: Shell) -> None:
    shell.tocsin("trust", "successor", "--out", "other.json", "--replace", "--trust-out", "anew.json")

    shown = shell.tocsin("trust", "show", ".tocsin/trust.json", "--json")
    assert shown.code == 1
    assert "its successor is" in json.loads(shown.out)["differences"][0]
    assert shell.tocsin("trust", "show", "anew.json").code == 0


def test_a_lost_event_key_is_answered_by_adopting_its_successor(shell: Shell) -> None:
    done = shell.tocsin(
        *("trust", "adopt", "--key", OFFLINE, "--next-out", "second.json", "--reason", "its row was damaged"),
        *("--trust-out", "anew.json", "--json"),
    )

    assert done.code == 0
    assert [key["ends"] is None for key in done.json()["event_keys"]] == [False, True]
    trust = IssuerTrust.load(shell.folder / "anew.json")
    assert len(trust.event_keys) == 2
    assert set(trust.ends) == {done.json()["event_keys"][0]["kid"]}
    assert shell.tocsin("trust", "show", "anew.json").code == 0
