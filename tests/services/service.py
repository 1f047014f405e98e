"""What a test sees of a service, and the three ways in which there may be none."""

from typing import Protocol


class ServiceMissing(Exception):
    """A service cannot be had here; the message says what is missing and how to get it."""


class ServiceFailed(Exception):
    """A service is here but did not do what it was asked; the message ends with the end of its log."""


class NotControlled(Exception):
    """A test wants to stop a service that belongs to somebody else."""


class Service(Protocol):
    """One running server. Every method returns when what it names has happened, or raises ServiceFailed.

    The methods block, some for seconds: a coroutine calls them through `asyncio.to_thread`.
    """

    @property
    def origin(self) -> str:
        """Where it comes from, in a few words."""
        ...

    @property
    def address(self) -> str:
        """Where clients reach it: `host:port` of a Kafka bootstrap server, else a URL. It never changes."""
        ...

    def start(self) -> None:
        """Start it, for the first time or again with the data it had, and wait until it answers requests."""
        ...

    def stop(self) -> None:
        """Shut it down in good order; its data stays."""
        ...

    def kill(self) -> None:
        """End it at once with SIGKILL; what it had written so far stays."""
        ...

    def pause(self) -> None:
        """Freeze it: connections stay open and new ones are accepted by the kernel, but nothing answers."""
        ...

    def resume(self) -> None:
        """Let a paused one go on."""
        ...

    def restart_empty(self) -> None:
        """Put a new server without any data in its place, at the same address."""
        ...

    def close(self) -> None:
        """End it and remove all it has left. Always to be called; a second call does nothing."""
        ...
