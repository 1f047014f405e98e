"""Several threads verify while one applies events."""

import sys
import threading
from collections.abc import Iterator
from typing import Any, Self

import pytest

from events import KeyState, Selector
from tests.simulator import AUDIENCE, IssuerSimulator, Listener, signing_key
from verifier_agent import RejectionCode, TokenRejected, VerificationPolicy
from verifier_agent.hot_path import hot_path
from verifier_agent.keyring import VerifyingKey

THREADS = 4
ROUNDS = 60


@pytest.fixture(autouse=True)
def _switching_all_the_time() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


class Crowd:
    """Threads that verify the same tokens all the time, through the agent's way in."""

    def __init__(self, issuer: IssuerSimulator, cache_size: int) -> None:
        self.issuer = issuer
        self.listener = Listener.caught_up(issuer, VerificationPolicy(audience=AUDIENCE, cache_size=cache_size))
        self.verify = hot_path(self.listener.verifier, issuer.clock)
        self.tokens: tuple[str, ...] = ()
        self.must_be_rejected: tuple[str, ...] = ()
        self.must_be_good = False
        self.wrong: list[Any] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(THREADS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
        assert not self.wrong

    def _run(self) -> None:
        while not self._stop.is_set():
            refused = self.must_be_rejected  # before the look: it only grows
            for token in self.tokens:
                try:
                    self.verify(token)
                except TokenRejected as rejected:
                    if self.must_be_good or rejected.code not in (RejectionCode.REVOKED, RejectionCode.KEY_REVOKED):
                        self.wrong.append(rejected.code)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is a defect
                    self.wrong.append(error)
                else:
                    if token in refused:
                        self.wrong.append(f"accepted after its revocation had been applied: {token}")


@pytest.mark.parametrize("cache_size", [0, 3, 1000])
def test_no_thread_accepts_a_token_after_its_revocation_has_been_applied(cache_size: int) -> None:
    with Crowd(IssuerSimulator(), cache_size) as crowd:
        for number in range(ROUNDS):
            token = crowd.issuer.token(sub=f"user-{number}")
            crowd.tokens = (*crowd.tokens[-6:], token)
            crowd.verify(token)
            revocation = (
                crowd.issuer.revoke(Selector.of(sub=f"user-{number}"))
                if number % 2
                else crowd.issuer.revoke_tokens(token)
            )
            crowd.listener.hear(revocation)
            crowd.must_be_rejected = (*crowd.must_be_rejected[-6:], token)


def test_no_thread_accepts_a_token_after_its_key_has_been_revoked() -> None:
    with Crowd(IssuerSimulator(), 1000) as crowd:
        for number in range(ROUNDS // 4):
            key = signing_key("EdDSA", f"key-{number}")
            crowd.listener.hear(crowd.issuer.publish_key(key))
            token = crowd.issuer.token(key=key)
            crowd.tokens = (*crowd.tokens[-3:], token)
            crowd.verify(token)
            crowd.listener.hear(crowd.issuer.publish_key(key, KeyState.REVOKED))
            crowd.must_be_rejected = (*crowd.must_be_rejected[-3:], token)


def test_what_is_lifted_becomes_good_for_every_thread_while_they_look() -> None:
    with Crowd(IssuerSimulator(), 1000) as crowd:
        token = crowd.issuer.token()
        crowd.tokens = (token,)
        for _ in range(ROUNDS):
            revocation = crowd.issuer.revoke(Selector.of(sub="alice"))
            crowd.listener.hear(revocation, crowd.issuer.lift(revocation))

            assert crowd.verify(token)


def test_a_good_token_stays_good_for_every_thread_while_keys_and_revocations_of_others_come_and_go() -> None:
    with Crowd(IssuerSimulator(), 3) as crowd:
        crowd.must_be_good = True
        for number in range(ROUNDS):
            other = crowd.issuer.revoke(Selector(claims={f"claim-{number % 7}": "x"}))
            crowd.listener.hear(other, crowd.issuer.publish_key(signing_key("ES256", f"key-{number % 3}")))
            crowd.tokens = tuple(crowd.issuer.token() for _ in range(4))
            crowd.listener.hear(crowd.issuer.lift(other))


def test_a_revocation_that_comes_while_a_token_is_being_judged_counts_from_the_next_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issuer = IssuerSimulator()
    listener = Listener.caught_up(issuer)
    verify, token = hot_path(listener.verifier, issuer.clock), issuer.token()
    revocations = listener.verifier.state.revocations
    find = revocations.find

    def overtaken(*args: Any) -> str | None:
        found = find(*args)
        monkeypatch.undo()
        listener.hear(issuer.revoke(Selector()))
        return found

    monkeypatch.setattr(revocations, "find", overtaken)
    verify(token)

    with pytest.raises(TokenRejected) as rejected:
        verify(token)
    assert rejected.value.code is RejectionCode.REVOKED


def test_a_key_that_is_revoked_while_its_signature_is_being_verified_is_not_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issuer = IssuerSimulator()
    listener = Listener.caught_up(issuer)
    verify, own_key = hot_path(listener.verifier, issuer.clock), listener.verifier._own_key

    def overtaken(header: bytes) -> VerifyingKey:
        key = own_key(header)
        monkeypatch.undo()
        listener.hear(issuer.publish_key(issuer.key, KeyState.REVOKED))
        return key

    monkeypatch.setattr(listener.verifier, "_own_key", overtaken)
    verify(issuer.token())

    with pytest.raises(TokenRejected) as rejected:
        verify(issuer.token())
    assert rejected.value.code is RejectionCode.KEY_REVOKED
