"""A key revocation that a heartbeat and a newer key set have overtaken."""

from events import KeyState
from tests.simulator import IssuerSimulator, Listener, signing_key
from verifier_agent import RejectionCode


def test_a_key_revoked_in_an_overtaken_key_set_is_revoked_also_when_that_event_arrives_late() -> None:
    issuer = IssuerSimulator()
    listener = Listener.caught_up(issuer)
    token = issuer.token()
    assert listener.rejection(token) is None

    revoked = issuer.publish_key(issuer.key, KeyState.REVOKED)
    issuer.keys[issuer.key.kid] = issuer.key.published()  # as a faulty or forged newer set would have it
    newer = issuer.publish_key(signing_key("ES256", "another"))
    listener.hear(newer, issuer.beat())
    listener.hear(revoked)

    assert listener.rejection(token) is RejectionCode.KEY_REVOKED
