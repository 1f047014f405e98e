"""Subject identifiers (RFC 9493), and the CAEP type of a revocation, for receivers other than Tocsin's agents."""

from typing import Any, Final

from events.records import Record, Revoke

CAEP_SESSION_REVOKED: Final = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
"""OpenID Continuous Access Evaluation Profile 1.0, section 3.1."""

_COMPLEX_MEMBERS: Final = {"sub": "user", "sid": "session", "client_id": "application", "tenant": "tenant"}
"""Claims that have a place in a complex subject (OpenID Shared Signals Framework 1.0, section 3.1)."""


def subject_identifier(record: Record, issuer: str) -> dict[str, Any] | None:
    """The ``sub_id`` of an event about ``record``, or ``None`` where no format can say whom it hits."""
    if not isinstance(record, Revoke):
        return None
    claims = record.selector.claims
    of = record.selector.issuer or issuer
    if set(claims) == {"sub"}:
        return {"format": "iss_sub", "iss": of, "sub": str(claims["sub"])}
    if set(claims) == {"jti"}:
        return {"format": "jwt_id", "iss": of, "jti": str(claims["jti"])}
    if claims and set(claims) <= set(_COMPLEX_MEMBERS):
        parts: dict[str, Any] = {
            _COMPLEX_MEMBERS[name]: {"format": "opaque", "id": str(value)} for name, value in claims.items()
        }
        if "sub" in claims:
            parts["user"] = {"format": "iss_sub", "iss": of, "sub": str(claims["sub"])}
        return {"format": "complex", **parts}
    return None


def other_types(record: Record, time: float) -> dict[str, dict[str, Any]]:
    """Further ``events`` members that state the same fact: CAEP's session-revoked for whole users and sessions.

    Args:
        record: what the event says.
        time: seconds since the epoch at which it was decided.
    """
    if not isinstance(record, Revoke) or set(record.selector.claims) not in ({"sub"}, {"sid"}, {"sub", "sid"}):
        return {}
    payload: dict[str, Any] = {"event_timestamp": int(time), "initiating_entity": "admin"}
    if record.reason:
        payload["reason_admin"] = {"en": record.reason}
    return {CAEP_SESSION_REVOKED: payload}
