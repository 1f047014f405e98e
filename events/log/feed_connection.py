"""One open answer of an event feed: where it stands, and what has been heard and not been taken yet."""

from collections import deque
from collections.abc import Mapping

import aiohttp

from events.errors import LogUnavailable
from events.log.cursor import parse_cursor
from events.log.protocol import Entry
from events.log.server_sent import LEVEL, EventStreamBroken, EventStreamParser, ServerSentEvent
from events.signing import UnverifiedEvent
from events.streams import Stream


class FeedConnection:
    """Reads when it is asked to, so what it holds is bounded: one piece of the network's, and an unfinished event.

    Attributes:
        level: whether everything has been heard that there was when it was opened.
        renew_at: event loop's time at which it should give way to one with a new token.
    """

    def __init__(
        self, response: aiohttp.ClientResponse, after: Mapping[Stream, int | None], *, renew_at: float
    ) -> None:
        self.level = False
        self.renew_at = renew_at
        self._response = response
        self._parser = EventStreamParser()
        self._taken = dict(after)
        self._heard_to = {stream: position or 0 for stream, position in after.items()}
        self._heard: deque[Entry] = deque()

    def stands_at(self, after: Mapping[Stream, int | None]) -> bool:
        """Whether a reader at these positions can go on with what comes next."""
        return self._taken == dict(after)

    def take(self, limit: int) -> list[Entry]:
        """What has been heard, and is the reader's from now on."""
        found = [self._heard.popleft() for _ in range(min(limit, len(self._heard)))]
        self._taken.update((entry.stream, entry.position) for entry in found)
        return found

    async def hear(self) -> None:
        """Wait for something more; a cancelled wait loses nothing.

        Raises:
            LogUnavailable: it has ended, was silent for too long, or sends what is no event stream.
        """
        try:
            piece = await self._response.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:  # the last: it was closed meanwhile
            raise LogUnavailable(f"the event feed fell silent: {type(error).__name__}") from error
        if not piece:
            raise LogUnavailable("the event feed has ended")
        try:
            for event in self._parser.feed(piece):
                self._note(event)
        except EventStreamBroken as error:
            raise LogUnavailable(f"the event feed sends what it should not: {error}") from error

    def close(self) -> None:
        """Hang up."""
        self._response.close()

    def _note(self, event: ServerSentEvent) -> None:
        name = event.name.decode(errors="replace")
        if name == LEVEL:
            self.level = True
        stream = next((stream for stream in self._heard_to if stream == name), None)
        if stream is None:  # something that a newer issuer says; the stream goes on
            return
        try:
            position = parse_cursor(event.id.decode("ascii"))[stream]
        except (ValueError, KeyError) as error:
            raise EventStreamBroken("an event without its position") from error
        if position > self._heard_to[stream]:  # or else it is a repetition
            self._heard_to[stream] = position
            self._heard.append(Entry(stream, position, UnverifiedEvent(event.data)))
