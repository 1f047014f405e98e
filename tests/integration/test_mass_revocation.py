"""``tocsin revoke --file`` as a process, against an issuer over HTTP, and agents that hear it."""

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from events import RevokeDigests, Stream
from events.digests import token_digest, unpack_digests
from events.log import Retention, prepare_log
from issuer.revocations import RevocationService
from tests.issuer_under_test import Installation, Replica, rejection, until
from tests.services.service import Service
from tocsin.own_topics import own_topics
from verifier_agent import Agent, AgentSettings

MANY = 20_000


def part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def made_up(count: int) -> Iterator[str]:
    """Tokens that nobody has issued."""
    header = part({"alg": "ES256", "typ": "at+jwt", "kid": "k"})
    for number in range(count):
        yield f"{header}.{part({'iss': 'https://issuer.example', 'jti': f'made-up-{number}'})}.c2ln"


@dataclass
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> Any:
        return json.loads(self.out)


@dataclass
class Command:
    """`tocsin revoke` that runs."""

    process: asyncio.subprocess.Process

    async def end(self, given: bytes | None = None) -> Ran:
        async with asyncio.timeout(90):
            out, err = await self.process.communicate(given)
        return Ran(self.process.returncode or 0, out.decode(), err.decode())


async def start(installation: Installation, *arguments: str, as_json: bool = True) -> Command:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tocsin", "revoke", "--reason", "leaked"),
        *(["--json"] if as_json else []),
        *arguments,
        env={
            **inherited,
            "TOCSIN_ISSUER": installation.settings.issuer,
            "TOCSIN_OPERATOR_ID": installation.operator.client_id,
            "TOCSIN_OPERATOR_SECRET": installation.operator.secret,
        },
        cwd=installation.trust_file.parent,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    return Command(process)


async def revoke(installation: Installation, *arguments: str, given: bytes | None = None, as_json: bool = True) -> Ran:
    return await (await start(installation, *arguments, as_json=as_json)).end(given)


async def batches(issuer: Replica) -> list[dict[str, Any]]:
    """Every revocation of digests, the oldest first."""
    listed = (await issuer.admin("GET", "/revocations?limit=1000")).json()["revocations"]
    return [revocation for revocation in reversed(listed) if "tokens" in revocation]


async def in_events(installation: Installation) -> list[int]:
    """Every digest in the log's batches, as often as it stands there."""
    said = await installation.said(Stream.REVOCATIONS)
    packed = [event.record.digests for event in said if isinstance(event.record, RevokeDigests)]
    return [digest for batch in packed for digest in unpack_digests(batch)]


@pytest.fixture
async def installation(tmp_path: Path) -> Installation:
    return await Installation.create(tmp_path)


@pytest.fixture
async def issuer(installation: Installation) -> AsyncIterator[Replica]:
    async with installation.running() as replica:
        yield replica


@asynccontextmanager
async def agents(installation: Installation, issuer: Replica, way: str) -> AsyncIterator[list[Agent]]:
    """Three agents on the log, or on the issuer's feed."""
    settings = AgentSettings(
        log=f"{issuer.url}/events" if way == "feed" else installation.settings.log,
        trust=installation.trust_file,
        audience=installation.settings.audience,
    )
    async with Agent(settings) as one, Agent(settings) as two, Agent(settings) as three:
        yield [one, two, three]


