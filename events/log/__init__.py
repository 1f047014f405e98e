"""The event logs, chosen by URL: ``memory:``, ``sqlite:///file``, ``kafka://host:port`` and ``https://host/events``."""

from urllib.parse import urlsplit

from events.errors import LogMisconfigured
from events.log.protocol import Entry, EventLog, NumberedLog
from events.log.retention import Retention
from events.log.shared import SharedLog

__all__ = ["Entry", "EventLog", "NumberedLog", "Retention", "SharedLog", "open_log", "prepare_log"]

_NEEDS_KAFKA = "kafka:// needs the extra: pip install 'tocsin[kafka]'"
_NEEDS_HTTP = "https:// needs the extra: pip install 'tocsin[sidecar]'"


def open_log(url: str, retention: Retention | None = None) -> EventLog:
    """The log at ``url``. Nothing is connected or created before the first call of one of its methods.

    Args:
        url: ``memory:`` (this process alone), ``sqlite:///relative.db``, ``sqlite:////absolute.db``, or
            ``kafka://[user:password@]host:port[,host:port…][?option=value…]``, see ``KafkaSettings``, or, to be read
            alone, an issuer's feed ``https://[client:secret@]host[:port]/events[?option=value…]``, see
            ``FeedSettings``.
        retention: how long what is appended must be kept; what is shorter in the log is reported by ``check``.

    Raises:
        LogMisconfigured: no such kind of log, a URL it cannot use, or its extra is not installed.
    """
    retention = retention or Retention()
    name, colon, _ = url.partition(":")
    scheme = name.lower() if colon else ""
    if scheme == "memory":
        from events.log.memory import MemoryLog

        return MemoryLog()
    if scheme == "sqlite":
        from events.log.sqlite import SqliteLog

        return SqliteLog.at(url, retention)
    if scheme == "kafka":
        try:
            from events.log.kafka import KafkaLog
        except ImportError as error:
            raise LogMisconfigured(_NEEDS_KAFKA) from error

        return KafkaLog.at(url, retention)
    if scheme in ("https", "http"):
        try:
            from events.log.feed import FeedLog
        except ImportError as error:
            raise LogMisconfigured(_NEEDS_HTTP) from error

        return FeedLog.at(url)
    raise LogMisconfigured(
        f"no event log has the scheme {scheme!r}; there are memory:, sqlite:///, kafka:// and https://"
    )


async def prepare_log(url: str, retention: Retention) -> list[str]:
    """Make what a log needs before its first use, and name what was made: Kafka's topics; other logs need nothing.

    Raises:
        LogMisconfigured: as ``open_log``, or the broker refuses.
        LogUnavailable: it cannot be reached.
    """
    if urlsplit(url).scheme != "kafka":
        return []
    try:
        from events.log.kafka_settings import KafkaSettings
        from events.log.kafka_topics import KafkaTopics
    except ImportError as error:
        raise LogMisconfigured(_NEEDS_KAFKA) from error

    return await KafkaTopics(KafkaSettings.parse(url), retention).create()
