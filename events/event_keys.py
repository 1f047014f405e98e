"""The event keys of one issuer: those that are pinned, and what has succeeded them. An object without I/O or clock.

A key may sign from above the end of the one before it up to its own end. So a stolen key that has ended says nothing
any more, and none can say anything of a time that was not its own (``docs/adr/0025-event-key-succession.md``).
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from events.errors import EventRefused, RefusalCode
from events.records import Succession
from events.sequence import MAX_SEQ, format_seq
from events.streams import Stream
from events.succession import check_counter_signature
from events.thumbprint import thumbprint
from events.trust import ENDING, MOST_KEYS, THUMBPRINT, IssuerTrust

if TYPE_CHECKING:
    from jwt import PyJWK

NOWHERE: Final[Mapping[str, int]] = dict.fromkeys(map(str, ENDING), 0)


@dataclass(frozen=True, slots=True)
class Link:
    """One key of the chain.

    Attributes:
        kid: its name.
        key: checks its signatures.
        jwk: its public half.
        generation: how many keys came before it.
        begins: by stream the ``seq`` above which it may sign.
        ends: by stream the last ``seq`` that it may have signed; ``None`` while it has not ended.
    """

    kid: str
    key: "PyJWK"
    jwk: dict[str, str]
    generation: int
    begins: Mapping[str, int]
    ends: Mapping[str, int] | None = None

    @property
    def thumbprint(self) -> str:
        """Of the key (RFC 7638)."""
        return thumbprint(self.jwk)


@dataclass(frozen=True, slots=True)
class KnownSuccession:
    """One that was heard and holds.

    Attributes:
        record: what it says.
        digest: of the event that said it.
        text: that event, for others to check.
    """

    record: Succession
    digest: str
    text: bytes


class EventKeys:
    """Which key may have signed what.

    Attributes:
        issuer: whose keys.
        heir: thumbprint of the key that may succeed the newest one; empty when none may.
        fork: which key was succeeded twice, in words, once that was seen.
    """

    def __init__(self, trust: IssuerTrust) -> None:
        """Pin what ``trust`` names.

        Raises:
            ValueError: as ``IssuerTrust.verifying_keys``.
        """
        keys = trust.verifying_keys()
        self.issuer = trust.issuer
        self.heir = trust.successor
        self.fork: str | None = None
        self._links: dict[str, Link] = {}
        self._heard: dict[str, KnownSuccession] = {}  # by the kid that it ended
        begins = NOWHERE
        for generation, jwk in enumerate(trust.event_keys):
            ends = trust.ends.get(jwk["kid"])
            self._links[jwk["kid"]] = Link(jwk["kid"], keys[jwk["kid"]], jwk, generation, begins, ends)
            begins = ends or begins

    @property
    def links(self) -> Sequence[Link]:
        """Every key, oldest first."""
        return tuple(self._links.values())

    @property
    def generation(self) -> int:
        """Of the newest key."""
        return len(self._links) - 1

    @property
    def newest(self) -> Link:
        """The key that signs today."""
        return next(reversed(self._links.values()))

    @property
    def heard(self) -> Sequence[KnownSuccession]:
        """The successions that were heard, oldest first; not those that are pinned."""
        return tuple(self._heard.values())

    def trust(self) -> IssuerTrust:
        """What pins all that is known here."""
        return IssuerTrust(
            issuer=self.issuer,
            event_keys=tuple(link.jwk for link in self.links),
            successor=self.heir,
            ends={link.kid: dict(link.ends) for link in self.links if link.ends is not None},
        )

    def copy(self) -> "EventKeys":
        """The same chain, which grows by itself from now on."""
        return copy(self)  # what it holds is replaced as a whole, never altered

    def since(self, generation: int) -> Sequence[Succession]:
        """The successions that were heard and made keys of a higher generation."""
        links = self.links
        return (
            [known.record for kid, known in self._heard.items() if self._links[kid].generation >= generation]
            if generation < len(links) - 1
            else []
        )

    def find(self, kid: str) -> Link | None:
        """The key of this name, if it is one of ours."""
        return self._links.get(kid)

    def check_place(self, link: Link, stream: Stream, seq: int) -> None:
        """Make sure that a key may have signed ``seq`` of ``stream``.

        Heartbeats end at once: one of an ended key would be a sign of life from who may have stolen it.

        Raises:
            EventRefused: ``key_ended`` or ``key_too_early``.
        """
        if link.ends is not None and (stream is Stream.HEARTBEATS or seq > link.ends.get(stream, MAX_SEQ)):
            raise EventRefused(
                RefusalCode.KEY_ENDED, f"event key {link.kid} has ended before {stream} {format_seq(seq)}"
            )
        if seq <= link.begins.get(stream, 0):
            raise EventRefused(
                RefusalCode.KEY_TOO_EARLY, f"{stream} {format_seq(seq)} lies before the time of event key {link.kid}"
            )

    def succeed(self, link: Link, seq: int, record: Succession, digest: str, text: bytes) -> None:
        """Take over a succession that ``link`` has signed as event ``seq``; a second time changes nothing.

        1 it speaks of the key that signed it · 2 a successor of that is pinned, and this is it · 3 its name is new, and
        is its thumbprint · 4 the new key has signed all of it · 5 the ends are those of this event, and do not fall ·
        6 the chain has room, unless this is known · 7 nothing else has succeeded the same key.

        Raises:
            EventRefused: ``bad_succession``, or ``forked`` for step 7.
        """
        if record.predecessor != link.thumbprint:  # 1
            raise _bad("it ends another key than the one that signed it")
        following = next((each for each in self.links if each.generation == link.generation + 1), None)
        pinned = self.heir if following is None else following.thumbprint
        try:
            name = thumbprint(record.jwk)
        except (KeyError, TypeError) as error:
            raise _bad("its new key is none") from error
        if not pinned or name != pinned or (link.ends is None) != (following is None):  # 2
            raise _bad(f"the key that may succeed {link.kid} is {pinned or 'none'}, and not {name}")
        if record.jwk.get("kid") != name or "d" in record.jwk or not THUMBPRINT.fullmatch(record.heir):  # 3
            raise _bad("its keys must be named by their thumbprints, and be public")
        if following is None and name in self._links:
            raise _bad(f"event key {name} has been there before")
        try:
            check_counter_signature(self.issuer, record)  # 4
        except ValueError as error:
            raise _bad(str(error)) from error
        self._check_ends(link, seq, record.ends)  # 5
        if following is None:
            self._add(link, record, digest, text)  # 6
        elif not self._is_known(link, following, record, digest):  # 7
            self.fork = f"event key {link.kid} was succeeded twice"
            raise EventRefused(RefusalCode.FORKED, self.fork)

    def _check_ends(self, link: Link, seq: int, ends: Mapping[str, int]) -> None:
        if set(ends) != set(ENDING) or ends[Stream.KEYS] != seq:
            raise _bad(f"it must end the old key on each of {', '.join(ENDING)}, and there at itself")
        if not all(link.begins[stream] <= ends[stream] <= MAX_SEQ for stream in ENDING):
            raise _bad("it ends the old key before its beginning")

    def _add(self, link: Link, record: Succession, digest: str, text: bytes) -> None:
        from events import jose

        if len(self._links) >= MOST_KEYS:
            raise _bad(f"a chain has at most {MOST_KEYS} keys")
        new = Link(
            record.jwk["kid"], jose.parse_key(record.jwk), record.jwk, link.generation + 1, begins=dict(record.ends)
        )
        ended = Link(link.kid, link.key, link.jwk, link.generation, link.begins, dict(record.ends))
        # Each as a whole: another thread may be looking, such as one that opens a snapshot.
        self._heard = {**self._heard, link.kid: KnownSuccession(record, digest, bytes(text))}
        self._links = {**self._links, link.kid: ended, new.kid: new}
        self.heir = record.heir

    def _is_known(self, link: Link, following: Link, record: Succession, digest: str) -> bool:
        """Whether it is the very event, or says what is pinned."""
        heard = self._heard.get(link.kid)
        if heard is not None:
            return heard.digest == digest
        return record.ends == dict(link.ends or {}) and record.jwk["alg"] == following.jwk["alg"]


def _bad(why: str) -> EventRefused:
    return EventRefused(RefusalCode.BAD_SUCCESSION, why)
