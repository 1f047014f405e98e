"""``tocsin issuer`` that also says what it holds; a child of ``tests.faults.system``.

Its argument is its configuration file. ``"footprint"`` in, its ``Footprint`` out.
"""

import asyncio
import signal
import sys
from pathlib import Path

from issuer.app import create_app
from issuer.settings import IssuerSettings
from tests.faults.child_side import answer, say
from tests.faults.footprint import Footprint
from tocsin import logs, serving
from tocsin.settings import LogSettings
from verifier_agent import Sources


def main(config: Path) -> None:
    """Serve until the parent closes the pipe."""
    logs.set_up(LogSettings(log_format="json"))
    settings = Sources.find({}, config).read(IssuerSettings)
    tasks = []

    def started(port: int) -> None:
        say({"port": port})
        tasks.append(asyncio.ensure_future(_obey()))

    listening = serving.Listening(host=settings.host, port=settings.port)
    serving.run(lambda: serving.serve(create_app(settings), listening, started))


async def _obey() -> None:
    await answer(_asked)
    signal.raise_signal(signal.SIGTERM)


async def _asked(_message: object) -> Footprint:
    return Footprint.of_this_process()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
