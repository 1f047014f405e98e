"""Log lines as JSON: the quick way and the long way write the same."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tocsin import logs
from tocsin.settings import LogSettings

log = logging.getLogger("tests.of.logs")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Standard error, with this process's logging set up as a program's, and put back afterwards."""
    root, err = logging.getLogger(), io.StringIO()
    before, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in ("aiokafka", "alembic", "aiosqlite", "asyncio")}
    monkeypatch.setattr("sys.stderr", err)
    logs.set_up(LogSettings(log_format="json"))
    yield err
    root.handlers = before
    root.setLevel(level)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)
    logging.getLogger("aiohttp.server").removeFilter(logs._is_our_fault)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"status": 200, "seconds": 0.0125, "client_id": None, "ok": True},
        {"name_of": "M\N{LATIN SMALL LETTER U WITH DIAERESIS}ller", "odd": "\ud800", "quoted": '"\n\\'},
        {"listed": [1, "two", {"three": 3}], "kind": complex(1, 2), "big": 2**70},
    ],
)
def test_the_quick_way_and_the_long_way_write_the_same(
    written: io.StringIO, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        log.warning("happened %s", "twice", extra=fields)
        monkeypatch.setattr(logs._JsonFormatter, "format", structlog.stdlib.ProcessorFormatter.format)
        log.warning("happened %s", "twice", extra=fields)

    quick, long = (json.loads(line) for line in written.getvalue().splitlines())
    for told in (quick, long):
        assert told.pop("timestamp").endswith("Z")
    assert quick == long
    assert quick["event"] == "happened twice"
    assert quick["request_id"] == "r1"


def test_a_line_is_ascii_whatever_is_in_it(written: io.StringIO) -> None:
    log.warning("happened", extra={"name_of": "M\N{LATIN SMALL LETTER U WITH DIAERESIS}ller"})

    assert written.getvalue().isascii()


def test_a_traceback_is_in_one_line(written: io.StringIO) -> None:
    try:
        raise ValueError("a mistake")
    except ValueError:
        log.exception("failed", extra={"n": 1})

    [line] = written.getvalue().splitlines()
    told = json.loads(line)
    assert (told["event"], told["n"], told["level"]) == ("failed", 1, "error")
    assert "ValueError: a mistake" in told["exception"]
