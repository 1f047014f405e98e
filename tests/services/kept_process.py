"""A service's processes and folder, as the tests hold them: through a keeper that ends with the tests."""

import json
import select
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.services.service import ServiceFailed

ROOT = Path(__file__).resolve().parents[2]
KEEPER = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.services.keeper import main; main(sys.argv[1])"
ANSWER_SECONDS = 10.0
CLOSE_SECONDS = 40.0  # longer than all that a keeper may do at its end
LOG_LINES = 30


class KeptProcess:
    """The near end of the pipe to one keeper.

    Every method raises ServiceFailed when the keeper says that it did not work, or does not answer in time. Safe to
    use from several threads.
    """

    def __init__(self, prefix: str) -> None:
        self._keeper = subprocess.Popen(
            # isolated and without site-packages: a keeper is up in 20 ms
            [sys.executable, "-I", "-S", "-c", KEEPER, prefix],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            start_new_session=True,
        )
        self._orders = threading.Lock()
        self._unread = b""
        self._number = 0
        self.folder = Path(self._answer(ANSWER_SECONDS)["folder"])

    def run(self, command: list[str], *, user: str | None = None, timeout_seconds: float = 60.0) -> None:
        """Run a command to its end."""
        self._order(timeout_seconds, do="run", command=command, user=user, timeout_seconds=timeout_seconds)

    def start(
        self,
        command: list[str],
        *,
        environment: dict[str, str] | None = None,
        user: str | None = None,
        cwd: Path | None = None,
        end_signal: str = "SIGKILL",
    ) -> int:
        """Start the service and return its process id.

        `end_signal` names the signal that ends it when the tests are over and its data no longer matters.
        """
        reply = self._order(
            do="start",
            command=command,
            environment=environment or {},
            user=user,
            cwd=str(cwd) if cwd else None,
            end_signal=end_signal,
        )
        return int(reply["pid"])

    def check_alive(self) -> None:
        """Raise ServiceFailed when the service has ended by itself."""
        state = self._order(do="alive")
        if not state["alive"]:
            raise ServiceFailed(f"it ended with {state['code']}\n{self.log_end()}")

    def end(self, with_signal: str, *, grace_seconds: float) -> None:
        """End the service with a signal, such as "SIGTERM"; kill it if it is still there after `grace_seconds`."""
        if self._order(grace_seconds, do="end", with_signal=with_signal, grace_seconds=grace_seconds)["killed"]:
            raise ServiceFailed(f"{with_signal} did not end it within {grace_seconds:.0f} s\n{self.log_end()}")

    def pause(self) -> None:
        """Stop all its processes where they are."""
        self._order(do="pause")

    def resume(self) -> None:
        """Let them go on."""
        self._order(do="resume")

    def afterwards(self, command: list[str]) -> None:
        """Have the keeper run a command when the tests are over, however they end."""
        self._order(do="afterwards", command=command)

    def own_folder(self, user: str) -> None:
        """Give the folder to the user the service runs as."""
        self._order(do="own_folder", user=user)

    def log_end(self) -> str:
        """The last lines of what the service has said."""
        try:
            lines = (self.folder / "log").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-LOG_LINES:])

    def close(self) -> None:
        """End the service, remove its folder, and wait until both is done. A second call does nothing."""
        if self._keeper.returncode is not None:
            return
        with self._orders:
            for pipe in (self._keeper.stdin, self._keeper.stdout):
                if pipe:
                    pipe.close()
            try:
                self._keeper.wait(CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                self._keeper.kill()  # the kernel kills the service with it
                self._keeper.wait(ANSWER_SECONDS)
            shutil.rmtree(self.folder, ignore_errors=True)

    def _order(self, extra_seconds: float = 0.0, **order: Any) -> dict[str, Any]:
        assert self._keeper.stdin
        with self._orders:
            self._number += 1
            try:
                self._keeper.stdin.write(json.dumps(order | {"number": self._number}).encode() + b"\n")
            except (OSError, ValueError) as error:
                raise ServiceFailed(f"cannot {order['do']}: its keeper is gone ({error})") from error
            reply = self._answer(extra_seconds + ANSWER_SECONDS)
            while reply["number"] != self._number:  # the answer to an order that was interrupted, say by a time-out
                reply = self._answer(extra_seconds + ANSWER_SECONDS)
        if "error" in reply:
            raise ServiceFailed(f"{order['do']}: {reply['error']}\n{self.log_end()}")
        return reply

    def _answer(self, timeout_seconds: float) -> dict[str, Any]:
        assert self._keeper.stdout
        deadline = time.monotonic() + timeout_seconds
        while b"\n" not in self._unread:
            remaining = max(0.0, deadline - time.monotonic())
            if not select.select([self._keeper.stdout], [], [], remaining)[0]:
                raise ServiceFailed(f"its keeper did not answer within {timeout_seconds:.0f} s")
            piece = self._keeper.stdout.read(65_536)
            if not piece:
                raise ServiceFailed("its keeper is gone")
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply
