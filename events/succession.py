"""The succession of event keys: what both keys sign, and whether they did (``docs/adr/0025-event-key-succession.md``).

The old key signs the event. The new one signs a statement of its own, which says the same and cannot be taken for an
event or a token: its ``typ`` is another. So a thief of the old key can appoint no heir, and who has the offline key
alone cannot take over in silence.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from events import base64url
from events.records import Succession
from events.signing_key import EventKey
from events.thumbprint import thumbprint

STATEMENT_TYP: Final = "tocsin-succession+jwt"
MAX_STATEMENT: Final = 4096
_HEADER_MEMBERS: Final = {"alg", "kid", "typ"}


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the new key signs; see ``Succession`` for the members.

    Attributes:
        iss: the issuer.
        predecessor: thumbprint of the old key.
        successor: thumbprint of the new key.
        heir: thumbprint of the key after it.
        ends: by stream.
        time: seconds since the epoch.
        stolen: whether the old key was in other hands.
    """

    iss: str
    predecessor: str
    successor: str
    heir: str
    ends: dict[str, int]
    time: float
    stolen: bool


class _Named(msgspec.Struct, frozen=True):
    jwk: dict[str, str]


class _Said(msgspec.Struct, frozen=True):
    events: dict[str, msgspec.Raw]


def succession(
    issuer: str,
    predecessor: Mapping[str, str],
    successor: EventKey,
    *,
    heir: str,
    ends: Mapping[str, int],
    time: float,
    stolen: bool = False,
    reason: str = "",
    actor: str = "",
) -> Succession:
    """The record by which a key ends, countersigned; the old key has yet to sign the event.

    Args:
        issuer: whose keys they are.
        predecessor: public JWK of the key that ends.
        successor: the key that is to sign from then on.
        heir: thumbprint of the key after it.
        ends: by stream the last ``seq`` of the old key.
        time: seconds since the epoch.
        stolen: whether the old key was in other hands.
        reason: for the audit trail.
        actor: for the audit trail.
    """
    said = Statement(
        iss=issuer,
        predecessor=thumbprint(predecessor),
        successor=thumbprint(successor.public),
        heir=heir,
        ends=dict(ends),
        time=time,
        stolen=stolen,
    )
    return Succession(
        jwk=successor.public,
        predecessor=said.predecessor,
        heir=heir,
        ends=said.ends,
        time=time,
        stolen=stolen,
        counter_signature=successor.sign(msgspec.json.encode(said), STATEMENT_TYP).decode("ascii"),
        reason=reason,
        actor=actor,
    )


def successor_named(raw: bytes) -> str | None:
    """The ``kid`` of the new key, if an event looks like a succession: nothing of it is checked."""
    try:
        events = msgspec.json.decode(base64url.decode(raw.split(b".")[1]), type=_Said).events
        kid = (
            msgspec.json.decode(events[Succession.type], type=_Named).jwk["kid"] if Succession.type in events else None
        )
    except (ValueError, IndexError, KeyError, msgspec.MsgspecError, RecursionError):
        return None
    return kid


def check_counter_signature(issuer: str, record: Succession) -> None:
    """Make sure that the new key has signed all that the record says.

    1 shape and header · 2 signature, by the key in the record and with its algorithm · 3 the same is said.

    Raises:
        ValueError: it has not; the message says which step failed.
    """
    from events import jose

    key = jose.parse_key(record.jwk)
    raw = record.counter_signature.encode("ascii", "replace")
    if len(raw) > MAX_STATEMENT or raw.count(b".") != 2:  # 1
        raise ValueError("the counter-signature is not three parts")
    signing_input, _, signature = raw.rpartition(b".")
    header, _, payload = signing_input.partition(b".")
    try:
        said: Any = msgspec.json.decode(base64url.decode(header))
        signed = jose.is_signed_by(key, signing_input, base64url.decode(signature))
        statement = msgspec.json.decode(base64url.decode(payload), type=Statement)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise ValueError("the counter-signature cannot be read") from error
    if not isinstance(said, dict) or set(said) != _HEADER_MEMBERS or said["typ"] != STATEMENT_TYP:
        raise ValueError(f"the counter-signature is no {STATEMENT_TYP}")
    if said["alg"] != record.jwk["alg"] or said["kid"] != record.jwk["kid"] or not signed:  # 2
        raise ValueError("the counter-signature is not the new key's")
    expected = Statement(
        iss=issuer,
        predecessor=record.predecessor,
        successor=thumbprint(record.jwk),
        heir=record.heir,
        ends=record.ends,
        time=record.time,
        stolen=record.stolen,
    )
    if statement != expected:  # 3
        raise ValueError("the new key has signed something else than the old one says")
