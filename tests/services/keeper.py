"""The process that stands between the tests and one service, so that nothing outlives them.

It makes a folder for the service, runs the service's processes, and waits for orders on its standard input. When that
input ends, for whatever reason (the tests are done, were interrupted, terminated or killed), it ends the processes
and removes the folder. It runs in a session of its own, which Ctrl-C does not reach. Should it be killed itself, the
kernel kills the service with it (Linux only).

An order is one line of JSON, `{"do": name, "number": n, …}`; so is its answer, which repeats the number.
It needs nothing but the standard library, to be up in a few milliseconds.
"""

import ctypes
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from tests.services.process_tree import descendants, is_stopped, processes

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
PR_SET_CHILD_SUBREAPER = 36
GRACE_AT_END_SECONDS = 2.0
AFTERWARDS_SECONDS = 20.0
ROUNDS_OF_KILLING = 5
WATCH_SECONDS = 0.5  # how often it looks whether its parent is still there, in case another process holds the pipe open
STOPPED_WITHIN_SECONDS = 8.0
POLL_SECONDS = 0.01


class Keeper:
    """The processes of one service, started and ended on order."""

    def __init__(self, folder: Path, prctl: Callable[[int, int], int] | None) -> None:
        self._folder = folder
        self._prctl = prctl
        self._process: subprocess.Popen[bytes] | None = None
        self._end_signal = signal.SIGKILL
        self._afterwards: list[str] | None = None

    def run(self, command: list[str], user: str | None, timeout_seconds: float) -> dict[str, Any]:
        """Run a command to its end, as `user`."""
        with self._popen(command, {}, user, None) as process:
            try:
                code = process.wait(timeout_seconds)
            finally:
                process.kill()
        return {"error": f"{command[0]} ended with {code}"} if code else {}

    def start(
        self, command: list[str], environment: dict[str, str], user: str | None, cwd: str | None, end_signal: str
    ) -> dict[str, Any]:
        """Start the service; `end_signal` is what ends it when nobody is left to ask for more."""
        if self.alive()["alive"]:
            return {"error": "it is running already"}
        self._end_signal = signal.Signals[end_signal]
        self._process = self._popen(command, environment, user, cwd)
        return {"pid": self._process.pid}

    def alive(self) -> dict[str, Any]:
        """Whether the service runs, and if it has ended, with which code."""
        process = self._process
        return {"alive": process is not None and process.poll() is None, "code": process and process.returncode}

    def end(self, with_signal: str, grace_seconds: float) -> dict[str, Any]:
        """End the service with a signal; what is left after `grace_seconds` is killed. Says whether that was needed."""
        if self._process is None:
            return {"killed": False}
        self._signal_all(signal.SIGCONT)
        if with_signal == "SIGKILL":
            self._signal_all(signal.SIGKILL)
        else:
            self._process.send_signal(signal.Signals[with_signal])
        if self._gone_within(grace_seconds):
            return {"killed": False}
        for _ in range(ROUNDS_OF_KILLING):  # what is being killed may have been starting another
            self._signal_all(signal.SIGKILL)
            if self._gone_within(1.0):
                return {"killed": True}
        return {"error": f"SIGKILL did not end {descendants(os.getpid())}"}

    def pause(self) -> dict[str, Any]:
        """Stop every process of the service, parents before their children, and wait until they stand still.

        The kernel hands the signal to one thread of a process; until that is its turn, the others go on.
        """
        self._signal_all(signal.SIGSTOP)
        deadline = time.monotonic() + STOPPED_WITHIN_SECONDS
        while not all(map(is_stopped, descendants(os.getpid()))):
            if time.monotonic() >= deadline:
                return {"error": f"SIGSTOP did not stop {descendants(os.getpid())}"}
            time.sleep(POLL_SECONDS)
        return {}

    def resume(self) -> dict[str, Any]:
        """Let them go on."""
        self._signal_all(signal.SIGCONT)
        return {}

    def afterwards(self, command: list[str]) -> dict[str, Any]:
        """Remember a command to run at the very end."""
        self._afterwards = command
        return {}

    def own_folder(self, user: str) -> dict[str, Any]:
        """Give the folder to the user the service runs as."""
        account = pwd.getpwnam(user)
        os.chown(self._folder, account.pw_uid, account.pw_gid)
        return {}

    def clear(self) -> None:
        """End everything and remove the folder."""
        self.end(self._end_signal.name, GRACE_AT_END_SECONDS)
        if self._afterwards:
            quiet = subprocess.DEVNULL
            try:
                subprocess.run(
                    self._afterwards, stdin=quiet, stdout=quiet, stderr=quiet, timeout=AFTERWARDS_SECONDS, check=False
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                sys.stderr.write(f"{self._afterwards}: {error}\n")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _popen(
        self, command: list[str], environment: dict[str, str], user: str | None, cwd: str | None
    ) -> subprocess.Popen[bytes]:
        account = pwd.getpwnam(user) if user else None
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
                cwd=cwd or self._folder,
                user=account and account.pw_uid,
                group=account and account.pw_gid,
                extra_groups=[] if account else None,
                start_new_session=True,
                preexec_fn=self._die_with_me,  # noqa: PLW1509 - this process has one thread only
            )

    def _die_with_me(self) -> None:
        if self._prctl:
            self._prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in descendants(os.getpid()):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def _gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while True:
            self._reap_adopted()
            # A process that looks ended in the list of processes is not, as long as one of its threads is left.
            if not self.alive()["alive"] and not descendants(os.getpid()):
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)

    def _reap_adopted(self) -> None:
        own = self._process.pid if self._process else None
        for pid, parent, is_zombie in processes():
            if is_zombie and parent == os.getpid() and pid != own:
                os.waitpid(pid, os.WNOHANG)


