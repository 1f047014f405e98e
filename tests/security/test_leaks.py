"""What errors and log records must not give away."""

import logging
import traceback
from typing import Any

import pytest

from events import KeyState, Selector, Stream
from tests.simulator import AUDIENCE, IssuerSimulator, Listener, signing_key
from verifier_agent import RejectionCode, TokenRejected, VerificationPolicy, VerificationUnavailable

MARK = "s3cret-subject"


def rejected_tokens(issuer: IssuerSimulator) -> list[tuple[RejectionCode, str]]:
    """A token for each way to be rejected, with a mark in every claim that can hold one."""
    marks: dict[str, Any] = {"sub": MARK, "client_id": MARK, "jti": MARK, "sid": MARK, "tenant": MARK}
    revoked, past = signing_key("ES256", "revoked"), signing_key("ES256", "past")
    issuer.publish_key(revoked, KeyState.REVOKED)
    issuer.keys["past"] = past.published(KeyState.RETIRED)
    issuer.publish_keys()
    hit = issuer.token(**marks, rsq=0)
    issuer.revoke(Selector.of(sub=MARK, sid=MARK))
    good = issuer.token(**marks)
    return [
        (RejectionCode.OVERSIZED, issuer.token(**marks, long="x" * 8192)),
        (RejectionCode.MALFORMED, good + "="),
        (RejectionCode.MALFORMED, good[:-9] + "\u00e9" + good[-8:]),
        (RejectionCode.MALFORMED, issuer.token(**marks | {"exp": MARK})),
        (RejectionCode.MALFORMED, issuer.token(**marks, groups=[MARK] * 300)),
        (RejectionCode.WRONG_ALGORITHM, issuer.token(**marks, header={"alg": "HS256"})),
        (RejectionCode.WRONG_TYPE, issuer.token(**marks, header={"typ": "JWT"})),
        (RejectionCode.UNKNOWN_KEY, issuer.token(**marks, header={"kid": "nobody"})),
        (RejectionCode.KEY_NOT_IN_USE, issuer.token(**marks, key=past)),
        (RejectionCode.KEY_REVOKED, issuer.token(**marks, key=revoked)),
        (RejectionCode.BAD_SIGNATURE, good[:-9] + ("AAAA" if good[-9:-5] != "AAAA" else "BBBB") + good[-5:]),
        (RejectionCode.WRONG_ISSUER, issuer.token(**marks, iss=f"https://{MARK}.example")),
        (RejectionCode.WRONG_AUDIENCE, issuer.token(**marks, aud=MARK)),
        (RejectionCode.EXPIRED, issuer.token(**marks, exp=1)),
        (RejectionCode.NOT_YET_VALID, issuer.token(**marks, nbf=2**40)),
        (RejectionCode.REVOKED, hit),
        (RejectionCode.INSUFFICIENT_SCOPE, issuer.token(**marks, scope=MARK)),
    ]


def test_rejections_and_log_records_hold_neither_token_nor_claims(
    issuer: IssuerSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = rejected_tokens(issuer)
    listener = Listener.caught_up(issuer, VerificationPolicy(audience=AUDIENCE))
    assert {code for code, _ in tokens} == set(RejectionCode)

    for code, token in tokens:
        for _ in range(2):  # the second time perhaps from memory
            with pytest.raises(TokenRejected) as caught:
                listener.verify(token, scope="orders:read")
            assert caught.value.code is code
            told = "".join([*traceback.format_exception(caught.value), caught.value.description])
            told += " ".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
            assert MARK not in told
            assert not any(part and part in told for part in token.split(".")[1:])


def test_what_cannot_be_said_holds_neither_token_nor_claims(issuer: IssuerSimulator) -> None:
    token = issuer.token(sub=MARK)
    listener = Listener(issuer)
    listener.hear(*issuer.said)
    with pytest.raises(VerificationUnavailable) as caught:
        listener.verify(token)

    assert MARK not in str(caught.value)
    assert token not in str(caught.value)


def test_refused_events_are_counted_without_their_content(
    issuer: IssuerSimulator, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    event = issuer.revoke(Selector.of(sub=MARK))
    listener.hear_raw(Stream.REVOCATIONS, event.text[:-4] + b"AAAA")
    listener.hear_raw(Stream.KEYS, event.text)

    assert sum(listener.verifier.refused.values()) == 2
    assert MARK not in f"{listener.verifier.refused} {caplog.text}"


def test_a_strangers_kid_is_cut_short_in_what_is_told(issuer: IssuerSimulator, listener: Listener) -> None:
    with pytest.raises(TokenRejected) as caught:
        listener.verify(issuer.token(header={"kid": "k" * 1000 + "\n\x1b[31m"}))

    assert len(str(caught.value)) < 120
    assert "\n" not in str(caught.value)
    assert "k" not in caught.value.description.replace("token", "")
