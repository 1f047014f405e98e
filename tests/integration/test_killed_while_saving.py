"""An agent whose process is killed at any moment while it saves."""

import random
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from events import Selector
from tests.saving_process import Input
from tests.sealed import sealed_snapshot
from tests.simulator import IssuerSimulator, Listener
from verifier_agent.saved.disk import DiskStore

KILLS = 12


@pytest.fixture
def issuer() -> IssuerSimulator:
    """One that has said something of some size."""
    simulator = IssuerSimulator()
    for number in range(300):
        simulator.revoke(Selector.of(sub=f"user-{number}"))
    return simulator


async def test_whenever_a_process_is_killed_what_it_has_saved_is_whole(issuer: IssuerSimulator, tmp_path: Path) -> None:
    first = sealed_snapshot(issuer)
    since = len(issuer.said)
    for number in range(100):
        issuer.revoke(Selector.of(sub=f"late-{number}"))
    events = [(event.stream, event.text) for event in issuer.said[since:]]
    given = Input([first, sealed_snapshot(issuer)], events)
    (tmp_path / "input").write_bytes(msgspec.msgpack.encode(given))
    source, found = random.Random(7), set()  # noqa: S311 - moments, not secrets
    for _ in range(KILLS):
        _run_and_kill(tmp_path, source.uniform(0.0, 0.15))
        store = DiskStore(tmp_path / "state")
        saved = await store.load()
        await store.append([])  # nobody holds the folder any more
        await store.close()
        listener = Listener(issuer)
        assert saved.snapshot in given.snapshots
        listener.verifier.restore_sealed(
            saved.snapshot, now=issuer.clock.now(), boot=issuer.clock.boot(), max_age=3600.0
        )
        assert [(event.stream, event.data) for event in saved.events] == events[: len(saved.events)]
        for stream, raw in saved.events:
            assert listener.hear_raw(stream, raw) in ("applied", "known")
        listener.hear(*issuer.said, issuer.beat())
        whole = Listener.caught_up(issuer).verifier.state
        assert listener.verifier.state.revocations.dump() == whole.revocations.dump()
        assert not listener.verifier.state.holes()
        found.add(len(saved.events))
    assert len(found) > 1


def _run_and_kill(folder: Path, seconds: float) -> None:
    command = [sys.executable, "-m", "tests.saving_process", str(folder / "state"), str(folder / "input")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        time.sleep(seconds)
        process.kill()
