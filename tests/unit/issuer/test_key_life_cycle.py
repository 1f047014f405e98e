"""The life of token keys: when a standby may sign, and what is due. No I/O, and time is an argument."""

from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from events import AgentStatus, KeyState
from issuer.fleet.member import GRACE_SECONDS, Member
from issuer.keys.life_cycle import (
    KeyPolicy,
    Postpone,
    Retire,
    Rotate,
    Situation,
    Step,
    TokenKey,
    gate,
    steps,
)
from issuer.keys.schedule import Schedule

NOON = 1_800_000_000.0
DAY = 86_400.0


def member(name: str, keys: int, **changes: Any) -> Member:
    heard_at = changes.pop("heard_at", NOON)
    removed_at = changes.pop("removed_at", None)
    said: dict[str, Any] = {"max_staleness": 900.0, "freshness": 0.5, "every": 5.0} | changes
    status = AgentStatus(agent=name, name=name, time=heard_at, applied={"keys": keys, "revocations": 1}, **said)
    return Member(
        id=name, client_id="agents", enrolled_at=NOON, heard_at=heard_at, status=status, seq=1, removed_at=removed_at
    )


def situation(*members: Member, now: float = NOON, published: int = 10, **active: Any) -> Situation:
    usual: dict[str, Any] = {"kid": "old", "alg": "ES256", "state": KeyState.ACTIVE, "changed_at": NOON - DAY}
    keys = [
        TokenKey(**usual | {"published_seq": 1} | active),
        TokenKey(kid="next", alg="ES256", state=KeyState.PENDING, changed_at=NOON - 3600, published_seq=5),
    ]
    return Situation(keys=keys, published=published, members=members, now=now, dead_before=NOON - 2 * DAY)


def next_gate(found: Situation, **policy: Any) -> Any:
    return gate(found.keys[1], found, KeyPolicy(**policy))


# -- what a standby waits for


def test_a_standby_that_everybody_knows_waits_for_nothing() -> None:
    assert next_gate(situation(member("a", 5), member("b", 9))).is_open


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"published": 4}, "has not been published"),
        ({"now": NOON - 3600 + 30}, "in the JWKS for 90 s more"),
    ],
)
def test_a_standby_waits_for_the_log_and_for_those_who_poll(changed: dict[str, Any], words: str) -> None:
    found = next_gate(situation(**changed), jwks_lead_time=120)

    assert not found.is_open
    assert words in found.why_not


def test_who_counts_and_has_not_acknowledged_is_named_and_nobody_else() -> None:
    found = next_gate(
        situation(
            member("knows", 5),
            member("behind", 4),
            member("has-left", 4, farewell=True),
            member("removed", 4, removed_at=NOON),
            member("gone", 4, heard_at=NOON - 900 - GRACE_SECONDS - 1),
            member("cannot", 9, unusable_keys=("next",)),
        )
    )

    assert [each.name for each in found.laggards] == ["behind", "cannot"]
    assert found.why_not == "not acknowledged by behind, cannot (cannot use it)"


def test_an_agent_that_goes_on_with_what_it_knows_counts_however_long_it_is_silent() -> None:
    silent = member("allows", 4, heard_at=NOON - 30 * DAY, max_staleness=None)

    assert [each.name for each in next_gate(situation(silent)).laggards] == ["allows"]


def test_an_agent_whose_statuses_were_lost_may_be_fresh_until_the_standby_was_published() -> None:
    silent = member("lost-voice", 4, heard_at=NOON - 3 * DAY)  # it may have heard all until an hour ago

    then = NOON - 3600 + 900 + GRACE_SECONDS
    assert [each.name for each in next_gate(situation(silent, now=then - 1)).laggards] == ["lost-voice"]
    assert next_gate(situation(silent, now=then + 1)).is_open


# -- what is due