def orders(parent: int) -> Iterator[dict[str, Any]]:
    """The orders, one by one, until the input ends or the parent is gone."""
    unread = b""
    while os.getppid() == parent:
        if not select.select([0], [], [], WATCH_SECONDS)[0]:
            continue
        piece = os.read(0, 65_536)
        if not piece:
            return
        *lines, unread = (unread + piece).split(b"\n")
        for line in lines:
            yield json.loads(line)


def answer(reply: dict[str, Any]) -> None:
    """Write one answer. Raises BrokenPipeError when nobody reads it any more."""
    os.write(1, json.dumps(reply).encode() + b"\n")


def leave(number: int, frame: object) -> NoReturn:
    """A signal asks the keeper to go: it does, the ordinary way."""
    sys.exit(f"asked to go by signal {number}")


def prctl_of_this_kernel() -> Callable[[int, int], int] | None:
    """The system call by which a process asks to die with its parent, where there is one."""
    if sys.platform != "linux":
        return None
    function = ctypes.CDLL(None).prctl
    return lambda option, value: int(function(option, value, 0, 0, 0))


def main(prefix: str) -> None:
    """Keep one service whose folder's name starts with `prefix`."""
    parent = os.getppid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, leave)
    prctl = prctl_of_this_kernel()
    if prctl:
        prctl(PR_SET_CHILD_SUBREAPER, 1)  # a service's orphans become children of this process, to be found and ended
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    keeper = Keeper(folder, prctl)
    duties: dict[str, Callable[..., dict[str, Any]]] = {
        duty.__name__: duty
        for duty in (
            keeper.run,
            keeper.start,
            keeper.alive,
            keeper.end,
            keeper.pause,
            keeper.resume,
            keeper.afterwards,
            keeper.own_folder,
        )
    }
    try:
        answer({"folder": str(folder)})
        for order in orders(parent):
            number = order.pop("number")
            try:
                reply = duties[order.pop("do")](**order)
            except (OSError, LookupError, ValueError, subprocess.SubprocessError) as error:
                reply = {"error": f"{type(error).__name__}: {error}"}
            answer(reply | {"number": number})
    except BrokenPipeError:
        return
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        keeper.clear()
