"""Logs: structured events with constant names, as JSON or for people. Programs set them up once."""

import logging
import sys
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog
from aiohttp.http_exceptions import HttpProcessingError

from tocsin.settings import LogSettings
from verifier_agent.hot import HotConfiguration

_OF_EVERY_RECORD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def set_up(settings: LogSettings) -> None:
    """Send every log record of this process to standard error, in one form.

    The libraries log with the standard library: the event's name as message, its fields as ``extra``.
    """
    as_json = settings.log_format == "json" or (settings.log_format is None and not sys.stderr.isatty())
    steps: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if as_json:
        final: list[structlog.types.Processor] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    else:
        # Not its own tracebacks, where rich is there: those show local variables, among them tokens and keys.
        final = [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    kind = _JsonFormatter if as_json else structlog.stdlib.ProcessorFormatter
    formatter = kind(
        foreign_pre_chain=steps, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final]
    )
    # Nothing of this is in our lines, and it is a good part of what a line costs (logging's howto, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    for noisy in ("aiokafka", "alembic", "aiosqlite", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    # aiokafka reports each failed connection as an error; what it means for us is logged where it matters.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    logging.getLogger("aiohttp.server").addFilter(_is_our_fault)


class _JsonFormatter(structlog.stdlib.ProcessorFormatter):
    """The same lines in half the time where nothing is odd about them: an issuer writes one for each request."""

    def format(self, record: logging.LogRecord) -> str:
        if record.exc_info or record.stack_info or not isinstance(record.msg, str):
            return super().format(record)
        fields = {name: value for name, value in record.__dict__.items() if name not in _OF_EVERY_RECORD}
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        line = {
            **fields,
            "event": record.getMessage(),
            **structlog.contextvars.get_contextvars(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": moment,
        }
        try:
            text = msgspec.json.encode(line, enc_hook=repr).decode()
        except (TypeError, ValueError, RecursionError):  # what JSON has no word for, and a lone surrogate
            return super().format(record)
        # Standard error may be for ASCII alone, and what it made of other letters would be no JSON any more.
        return text if text.isascii() else super().format(record)


def follow(configuration: HotConfiguration) -> None:
    """Set up, and change the level whenever the configuration does."""
    live = configuration.live(LogSettings)
    set_up(live.now)

    def changed(names: frozenset[str]) -> None:
        if names & LogSettings.HOT:
            logging.getLogger().setLevel(live.now.log_level)

    configuration.also_tell(changed)


def _is_our_fault(record: logging.LogRecord) -> bool:
    """Whether it is more than a stranger's bytes that are no HTTP: those come with a traceback that quotes them."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
