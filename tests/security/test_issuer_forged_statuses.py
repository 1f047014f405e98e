"""Attacks by what agents say of themselves: to let a key sign that not all know, or to keep one from ever signing."""

import base64
import json
from typing import Any

import pytest

from events import AgentStatus, EventSigner, Heartbeat, Record, Stream
from events.log import open_log
from issuer.errors import OAuthError
from issuer.fleet import Fleet, Member
from issuer.fleet.statuses import MAX_STATUS_BYTES, OLD_SECONDS, StatusCode, StatusInvalid
from tests.issuer_under_test import Installation, Replica, until
from verifier_agent.fleet.identity import AgentIdentity

NEWEST = 1 << 52


class Robot:
    """An agent that says what a test wants."""

    def __init__(self, issuer: Replica) -> None:
        self.identity = AgentIdentity.create()
        self.issuer = issuer.services.settings.issuer
        self.clock = issuer.services.parts.clock
        self.seq = int(self.clock.now() * 1000)

    def says(self, *, seq: int | None = None, stream: Stream = Stream.AGENTS, **changes: Any) -> bytes:
        """A status that it signs; ``changes`` are fields of it."""
        now = self.clock.now()
        usual: dict[str, Any] = {"agent": self.identity.agent, "time": now, "applied": {"keys": 1}, "every": 5.0}
        return self.signs(AgentStatus(**usual | changes), seq, stream)

    def signs(self, record: Record, seq: int | None = None, stream: Stream = Stream.AGENTS, iss: str = "") -> bytes:
        """Anything, with its key."""
        self.seq = max(self.seq + 1, seq or 0)
        signer = EventSigner(iss or self.issuer, self.identity.key)
        return signer.sign(stream, seq or self.seq, record, time=self.clock.now(), txn="x").text

    async def enrol(self, fleet: Fleet) -> "Robot":
        """Be known."""
        await fleet.enrol("agents", self.identity.public_jwk, self.says())
        return self


@pytest.fixture
async def issuer(tmp_path: Any) -> Any:
    """An issuer, running."""
    installation = await Installation.create(tmp_path)
    async with installation.running() as replica:
        yield replica


@pytest.fixture
def fleet(issuer: Replica) -> Fleet:
    """What it knows of agents."""
    return issuer.services.fleet


async def refusal(fleet: Fleet, raw: bytes) -> StatusCode:
    """Why a status is refused, and counted as such."""
    with pytest.raises(StatusInvalid) as refused:
        await fleet.take(raw)
    assert fleet.refused[refused.value.code] == 1
    return refused.value.code


async def kept(fleet: Fleet, robot: Robot) -> Member:
    """What the store has of it once all that was taken has been written."""
    await fleet.flush()
    members, _ = await fleet.members()
    return next(member for member in members if member.id == robot.identity.agent)


async def test_a_status_of_a_key_that_nobody_enrolled_is_refused(issuer: Replica, fleet: Fleet) -> None:
    assert await refusal(fleet, Robot(issuer).says(applied={"keys": NEWEST})) == StatusCode.UNKNOWN_AGENT


async def test_a_status_signed_by_another_key_under_an_agents_name_is_refused(issuer: Replica, fleet: Fleet) -> None:
    robot = await Robot(issuer).enrol(fleet)
    header, payload, _ = robot.says(applied={"keys": NEWEST}).split(b".")
    signature = Robot(issuer).says().split(b".")[2]

    assert await refusal(fleet, b".".join([header, payload, signature])) == StatusCode.FORGED
    assert (await kept(fleet, robot)).applied(Stream.KEYS) == 1


async def test_an_agent_cannot_acknowledge_for_another(issuer: Replica, fleet: Fleet) -> None:
    robot, other = await Robot(issuer).enrol(fleet), await Robot(issuer).enrol(fleet)

    spoken = robot.says(agent=other.identity.agent, applied={"keys": NEWEST})

    assert await refusal(fleet, spoken) == StatusCode.FOR_ANOTHER
    assert (await kept(fleet, other)).applied(Stream.KEYS) == 1


async def test_a_farewell_that_was_recorded_cannot_be_said_again(issuer: Replica, fleet: Fleet) -> None:
    robot = await Robot(issuer).enrol(fleet)
    farewell = robot.says(farewell=True)
    await fleet.take(farewell)
    back = robot.says()
    await fleet.take(back)

    assert await refusal(fleet, farewell) == StatusCode.REPLAYED
    fleet.refused.clear()
    assert await refusal(fleet, back) == StatusCode.REPLAYED
    assert not (await kept(fleet, robot)).status.farewell


async def test_a_replay_at_a_replica_that_has_not_heard_the_newer_status_changes_nothing(
    issuer: Replica, fleet: Fleet
) -> None:
    robot = await Robot(issuer).enrol(fleet)
    other = Fleet(issuer.services.settings.issuer, issuer.services.database, issuer.services.parts.clock)
    stale = robot.says(applied={"keys": 3})
    with pytest.raises(StatusInvalid):
        await other.take(Robot(issuer).says())  # it has looked who is there, before what follows
    newer = robot.says(applied={"keys": 2})
    await fleet.take(newer)
    await fleet.flush()

    await other.take(stale)

    assert (await kept(other, robot)).applied(Stream.KEYS) == 2