@pytest.mark.parametrize(
    ("store", "way"), [("sqlite", "sqlite"), ("postgresql", "sqlite"), ("sqlite", "kafka"), ("postgresql", "feed")]
)
async def test_a_file_of_tokens_is_refused_by_every_agent(
    request: pytest.FixtureRequest, tmp_path: Path, store: str, way: str
) -> None:
    url = request.getfixturevalue("postgresql_url") if store == "postgresql" else None
    log = None
    if way == "kafka":
        kafka: Service = request.getfixturevalue("kafka")
        log = own_topics(f"kafka://{kafka.address}", "test")
        assert log is not None
        await prepare_log(log, Retention())
    installation = await Installation.create(tmp_path, store=url, log=log, feed="open")
    async with installation.running() as issuer, agents(installation, issuer, way) as listening:
        real = [await issuer.token(installation.demo) for _ in range(3)]
        other = await issuer.token(installation.demo)
        lines = list(made_up(MANY))
        lines[100:100], lines[10_000:10_000], lines[-1:] = real[:1], real[1:2], real[2:]
        file = tmp_path / "leaked.txt"
        file.write_text("\n".join([*lines, lines[7]]) + "\n")

        ran = await revoke(installation, "--file", str(file), "--batch-size", "7000", "--wait", "30")

        assert ran.code == 0, ran.err
        said = ran.report
        assert (said["lines"], said["bad"], said["duplicates"]) == (MANY + 3, 0, 1)
        assert (said["tokens"], said["revoked"], said["batches"], said["published"]) == (MANY + 2, MANY + 2, 3, True)
        decided = await batches(issuer)
        assert said["events"] == [revocation["id"] for revocation in decided]
        assert [revocation["tokens"] for revocation in decided] == [7000, 7000, 6002]
        assert {revocation["reason"] for revocation in decided} == {"leaked"}
        for agent in listening:
            await until(lambda agent=agent: agent.status().digests == MANY + 2, "an agent knows all of it")  # type: ignore[misc]
            assert [rejection(agent, token) for token in [*real, other]] == ["revoked"] * 3 + [None]
        assert not list(tmp_path.glob("*.tocsin"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", "user,token\nalice,{0}\nbob,{1}\n"),
        ("x.jsonl", '{{"token": "{0}", "user": 7}}\n{{"token": "{1}"}}\n'),
        ("-", "{0}\n{1}\n"),
    ],
)
async def test_each_format_is_read_also_from_standard_input(
    installation: Installation, issuer: Replica, tmp_path: Path, name: str, content: str
) -> None:
    real = [await issuer.token(installation.demo) for _ in range(2)]
    text = content.format(*real)
    if name != "-":
        (tmp_path / name).write_text(text)

    ran = await revoke(installation, "--file", name, given=text.encode() if name == "-" else None)

    assert (ran.code, ran.report["revoked"]) == (0, 2), ran.err
    assert not any([await issuer.active(token, installation.demo) for token in real])


async def test_one_bad_line_stops_it_all_and_is_named_without_its_text(
    installation: Installation, issuer: Replica, tmp_path: Path
) -> None:
    good = await issuer.token(installation.demo)
    cut = (await issuer.token(installation.demo)).rpartition(".")[0]
    file = tmp_path / "leaked.txt"
    file.write_text("\n".join([good, cut, *["rubbish"] * 40, ""]))

    ran = await revoke(installation, "--file", str(file), "--errors", str(tmp_path / "errors"))

    assert (ran.code, ran.report["bad"], ran.report["revoked"]) == (2, 41, 0)
    assert ran.report["bad_lines"][0] == {"line": 2, "error": "it is no token: 2 parts between dots, not 3"}
    assert json.loads(ran.err)["error"] == "bad_lines"
    plain = await revoke(installation, "--file", str(file), as_json=False)
    assert "line 3: " in plain.err
    assert "and 21 more" in plain.err
    told = (tmp_path / "errors").read_text().splitlines()
    assert [int(line.partition(":")[0]) for line in told] == list(range(2, 43))
    texts = (ran.out, ran.err, plain.out, plain.err, *told)
    assert not any(secret in text for secret in ("rubbish", cut, good) for text in texts)
    assert await batches(issuer) == []
    assert await issuer.active(good, installation.demo)


async def test_bad_lines_are_left_out_when_that_is_said_and_the_exit_code_tells(
    installation: Installation, issuer: Replica, tmp_path: Path
) -> None:
    good = await issuer.token(installation.demo)
    (tmp_path / "leaked.txt").write_text(f"rubbish\n{good}\n")

    ran = await revoke(installation, "--file", "leaked.txt", "--skip-bad")

    assert (ran.code, ran.report["bad"], ran.report["revoked"]) == (3, 1, 1)
    assert not await issuer.active(good, installation.demo)


async def test_a_dry_run_asks_nobody(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "leaked.txt").write_text("\n".join(made_up(30)))

    ran = await revoke(installation, "--file", "leaked.txt", "--dry-run", "--batch-size", "20")

    assert ran.code == 0, ran.err
    assert (ran.report["tokens"], ran.report["batches"], ran.report["revoked"]) == (30, 2, 0)
    assert not (tmp_path / "leaked.txt.tocsin").exists()


@dataclass
class Interruption:
    """Of the run by the issuer: something happens when the third batch has been decided, before it is answered."""

    happens: Callable[[], object] = lambda: None
    decided: int = 0


