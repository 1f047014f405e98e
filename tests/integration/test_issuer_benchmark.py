"""The benchmark of the issuer, on next to nothing, and the parts that it is made of."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import encode_basic_auth, web

from benchmarks import report
from benchmarks.benchmark import Document
from benchmarks.issuer import __main__ as issuer
from issuer.keys.generation import generate
from issuer.keys.signing import SigningKey
from tocsin.errors import CommandFailed
from tocsin.issuing.figures import Extent
from tocsin.issuing.goals import issuing_goals
from tocsin.issuing.load import Order, put
from tocsin.issuing.rates import CLAIMS, check
from tocsin.issuing.servers import ALGORITHMS, STARTED, Server
from tocsin.issuing.usage import usage_of
from tocsin.settings import Credentials

LITTLE = {"seconds": 0.2, "rounds": 1, "logins": 2, "burst": 20}


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Document:
    """What the benchmark has kept; nothing is fetched for Node."""
    monkeypatch.setattr(issuer, "node_program", lambda *_: None)
    kept = tmp_path / "measured.json"
    options = [text for name, value in LITTLE.items() for text in (f"--{name}", str(value))]
    issuer.BENCHMARK.main([*options, "--json", str(kept)])
    document: Document = msgspec.json.decode(kept.read_bytes())
    return document


def test_every_issuer_is_measured_and_every_figure_has_a_row(measured: Document) -> None:
    rates, waiting = issuer.tables(measured)
    goals = list(issuing_goals(measured))

    assert len(rates.rows) == len(ALGORITHMS) * len(STARTED)
    assert "oidc-provider (needs Node" in rates.title
    assert [row[0] for row in waiting.rows] == ["2 logins at once", "RS256 tokens as fast as can be"]
    assert len(goals) == 4
    assert measured["burst"] == 1
    page = (
        "<!-- figures: issuer_goals -->\n<!-- end of figures -->\n<!-- figures: issuer -->\n<!-- end of figures -->\n"
    )
    written = report.written(page, {"issuer": measured})
    assert written.count("| ES256 | Tocsin |") == 1
    assert goals[0].measured in written


def turns(*per_cpu: float) -> list[dict[str, float]]:
    return [{"per_cpu": each} for each in per_cpu]


@pytest.mark.parametrize(("ours", "met"), [((80, 160, 40), True), ((79, 158, 99), False)])
def test_each_turn_is_held_against_the_bare_one_of_its_round(ours: tuple[float, ...], met: bool) -> None:
    bare = turns(100, 200, 50 if met else 200)
    likes = {"tocsin-quiet": turns(*ours), "pyjwt": bare}
    logged = {"tocsin": turns(*ours), "pyjwt-logged": bare}
    rates = {**likes, **logged, "by-hand": turns(1, 1, 1), "another": turns(*ours)}

    goals = list(issuing_goals({"rates": {"ES256": rates}}))

    assert [goal.met for goal in goals] == [met, met, False]  # as many as another is not ahead


@pytest.mark.parametrize(("busy", "loads", "met"), [(20.0, 1, True), (20.1, 2, False)])
def test_a_missed_goal_is_called_missed(busy: float, loads: int, met: bool) -> None:
    times = {"calm": 10.0, "busy": busy, "calm_p50": 1.0, "busy_p50": 1.0}
    figures = {"extent": msgspec.to_builtins(Extent()), "logins": times, "burst": loads}

    assert [goal.met for goal in issuing_goals(figures)] == [met, met]


class Answering:
    """A server that answers as it is told, and counts the requests."""

    def __init__(self) -> None:
        self.status, self.streaming, self.port = 200, False, 0
        self.text = "." * 100_000
        self.bodies: list[str] = []
        self.takes: str | None = None  # any, when there is none

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.text())
        if self.streaming:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write_eof(b"no stated length")
            return response
        if self.takes not in (None, request.headers.get("Authorization")):
            return web.Response(status=401)
        return web.Response(status=self.status, text=self.text, content_type="application/json")

    def order(self, *bodies: str, **changes: float) -> Order:
        head = "POST /oauth2/token HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\n\r\n"
        requests = [(head + body).encode() for body in bodies or ("x=1",)]
        usual = {"connections": 3, "seconds": 60.0, "most": 5}
        return msgspec.convert({"port": self.port, "requests": requests, **usual, **changes}, Order)


@pytest.fixture
async def answering() -> AsyncIterator[Answering]:
    server = Answering()
    app = web.Application()
    app.router.add_post("/oauth2/token", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    yield server
    await runner.cleanup()


@pytest.mark.parametrize("pause", [0.0, 0.001])
async def test_the_load_is_what_was_ordered_and_every_answer_is_counted(answering: Answering, pause: float) -> None:
    load = await put(answering.order(pause=pause))

    assert answering.bodies == ["x=1"] * load.answers
    assert load.answers == 15
    assert load.refused == 0
    assert 0 < load.p50 <= load.p99 <= load.most


async def test_connections_send_what_is_ordered_by_turns(answering: Answering) -> None:
    await put(answering.order("x=1", "x=2", connections=4))

    assert sorted(answering.bodies) == ["x=1"] * 10 + ["x=2"] * 10


async def test_answers_other_than_200_are_told_apart(answering: Answering) -> None:
    answering.status = 401

    load = await put(answering.order())

    assert (load.answers, load.refused) == (0, 15)


async def test_the_load_ends_with_its_time(answering: Answering) -> None:
    load = await put(answering.order(seconds=0.0, most=1_000_000))

    assert load.answers == len(answering.bodies) == 3


async def test_an_answer_whose_end_cannot_be_told_fails_the_load(answering: Answering) -> None:
    answering.streaming = True

    with pytest.raises(CommandFailed, match="does not state its length"):
        await put(answering.order())


async def test_a_server_that_takes_any_secret_is_not_measured(answering: Answering) -> None:
    server = Server(os.getpid(), answering.port, {"ES256": Credentials("demo", "secret")})
    key, claims = generate("ES256"), dict.fromkeys(CLAIMS, "x")
    answering.text = json.dumps({"access_token": SigningKey(key).sign(claims, "at+jwt")})

    with pytest.raises(CommandFailed, match="answered 200 in place of 401"):
        await check(server, "ES256")


@pytest.mark.parametrize(("alg", "left_out"), [("EdDSA", ""), ("ES256", "jti")])
async def test_a_token_of_another_kind_is_not_measured(answering: Answering, alg: str, left_out: str) -> None:
    server = Server(os.getpid(), answering.port, {"ES256": Credentials("demo", "secret")})
    claims = dict.fromkeys(CLAIMS - {left_out}, "x")
    answering.takes = encode_basic_auth("demo", "secret")
    answering.text = json.dumps({"access_token": SigningKey(generate(alg)).sign(claims, "at+jwt")})

    with pytest.raises(CommandFailed, match="another kind"):
        await check(server, "ES256")


def test_what_a_process_uses_is_counted() -> None:
    before = usage_of(os.getpid())
    sum(number * number for number in range(3_000_000))
    after = usage_of(os.getpid())

    assert after.cpu > before.cpu
    assert after.resident > 1_000_000