async def test_an_acknowledgement_that_was_held_back_for_long_is_refused(issuer: Replica, fleet: Fleet) -> None:
    robot = await Robot(issuer).enrol(fleet)

    old = robot.says(time=robot.clock.now() - OLD_SECONDS - 1)

    assert await refusal(fleet, old) == StatusCode.OLD


async def test_a_status_for_another_issuer_or_stream_is_refused(issuer: Replica, fleet: Fleet) -> None:
    robot = await Robot(issuer).enrol(fleet)
    elsewhere = AgentStatus(agent=robot.identity.agent, time=robot.clock.now())

    for raw in (
        robot.signs(elsewhere, iss="https://other.example"),
        robot.says(stream=Stream.REVOCATIONS),
        robot.signs(Heartbeat(time=robot.clock.now(), heads={}), stream=Stream.HEARTBEATS),
    ):
        fleet.refused.clear()
        assert await refusal(fleet, raw) == StatusCode.FORGED


@pytest.mark.parametrize(
    "changes",
    [
        {"max_staleness": -1.0},
        {"freshness": -1.0},
        {"name": "x" * 129},
        {"name": "two\nlines"},
        {"version": "\x1b[2J"},
        {"unusable_keys": ("k",) * 65},
    ],
)
async def test_what_an_agent_says_cannot_break_who_reads_it(
    issuer: Replica, fleet: Fleet, changes: dict[str, Any]
) -> None:
    robot = await Robot(issuer).enrol(fleet)

    assert await refusal(fleet, robot.says(**changes)) == StatusCode.MALFORMED


@pytest.mark.parametrize("raw", [b"", b".", b"..", b"e30.e30.e30", b"\xff.\xff.\xff", b"[" * 1000])
async def test_noise_on_the_agents_stream_is_refused(fleet: Fleet, raw: bytes) -> None:
    assert await refusal(fleet, raw) == StatusCode.MALFORMED


async def test_a_status_that_is_too_large_is_not_looked_at(issuer: Replica, fleet: Fleet) -> None:
    robot = await Robot(issuer).enrol(fleet)

    large = robot.says(understands=tuple("x" * 100 for _ in range(MAX_STATUS_BYTES // 100)))

    assert await refusal(fleet, large) == StatusCode.OVERSIZED
    with pytest.raises(OAuthError, match="oversized"):
        await fleet.enrol("agents", robot.identity.public_jwk, large)


async def test_unknown_names_in_mass_cost_one_look_into_the_store(
    issuer: Replica, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    async def look() -> dict[str, Any]:
        looks.append(1)
        return {}

    monkeypatch.setattr(fleet._registry, "known", look)
    monkeypatch.setattr("issuer.fleet.fleet.LOOK_SECONDS", 3600.0)
    for _ in range(20):
        with pytest.raises(StatusInvalid):
            await fleet.take(Robot(issuer).says())

    assert len(looks) == 1


async def test_nobody_enrols_a_key_that_is_not_his(issuer: Replica, fleet: Fleet) -> None:
    robot, thief = Robot(issuer), Robot(issuer)

    for jwk, status in (
        (robot.identity.public_jwk, thief.says()),
        (robot.identity.public_jwk, thief.says(agent=robot.identity.agent)),
        (thief.identity.public_jwk, robot.says()),
    ):
        with pytest.raises(OAuthError, match="agent's own"):
            await fleet.enrol("agents", jwk, status)
    assert (await fleet.members())[0] == []


async def test_a_recorded_enrolment_brings_no_removed_agent_back(issuer: Replica, fleet: Fleet) -> None:
    robot = Robot(issuer)
    recorded = robot.says()
    await fleet.enrol("agents", robot.identity.public_jwk, recorded)
    await fleet.remove(robot.identity.agent, reason="its machine is gone", actor="operator")

    await fleet.enrol("thief", robot.identity.public_jwk, recorded)

    member = await kept(fleet, robot)
    assert member.removed_at is not None
    assert member.client_id == "agents"
    assert await refusal(fleet, robot.says()) == StatusCode.REMOVED


async def test_a_private_or_weak_key_is_not_enrolled(issuer: Replica, fleet: Fleet) -> None:
    robot = Robot(issuer)
    secret = {"kty": "oct", "k": base64.urlsafe_b64encode(b"x" * 32).decode(), "alg": "HS256"}
    for jwk in ({**robot.identity.public_jwk, "d": "x"}, secret, {}, {"kty": "EC", "alg": "ES256"}):
        with pytest.raises(OAuthError, match="jwk"):
            await fleet.enrol("agents", jwk, robot.says())


async def test_noise_in_the_log_does_not_keep_agents_from_being_heard(issuer: Replica, fleet: Fleet) -> None:
    robot = await Robot(issuer).enrol(fleet)
    log = open_log(issuer.services.settings.log)
    try:
        await log.append(Stream.AGENTS, [b"noise", Robot(issuer).says(), robot.says(applied={"keys": 7}), b"\xff"])
    finally:
        await log.close()

    async def heard() -> bool:
        members, _ = await fleet.members()
        return members[0].applied(Stream.KEYS) == 7

    await until(heard, "the status between the noise is heard")


async def test_no_answer_and_no_log_line_holds_what_an_attacker_wants_shown(
    issuer: Replica, fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    header = base64.urlsafe_b64encode(json.dumps({"kid": "k" * 500}).encode()).rstrip(b"=")

    assert await refusal(fleet, header + b".e30.e30") == StatusCode.UNKNOWN_AGENT
    assert "k" * 65 not in caplog.text
