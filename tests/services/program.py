"""How a server runs as a program of this machine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one server lives: a folder and ports of its own, the same for as long as it lives."""

    folder: Path
    ports: tuple[int, ...]  # the first is the one that clients use
    run: Callable[[list[str]], None]  # runs a command to its end, as the server's user

    @property
    def data(self) -> Path:
        """Where all goes that makes the server not empty."""
        return self.folder / "data"


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How one server process is started and ended."""

    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    stop_signal: str = "SIGTERM"  # ends it in good order
    end_signal: str = "SIGKILL"  # ends it when its data no longer matters


class Program(Protocol):
    """What differs from server to server."""

    port_count: int

    @property
    def user(self) -> str | None:
        """The account it runs as, None for that of the tests."""
        ...

    def prepare(self, place: Place) -> None:
        """Make the data folder, with what an empty server starts from."""
        ...

    def launch(self, place: Place) -> Launch:
        """Say how to start the server on what `prepare` wrote."""
        ...
