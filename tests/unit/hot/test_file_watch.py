"""The configuration file is read again when it changes, and on SIGHUP."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.unit.hot.test_hot_configuration import KNOWN, Door, Level
from verifier_agent import Sources
from verifier_agent.clocks import SystemClock
from verifier_agent.consul import ConsulSettings
from verifier_agent.hot import HotConfiguration
from verifier_agent.hot.file_watch import FileWatch
from verifier_agent.hot.following import following

SOON = 20.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tocsin.toml"
    path.write_text("most = 20\n")
    return path


@pytest.fixture
def configuration(path: Path) -> HotConfiguration:
    return HotConfiguration([Door, Level], Sources.find({}, path), KNOWN)


async def test_a_file_that_is_as_it_was_is_not_read(configuration: HotConfiguration, path: Path) -> None:
    watch = FileWatch(path, configuration, SystemClock())
    await watch.look()
    assert configuration.changes == 0

    path.write_text("most = 25\n")
    await watch.look()

    assert configuration.live(Door).now.most == 25


async def test_a_file_that_another_takes_the_place_of_is_read(configuration: HotConfiguration, path: Path) -> None:
    watch, other = FileWatch(path, configuration, SystemClock()), path.with_name("other")
    other.write_text("most = 26\n")
    before = path.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))  # as configuration management does
    other.replace(path)

    await watch.look()

    assert configuration.live(Door).now.most == 26


@pytest.mark.parametrize("content", [b"most = ", b"\xff\xfe", None])
async def test_a_file_that_cannot_be_read_is_named_and_what_was_known_stays(
    configuration: HotConfiguration, path: Path, content: bytes | None
) -> None:
    watch = FileWatch(path, configuration, SystemClock())
    path.unlink() if content is None else path.write_bytes(content)

    await watch.look()

    assert configuration.live(Door).now.most == 20
    assert str(path) in configuration.report().refused["file"].detail

    path.write_text("most = 27\n")
    await watch.look()
    assert (configuration.live(Door).now.most, configuration.report().refused) == (27, {})


async def test_a_running_program_sees_a_change_by_itself(configuration: HotConfiguration, path: Path) -> None:
    changed = asyncio.Event()
    configuration.also_tell(lambda _: changed.set())
    async with following(configuration, ConsulSettings(), "door", SystemClock()), asyncio.timeout(SOON):
        path.write_text("most = 30\n")
        await changed.wait()

    assert configuration.live(Door).now.most == 30


async def test_sighup_has_the_file_read_at_once_and_ends_nothing(
    configuration: HotConfiguration, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verifier_agent.hot.file_watch.LOOK_SECONDS", 3600.0)
    changed = asyncio.Event()
    configuration.also_tell(lambda _: changed.set())
    async with following(configuration, ConsulSettings(), "door", SystemClock()), asyncio.timeout(SOON):
        path.write_text("most = 31\n")
        os.kill(os.getpid(), signal.SIGHUP)
        await changed.wait()

    assert configuration.live(Door).now.most == 31


async def test_without_a_file_sighup_does_nothing() -> None:
    configuration = HotConfiguration([Door, Level], Sources({}, {}), KNOWN)
    async with following(configuration, ConsulSettings(), "door", SystemClock()):
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)