@pytest.mark.parametrize(
    ("policy", "active", "words"),
    [
        ({"rotate_every": DAY}, {}, "rotate_every"),
        ({"rotate_after_signatures": 7}, {"signatures": 7}, "rotate_after_signatures"),
        ({"rotate_at": (Schedule.parse("03:00"),)}, {}, "rotate_at"),
    ],
)
def test_each_policy_makes_a_rotation_due(policy: dict[str, Any], active: dict[str, Any], words: str) -> None:
    [step] = steps(situation(**active), KeyPolicy(**policy))

    assert isinstance(step, Rotate)
    assert words in step.reason


@pytest.mark.parametrize(
    ("policy", "active"),
    [
        ({"rotate_every": DAY}, {"changed_at": NOON - DAY + 1}),
        ({"rotate_after_signatures": 7}, {"signatures": 6}),
        ({"rotate_at": (Schedule.parse("03:00"),)}, {"changed_at": NOON - 60}),
        ({}, {"signatures": 10**9, "changed_at": 0.0}),
    ],
)
def test_nothing_is_due_before_its_time_or_without_a_policy(policy: dict[str, Any], active: dict[str, Any]) -> None:
    assert steps(situation(**active), KeyPolicy(**policy)) == []


def test_a_key_that_was_put_aside_before_anybody_could_have_polled_it_waits_as_a_new_one() -> None:
    aside = TokenKey(
        kid="aside",
        alg="ES256",
        state=KeyState.RETIRING,
        changed_at=NOON - 10,
        created_at=NOON - 30,
        published_seq=5,
        rank=0,
    )
    policy = KeyPolicy(jwks_lead_time=120)
    found = situation()

    assert "in the JWKS for 90 s more" in gate(aside, found, policy).why_not
    assert gate(msgspec.structs.replace(aside, created_at=NOON - DAY), found, policy).is_open


def test_the_first_of_a_list_does_not_give_way_whatever_was_noted_while_another_was_first() -> None:
    noted: dict[str, Any] = {"rank": 1, "due_since": NOON - 60, "due_reason": "signing_keys has another first"}

    assert steps(situation(**noted), KeyPolicy(rotate_every=1.0)) == []


def test_a_rotation_that_must_wait_is_noted_once_and_goes_ahead_after_the_time_out_with_names() -> None:
    policy = KeyPolicy(rotate_every=DAY, activation_timeout=600)
    behind = member("behind", 4, max_staleness=None)

    [noted] = steps(situation(behind), policy)
    assert isinstance(noted, Postpone)
    due: dict[str, Any] = {"due_since": NOON, "due_reason": noted.reason}
    assert steps(situation(behind, now=NOON + 599, **due), policy) == []
    [late] = steps(situation(behind, now=NOON + 600, **due), policy)

    assert isinstance(late, Rotate)
    assert late.reason.endswith("after 600 s not acknowledged by behind")


def test_no_time_out_lets_a_key_sign_that_has_not_been_published() -> None:
    found = situation(member("behind", 4), published=4, now=NOON + DAY, due_since=NOON, due_reason="old")

    assert steps(found, KeyPolicy()) == []


def test_a_key_retires_when_its_last_token_has_expired() -> None:
    keys = [
        TokenKey(kid=kid, alg="ES256", state=KeyState.RETIRING, changed_at=changed_at)
        for kid, changed_at in (("dead", NOON - 1), ("alive", NOON))
    ]

    found = Situation(keys=keys, published=1, members=(), now=NOON + DAY, dead_before=NOON)
    assert steps(found, KeyPolicy()) == [Retire(kid="dead")]


