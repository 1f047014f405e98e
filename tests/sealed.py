"""Snapshots as an issuer seals them, without an issuer."""

from hashlib import sha256

from events import Heartbeat, Snapshot, Stream
from tests.simulator import IssuerSimulator, Listener
from verifier_agent.saved import SealedSnapshot


def seal(issuer: IssuerSimulator, data: bytes, beat: Heartbeat | None = None) -> SealedSnapshot:
    """These bytes, sealed at this moment with the heads of this moment."""
    event = issuer.beat()
    assert isinstance(event.record, Heartbeat)
    beat = beat or event.record
    record = Snapshot(sha256=sha256(data).hexdigest(), size=len(data), time=beat.time, heads=beat.heads)
    return SealedSnapshot(seal=issuer.sign(Stream.HEARTBEATS, event.seq, record).text, data=data)


def sealed_snapshot(issuer: IssuerSimulator) -> SealedSnapshot:
    """All that the issuer has said so far."""
    return seal(issuer, Listener.caught_up(issuer).verifier.snapshot())
