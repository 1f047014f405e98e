"""``tocsin fleet``, ``tocsin watch`` and ``--wait-fleet``, against an issuer and agents that run as processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.issuer_under_test import until
from tests.services.ports import free_ports
from tocsin.processes import Program, without_settings
from tocsin.workspace import Workspace


class Ran:
    """A command that has ended."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    @property
    def answer(self) -> Any:
        """Its one JSON document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """A JSON document a line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Place:
    """A folder with an issuer and two agents."""

    def __init__(self, folder: Path, agents: list[Program]) -> None:
        self.folder = folder
        self.agents = agents

    def tocsin(self, *arguments: str) -> Ran:
        """Run one command to its end."""
        return Ran(
            subprocess.run(
                [sys.executable, "-m", "tocsin", *arguments],
                cwd=self.folder,
                env=without_settings(os.environ),
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
            )
        )

    def standings(self) -> dict[str, str]:
        """How each agent stands, by name."""
        return {each["name"]: each["standing"] for each in self.tocsin("fleet", "--json").answer["agents"]}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """What `tocsin init` makes, its issuer, and two agents that enrol."""
    workspace = Workspace(tmp_path / ".tocsin")
    await workspace.set_up(port=free_ports(1)[0], sidecar_port=0)
    config = workspace.config.read_text() + "\nstatus_every = 0.5\n"
    configs = {"issuer": workspace.config}
    workspace.config.write_text(config)
    for name in ("one", "two"):
        configs[name] = tmp_path / f"{name}.toml"
        configs[name].write_text(f'{config}agent_name = "{name}"\n')
    run = [["tocsin", "--config", str(path)] for path in configs.values()]
    async with (
        Program("issuer", [*run[0], "issuer", "--json"], tmp_path),
        Program("one", [*run[1], "agent", "--json"], tmp_path) as one,
        Program("two", [*run[2], "agent", "--json"], tmp_path) as two,
    ):
        here = Place(tmp_path, [one, two])
        await until(lambda: here.standings() == {"one": "counted", "two": "counted"}, "both agents count", 60)
        yield here


@pytest.mark.timeout(240)
async def test_who_has_applied_a_revocation_is_told_and_a_stopped_agent_is_named_with_exit_code_3(place: Place) -> None:
    done = place.tocsin("revoke", "--sub", "alice", "--reason", "a test", "--wait-fleet", "20", "--json")
    assert (done.code, done.answer["receipts"]["applied"], done.answer["receipts"]["laggards"]) == (0, 2, [])

    process = place.agents[1]._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        in_part = place.tocsin("revoke", "--sub", "bob", "--reason", "a test", "--wait-fleet", "3")
        keys = place.tocsin("keys", "rotate", "--reason", "due", "--json")
        second = place.tocsin("keys", "rotate", "--reason", "due", "--wait", "1", "--json")
        forced = place.tocsin("keys", "rotate", "--reason", "due", "--force", "--wait-fleet", "1")
        watched = place.tocsin("watch", "--for", "12", "--past", "3", "--json")
    finally:
        process.send_signal(signal.SIGCONT)

    assert in_part.code == 3
    assert "applied by 1 of 2 agents; not by two" in in_part.out
    assert keys.code == 0, keys.err  # both had acknowledged the first standby
    assert second.code == 1
    assert "not acknowledged by two" in second.err
    assert forced.code == 3
    assert watched.code == 3
    decided = [line for line in watched.lines if line["what"] == "revoke"]
    assert [line["selector"]["claims"] for line in decided] == [{"sub": "alice"}, {"sub": "bob"}]
    assert [line["what"] for line in watched.lines].count("key-set") == 3
    assert {"what": "agent", "name": "two", "standing": "behind"}.items() <= next(
        line for line in watched.lines if line["what"] == "agent" and line["standing"] == "behind"
    ).items()
    await until(lambda: place.tocsin("fleet").code == 0, "it has caught up", 60)


@pytest.mark.timeout(120)
async def test_an_agent_that_is_gone_is_removed_and_one_that_does_not_exist_is_wrong_use(place: Place) -> None:
    before = place.tocsin("fleet", "--json").answer["agents"]

    done = place.tocsin("fleet", "remove", before[0]["id"], "--reason", "its machine is gone", "--json")
    unknown = place.tocsin("fleet", "remove", "nobody", "--reason", "its machine is gone")

    assert (done.code, done.answer["name"]) == (0, before[0]["name"])
    assert (unknown.code, "there is no agent 'nobody'" in unknown.err) == (2, True)
    assert place.standings()[before[0]["name"]] == "removed"