@pytest.fixture
def interruption(monkeypatch: pytest.MonkeyPatch) -> Interruption:
    made, decide = Interruption(), RevocationService.revoke_digests

    async def revoke_digests(self: RevocationService, *batch: Any, **how: Any) -> Any:
        answer = await decide(self, *batch, **how)
        made.decided += 1
        if made.decided == 3:
            made.happens()
            await asyncio.sleep(0.5)
        return answer

    monkeypatch.setattr(RevocationService, "revoke_digests", revoke_digests)
    return made


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_a_run_that_was_killed_goes_on_and_nothing_is_decided_twice(
    installation: Installation, issuer: Replica, tmp_path: Path, interruption: Interruption, number: signal.Signals
) -> None:
    tokens = [await issuer.token(installation.demo), *made_up(1000)]
    (tmp_path / "leaked.txt").write_text("\n".join(tokens))
    arguments = ("--file", "leaked.txt", "--batch-size", "150", "--wait", "30")
    command = await start(installation, *arguments)
    interruption.happens = lambda: command.process.send_signal(number)
    killed = await command.end()
    if number is signal.SIGINT:
        assert (killed.code, killed.report["revoked"]) == (3, 300)
        assert "2 of 7 batches are revoked" in json.loads(killed.err)["detail"]
    else:
        assert killed.code == -signal.SIGKILL
    assert (tmp_path / "leaked.txt.tocsin").exists()

    ran = await revoke(installation, *arguments)

    assert ran.code == 0, ran.err
    said = ran.report
    assert (said["batches"], said["resumed"], said["repeated"], said["revoked"]) == (7, 2, 1, 1001)
    assert said["events"] == [revocation["id"] for revocation in await batches(issuer)]
    assert sorted(await in_events(installation)) == sorted(map(token_digest, tokens))
    assert not (tmp_path / "leaked.txt.tocsin").exists()


async def test_an_issuer_that_is_restarted_meanwhile_is_waited_for(
    installation: Installation, tmp_path: Path, interruption: Interruption
) -> None:
    tokens = list(made_up(1000))
    (tmp_path / "leaked.txt").write_text("\n".join(tokens))
    third = asyncio.Event()
    interruption.happens = third.set
    async with installation.running():
        command = await start(installation, "--file", "leaked.txt", "--batch-size", "150", "--wait", "30")
        await third.wait()
    async with installation.running() as issuer:
        ran = await command.end()

        assert ran.code == 0, ran.err
        assert ran.report["events"] == [revocation["id"] for revocation in await batches(issuer)]
        assert ran.report["retries"] > 0
        assert sorted(await in_events(installation)) == sorted(map(token_digest, tokens))


async def test_an_issuer_that_stays_away_is_told_with_what_is_done(
    installation: Installation, tmp_path: Path, interruption: Interruption
) -> None:
    (tmp_path / "leaked.txt").write_text("\n".join(made_up(1000)))
    arguments = ("--file", "leaked.txt", "--batch-size", "150")
    third = asyncio.Event()
    interruption.happens = third.set
    async with installation.running():
        command = await start(installation, *arguments, "--patience", "1")
        await third.wait()
    ran = await command.end()
    assert (ran.code, ran.report["revoked"], len(ran.report["events"])) in [(3, 300, 2), (3, 450, 3)]
    assert json.loads(ran.err)["error"] == "unreachable"
    assert "of 7 batches are revoked" in json.loads(ran.err)["detail"]


async def test_an_issuer_that_was_never_reached_leaves_nothing_to_go_on_with(
    installation: Installation, tmp_path: Path
) -> None:
    (tmp_path / "leaked.txt").write_text("\n".join(made_up(10)))

    ran = await revoke(installation, "--file", "leaked.txt", "--patience", "0.1")

    assert (ran.code, json.loads(ran.err)["error"], ran.report["revoked"]) == (1, "unreachable", 0)
    assert not (tmp_path / "leaked.txt.tocsin").exists()


async def test_a_file_that_has_changed_is_not_gone_on_with(
    installation: Installation, issuer: Replica, tmp_path: Path, interruption: Interruption
) -> None:
    (tmp_path / "leaked.txt").write_text("\n".join(made_up(1000)))
    command = await start(installation, "--file", "leaked.txt", "--batch-size", "150")
    interruption.happens = command.process.kill
    await command.end()
    (tmp_path / "leaked.txt").write_text("\n".join(made_up(1001)))

    ran = await revoke(installation, "--file", "leaked.txt", "--batch-size", "150")

    assert ran.code == 2
    assert "another content of the file, with 2 batches revoked" in json.loads(ran.err)["detail"]
    assert len(await batches(issuer)) == 3


async def test_an_operator_whose_token_is_revoked_meanwhile_gets_another(
    installation: Installation, issuer: Replica, tmp_path: Path, interruption: Interruption
) -> None:
    (tmp_path / "leaked.txt").write_text("\n".join(made_up(1000)))
    own: list[asyncio.Task[Any]] = []
    interruption.happens = lambda: own.append(asyncio.create_task(issuer.revoke(selector={"client_id": "operator"})))

    ran = await revoke(installation, "--file", "leaked.txt", "--batch-size", "150")

    assert (ran.code, ran.report["revoked"]) == (0, 1000), ran.err
    assert len(own) == 1
