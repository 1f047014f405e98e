"""Before a process stops it says so: whoever sends requests here must have time to hear it."""

from typing import Final

from aiohttp import web


class Draining:
    """Whether this process is about to stop. It still does what it is asked.

    Attributes:
        begun: whether it has been told to.
    """

    def __init__(self) -> None:
        self.begun = False

    def begin(self) -> None:
        """From now on ``/readyz`` says 503."""
        self.begun = True


DRAINING: Final = web.AppKey("draining", Draining)
