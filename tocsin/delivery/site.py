"""An issuer of the bench's own, and processes with agents that follow it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from events.log import Retention, prepare_log
from tocsin.own_topics import own_topics
from tocsin.processes import Program, workers
from tocsin.settings import Credentials
from tocsin.workspace import Workspace, read_credentials

FEED = "feed"
"""In place of a log's URL: agents follow the issuer's event feed; its log is an SQLite file."""


@dataclass(frozen=True)
class Workers:
    """Processes with agents.

    Attributes:
        agents: in all.
        processes: that they run in.
        sharing: whether those of one process share one reader of the log.
        settings: names and values, as in the environment, beside what the site has.
    """

    agents: int = 1
    processes: int = 1
    sharing: bool = True
    settings: Mapping[str, str] | None = None

    @property
    def reading(self) -> str:
        """``sharing`` in a word, for a worker's command line."""
        return "sharing" if self.sharing else "alone"


@dataclass(frozen=True)
class Site:
    """A running issuer.

    Attributes:
        url: its address.
        operator: who may revoke.
        client: who gets tokens.
        folder: where everything of it lies.
        config: its configuration.
    """

    url: str
    operator: Credentials
    client: Credentials
    folder: Path
    config: Path
    _follow: Mapping[str, str]

    @asynccontextmanager
    async def workers(self, wanted: Workers) -> AsyncIterator[list[Program]]:
        """Processes with agents, all of which are ready.

        Raises:
            CommandFailed: one does not start.
        """
        settings = msgspec.json.encode({**self._follow, **(wanted.settings or {})}).decode()

        def command(share: int) -> list[str]:
            return ["tocsin.delivery.worker", str(self.config), str(share), wanted.reading, settings]

        async with workers(
            "worker", command, self.folder, agents=wanted.agents, processes=wanted.processes
        ) as programs:
            yield programs


@asynccontextmanager
async def site(
    folder: Path, log: str | None = None, store: str | None = None, further: str = ""
) -> AsyncIterator[Site]:
    """An issuer as a process of its own.

    Args:
        folder: an empty one.
        log: URL of the event log; an SQLite file in ``folder`` when absent, and for ``FEED``.
        store: URL of the issuer's store; an SQLite file there when absent.
        further: lines of configuration beside those that it has.

    Raises:
        CommandFailed: it does not start.
    """
    workspace = Workspace(folder)
    kept = None if log == FEED else own_topics(log, "bench")
    if kept is not None:
        await prepare_log(kept, Retention())
    await workspace.set_up(port=0, sidecar_port=0, store=store, log=kept)
    with workspace.config.open("a") as config:
        config.write(f'feed = "open"\n{further}')
    issuer = Program("issuer", ["tocsin", "--config", str(workspace.config), "issuer", "--json"], folder)
    async with issuer:
        url = f"http://127.0.0.1:{issuer.announcement['port']}"
        yield Site(
            url=url,
            operator=read_credentials(workspace.operator),
            client=read_credentials(workspace.demo_client),
            folder=folder,
            config=workspace.config,
            _follow={"TOCSIN_LOG": f"{url}/events"} if log == FEED else {},
        )


def kind(log: str | None) -> str:
    """The name of a log's kind, for people."""
    return (log or "sqlite").partition(":")[0]
