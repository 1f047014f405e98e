"""Events as Security Event Tokens (RFC 8417): signing, and opening with a pinned event key.

The signed part names issuer, stream and sequence, so an event cannot be moved to another place.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final, NewType

import msgspec

from events import base64url
from events.errors import EventRefused, RefusalCode
from events.event_keys import EventKeys, Link
from events.records import Record, Succession, UnknownRecord, decode_record, encode_record
from events.sequence import MAX_SEQ, format_seq, unpack
from events.signing_key import TYP, EventKey
from events.streams import Stream
from events.subjects import other_types, subject_identifier
from events.trust import IssuerTrust

__all__ = [
    "TYP",
    "EventKey",
    "EventOpener",
    "EventSigner",
    "SignedEvent",
    "UnverifiedEvent",
    "VerifiedEvent",
    "event_digest",
]

MAX_EVENT_BYTES: Final = 1_000_000
DIGEST_CHARS: Final = 32
"""Event digests are the first 128 bits of SHA-256 over the signing input, in hexadecimal."""

UnverifiedEvent = NewType("UnverifiedEvent", bytes)
"""A compact JWS from a log, before anything about it is known."""

_HEADER_MEMBERS: Final = {"alg", "kid", "typ"}
_FORBIDDEN_CLAIMS: Final = ("exp", "sub")
"""RFC 8417 section 2.2 and section 4: without them a SET cannot be taken for an access token."""


def event_digest(text: bytes) -> str:
    """The digest of a signed event, over its signing input: its signature may be spelled in several ways."""
    return hashlib.sha256(text.rpartition(b".")[0]).hexdigest()[:DIGEST_CHARS]


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedEvent:
    """An event of ours, ready to be kept and published unchanged."""

    stream: Stream
    seq: int
    txn: str
    time: float
    record: Record
    text: bytes
    digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedEvent:
    """An event whose signature, issuer and place have been checked.

    ``has_ended`` says whether the key that signed it may sign no more.
    """

    issuer: str
    stream: Stream
    seq: int
    txn: str
    time: float
    record: Record
    digest: str
    has_ended: bool = False


class EventSigner:
    """Signs the events of one issuer."""

    def __init__(self, issuer: str, key: EventKey) -> None:
        self.issuer = issuer
        self._key = key

    @property
    def kid(self) -> str:
        """The name of its key."""
        return self._key.kid

    def sign(self, stream: Stream, seq: int, record: Record, *, time: float, txn: str) -> SignedEvent:
        """The SET that says ``record`` at ``seq`` of ``stream``.

        Args:
            stream: where it belongs.
            seq: its place there.
            record: what it says.
            time: seconds since the epoch, by the store's clock.
            txn: what ties the events of one decision together (RFC 8417 section 2.2).
        """
        place: dict[str, Any] = {"stream": stream, "seq": seq}
        if record.critical:
            place["critical"] = True
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "iat": round(time, 3),
            "jti": f"{stream}.{format_seq(seq)}",
            "txn": txn,
            "events": {record.type: encode_record(record), **other_types(record, time)},
            "tocsin": place,
        }
        subject = subject_identifier(record, self.issuer)
        if subject is not None:
            claims["sub_id"] = subject
        text = self._key.sign(msgspec.json.encode(claims))
        return SignedEvent(
            stream=stream, seq=seq, txn=txn, time=claims["iat"], record=record, text=text, digest=event_digest(text)
        )


class _Place(msgspec.Struct, frozen=True):
    stream: Stream
    seq: int
    critical: bool = False


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    iat: float
    txn: str
    events: dict[str, Any]
    tocsin: _Place


class EventOpener:
    """Opens the events of one issuer with its pinned keys, and those that have succeeded them. It has no clock.

    Attributes:
        issuer: whose events.
        keys: grow by each succession that is opened.
    """

    def __init__(self, trust: IssuerTrust, keys: EventKeys | None = None) -> None:
        """Pin what ``trust`` names.

        Args:
            trust: the issuer and its keys.
            keys: these keys, and what has succeeded them, where somebody knows that already.

        Raises:
            ValueError: as ``IssuerTrust.verifying_keys``.
        """
        from events import jose

        self.issuer = trust.issuer
        self.keys = keys or EventKeys(trust)
        self._is_signed_by = jose.is_signed_by

    def copy(self) -> "EventOpener":
        """One that knows the same keys, and learns of others by itself."""
        return EventOpener(self.keys.trust(), self.keys.copy())

    def open(self, raw: UnverifiedEvent | bytes, stream: Stream) -> VerifiedEvent:
        """Check one event that was read from ``stream``.

        1 size and header · 2 key, algorithm and signature · 3 claims (RFC 8417 section 2.2) · 4 place · 5 record ·
        6 the key's own time: what it signs lies between its beginning and its end, or ends it.

        Raises:
            EventRefused: with the code of the first step that failed.
        """
        header = self._header(raw)  # 1
        link, payload = self._payload(raw, header)  # 2
        claims = self._claims(payload)  # 3
        self._check_place(claims.tocsin, stream)  # 4
        record, digest = _record(claims), event_digest(raw)  # 5
        if isinstance(record, Succession):  # 6
            self.keys.succeed(link, claims.tocsin.seq, record, digest, raw)
        else:
            self.keys.check_place(link, stream, claims.tocsin.seq)
        return VerifiedEvent(
            issuer=claims.iss,
            stream=claims.tocsin.stream,
            seq=claims.tocsin.seq,
            txn=claims.txn,
            time=claims.iat,
            record=record,
            digest=digest,
            has_ended=link.ends is not None,
        )

    def _header(self, raw: bytes) -> dict[str, Any]:
        if len(raw) > MAX_EVENT_BYTES:
            raise EventRefused(RefusalCode.OVERSIZED, f"{len(raw)} bytes, more than {MAX_EVENT_BYTES}")
        if raw.count(b".") != 2:
            raise EventRefused(RefusalCode.MALFORMED, "it is not three parts")
        try:
            header = msgspec.json.decode(base64url.decode(raw.partition(b".")[0]))
        except (ValueError, msgspec.MsgspecError, RecursionError) as error:
            raise EventRefused(RefusalCode.MALFORMED, "its header is no JSON in base64url") from error
        if not isinstance(header, dict) or set(header) != _HEADER_MEMBERS:
            raise EventRefused(RefusalCode.MALFORMED, f"its header must have exactly {sorted(_HEADER_MEMBERS)}")
        if header["typ"] != TYP:
            raise EventRefused(RefusalCode.WRONG_TYPE, f"its typ is not {TYP}")
        return header

    def _payload(self, raw: bytes, header: dict[str, Any]) -> tuple[Link, bytes]:
        kid = header["kid"]
        link = self.keys.find(kid) if isinstance(kid, str) else None
        if link is None:
            raise EventRefused(RefusalCode.UNKNOWN_KEY, f"no event key {str(kid)[:64]!r} is known of {self.issuer}")
        key = link.key
        if header["alg"] != key.algorithm_name:
            raise EventRefused(RefusalCode.BAD_SIGNATURE, f"event key {kid} signs with {key.algorithm_name} only")
        signing_input, _, signature = raw.rpartition(b".")
        try:
            payload = base64url.decode(signing_input.partition(b".")[2])
            signed = self._is_signed_by(key, signing_input, base64url.decode(signature))
        except ValueError as error:
            raise EventRefused(RefusalCode.MALFORMED, "it is not three parts in base64url") from error
        if not signed:
            raise EventRefused(RefusalCode.BAD_SIGNATURE, f"not signed by event key {kid}")
        return link, payload

    def _claims(self, payload: bytes) -> _Claims:
        try:
            claims = msgspec.json.decode(payload, type=_Claims)
            names = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise EventRefused(RefusalCode.MALFORMED, f"its claims are not those of an event: {error}") from error
        for name in _FORBIDDEN_CLAIMS:
            if name in names:
                raise EventRefused(RefusalCode.MALFORMED, f"an event has no {name} claim")
        if claims.iss != self.issuer:
            raise EventRefused(RefusalCode.WRONG_ISSUER, f"it names another issuer than {self.issuer}")
        return claims

    def _check_place(self, place: _Place, stream: Stream) -> None:
        if place.stream is not stream:
            raise EventRefused(RefusalCode.WRONG_STREAM, f"an event of {place.stream} was found on {stream}")
        incarnation, number = unpack(place.seq) if 0 < place.seq <= MAX_SEQ else (0, 0)
        if not incarnation or not number:
            raise EventRefused(RefusalCode.BAD_SEQUENCE, f"{place.seq} is no sequence")


def _record(claims: _Claims) -> Record:
    try:
        record = decode_record(claims.events)
    except (msgspec.ValidationError, ValueError) as error:
        raise EventRefused(RefusalCode.BAD_RECORD, str(error)) from error
    if isinstance(record, UnknownRecord) and claims.tocsin.critical:
        raise EventRefused(
            RefusalCode.UNKNOWN_CRITICAL, f"an agent must understand {record.name!r} and this one does not"
        )
    if not isinstance(record, UnknownRecord) and claims.tocsin.stream not in record.streams:
        raise EventRefused(RefusalCode.BAD_RECORD, f"{record.type} does not belong on {claims.tocsin.stream}")
    return record