class Life(RuleBasedStateMachine):
    """Agents come, hear, fall silent and leave in any order, and keys rotate by policy or by force meanwhile."""

    POLICY = KeyPolicy(rotate_every=100.0, activation_timeout=50.0, jwks_lead_time=10.0)

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.head = self.published = 1
        self.made = 2
        self.keys = [self._key("key-0", KeyState.ACTIVE), self._key("key-1", KeyState.PENDING)]
        self.members: dict[str, Member] = {}
        self.knows: dict[str, int] = {}

    def _key(self, kid: str, state: KeyState) -> TokenKey:
        return TokenKey(kid=kid, alg="ES256", state=state, changed_at=self.now, published_seq=self.head)

    @property
    def situation(self) -> Situation:
        return Situation(
            keys=self.keys,
            published=self.published,
            members=list(self.members.values()),
            now=self.now,
            dead_before=self.now - 200,
        )

    @rule(seconds=st.sampled_from([1.0, 15.0, 60.0, 1000.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def the_log_acknowledges(self) -> None:
        self.published = self.head

    @rule(name=st.sampled_from("abc"), up_to=st.integers(0, 3), limit=st.sampled_from([None, 30.0]))
    def an_agent_says_how_far_it_is(self, name: str, up_to: int, limit: float | None) -> None:
        applied = max(self.published - up_to, 0)
        self.members[name] = member(name, applied, heard_at=self.now, max_staleness=limit)

    @precondition(lambda self: self.members)
    @rule(data=st.data(), how=st.sampled_from(["farewell", "removed"]))
    def an_agent_leaves(self, data: st.DataObject, how: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.members)))
        changes: dict[str, Any] = {"farewell": True} if how == "farewell" else {"removed_at": self.now}
        self.members[name] = member(name, 0, heard_at=self.now, **changes)

    @rule()
    def what_is_due_is_done(self) -> None:
        before = self.situation
        for step in steps(before, self.POLICY):
            self._do(step, before)

    def _do(self, step: Step, before: Situation) -> None:
        if isinstance(step, Postpone):
            self._change(step.kid, due_since=self.now, due_reason=step.reason)
        elif isinstance(step, Retire):
            self._change(step.kid, state=KeyState.RETIRED, changed_at=self.now)
        else:
            self._activate(step, before)

    def _activate(self, step: Rotate, before: Situation) -> None:
        standby, active = before.heir("ES256"), next(key for key in before.keys if key.state is KeyState.ACTIVE)
        assert standby is not None
        assert active is not None
        # What must hold, said without the gate: everybody knows it, or is named after the time-out.
        assert standby.published_seq <= self.published
        assert self.now - standby.changed_at >= self.POLICY.jwks_lead_time
        for each in self.members.values():
            gone = each.removed_at is not None or each.status.farewell
            limit = each.status.max_staleness
            ceased = limit is not None and self.now > max(each.heard_at, standby.changed_at) + limit
            knows = each.status.applied["keys"] >= standby.published_seq
            if not (gone or ceased or knows):
                assert each.name in step.reason.rpartition("not acknowledged by ")[2].split(", ")
                assert active.due_since is not None
                assert self.now - active.due_since >= self.POLICY.activation_timeout
        self.head += 1
        self._change(active.kid, state=KeyState.RETIRING, changed_at=self.now)
        self._change(standby.kid, state=KeyState.ACTIVE, changed_at=self.now)
        self.keys.append(self._key(f"key-{self.made}", KeyState.PENDING))
        self.made += 1

    def _change(self, kid: str, **values: Any) -> None:
        place = next(index for index, key in enumerate(self.keys) if key.kid == kid)
        fields = {name: getattr(self.keys[place], name) for name in TokenKey.__struct_fields__}
        self.keys[place] = TokenKey(**fields | values)

    @invariant()
    def one_key_signs_and_one_stands_by(self) -> None:
        states = [key.state for key in self.keys]
        assert states.count(KeyState.ACTIVE) == 1
        assert states.count(KeyState.PENDING) == 1

    @invariant()
    def what_was_done_is_not_due_again(self) -> None:
        if self.keys[-1].changed_at == self.now:
            assert not any(isinstance(step, Rotate) for step in steps(self.situation, self.POLICY))


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLife = Life.TestCase
