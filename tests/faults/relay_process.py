"""All relays of an installation, in a process of their own; a child of ``tests.faults.system``.

Its argument is JSON, ``{name: [port, target], …}``. ``{name: mode, …}`` in, the same out when it is so.
"""

import sys
from typing import Any

import msgspec

from tests.faults.child_side import answer, say
from tests.faults.relay import Mode, Relay
from tocsin.serving import run


async def main(lines: dict[str, tuple[int, int]]) -> None:
    """Relay until the parent closes the pipe."""
    relays = {name: Relay(port, target) for name, (port, target) in lines.items()}
    for relay in relays.values():
        await relay.start()
    say({"relays": sorted(relays)})

    async def asked(modes: dict[str, Any]) -> object:
        for name, mode in modes.items():
            await relays[name].set(Mode(mode))
        return modes

    await answer(asked)
    for relay in relays.values():
        await relay.close()


if __name__ == "__main__":
    given = msgspec.json.decode(sys.argv[1], type=dict[str, tuple[int, int]])
    run(lambda: main(given))
