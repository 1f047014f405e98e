"""An event loop in a daemon thread of its own, that comes to rest while the process forks."""

import asyncio
import os
import selectors
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Final, TypeVar

T = TypeVar("T")

LONGEST_REST: Final = 30.0
"""Seconds after which the loop goes on though nobody has told it to."""


class _Rest:
    """One stay between two callbacks."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.over = threading.Event()


class LoopThread:
    """Enters an async context on the loop, and leaves it when it is told to stop.

    Attributes:
        entered: done when the context has been entered, with what that raised, or cancelled if it never was.
        stopping: whether it has been told to stop.
    """

    def __init__(
        self,
        context: AbstractAsyncContextManager[object],
        resting: Callable[[], AbstractAsyncContextManager[object]],
        name: str,
    ) -> None:
        """Set up; nothing runs yet.

        Args:
            context: entered and left on the loop.
            resting: entered on the loop before it comes to rest, left when it goes on.
            name: of the thread.
        """
        self.entered: Future[None] = Future()
        self.stopping = False
        self._context = context
        self._resting = resting
        self._rest: _Rest | None = None
        self._main: asyncio.Task[None] | None = None
        self._staying: asyncio.Task[None] | None = None
        self._lock = threading.Lock()  # nobody waits while holding it
        self._accepts = True
        self._ended = threading.Event()
        # Not the loop that a policy may name: of this one it is known which descriptors a child process inherits.
        self._selector = selectors.DefaultSelector()
        self._loop = asyncio.SelectorEventLoop(self._selector)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def ended(self) -> bool:
        """Whether the context has been left, and the loop closed."""
        return self._ended.is_set()

    def start(self) -> None:
        """Start the thread; ``entered`` tells what comes of it.

        Raises:
            RuntimeError: the system has no thread left.
        """
        try:
            self._thread.start()
        except RuntimeError:
            self._loop.close()
            self._ended.set()
            raise

    def stop(self, timeout: float) -> bool:
        """Have the context left and the thread end, from any thread, any number of times.

        Args:
            timeout: seconds to wait for that; a blocked loop ends when it is free again.

        Returns:
            Whether it has ended.
        """
        self.stopping = True
        with suppress(RuntimeError):  # it has been closed already
            self._loop.call_soon_threadsafe(self._end)
        if threading.current_thread() is self._thread:
            return False
        if not self._ended.wait(timeout):
            return False
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return True

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float) -> T:
        """What the coroutine returns, run on the loop.

        Raises:
            RuntimeError: the loop has ended.
            TimeoutError: that took longer than ``timeout`` seconds.
            concurrent.futures.CancelledError: the loop has ended meanwhile.
        """
        with self._lock:  # what has been accepted is run, or cancelled, before the loop is closed
            if not self._accepts:
                coroutine.close()
                raise RuntimeError("the agent is not running")
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout)
        finally:
            future.cancel()

    # -- while the process forks

    def hold(self, timeout: float) -> bool:
        """Bring the loop to rest where no callback is halfway; whether it came there within ``timeout`` seconds."""
        if threading.current_thread() is self._thread:
            return False
        rest = self._rest = _Rest()
        try:
            self._loop.call_soon_threadsafe(self._begin_rest, rest)
        except RuntimeError:  # it has been closed already
            return True
        return rest.reached.wait(timeout)

    def release(self) -> None:
        """In the process that has forked: let the loop go on."""
        if self._rest is not None:
            self._rest.over.set()
            self._rest = None

    def abandon(self) -> None:
        """In a child process, where the thread does not exist: cut the ends of what the parent goes on using.

        Nothing is closed or unregistered: the parent's epoll would be told, and numbers of descriptors be used again
        under objects that still hold them. Each number becomes one of the null device, in this process alone.
        """
        with suppress(ValueError, OSError):  # it has been closed already
            inherited = {key.fd for key in (self._selector.get_map() or {}).values()}
            inherited |= {self._selector.fileno(), self._loop._csock.fileno()}  # type: ignore[attr-defined]  # noqa: SLF001
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in inherited:
                os.dup2(null, descriptor, inheritable=False)
            os.close(null)
        _ABANDONED.append(self)  # were its tasks collected, they would complain and run their clean-up in this process

    # -- on the loop's thread

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._live())
        finally:
            self.entered.cancel()
            self._ended.set()
            if self._rest is not None:
                self._rest.reached.set()

    async def _live(self) -> None:
        self._main = asyncio.current_task()
        try:
            if not self.stopping:
                async with self._context:
                    self.entered.set_result(None)
                    await self._loop.create_future()
        except asyncio.CancelledError:
            pass  # by ``_end``; nobody is above us
        except BaseException as error:
            if self.entered.done():
                raise
            self.entered.set_exception(error)
        finally:
            with self._lock:
                self._accepts = False

    def _end(self) -> None:
        main, self._main = self._main, None
        if main is not None:  # once: a second time would cut its clean-up short
            main.cancel()

    def _begin_rest(self, rest: _Rest) -> None:
        self._staying = self._loop.create_task(self._stay(rest))

    async def _stay(self, rest: _Rest) -> None:
        async with self._resting():
            rest.reached.set()
            rest.over.wait(LONGEST_REST)  # blocks the loop, as it is meant to


_ABANDONED: Final[list[LoopThread]] = []
