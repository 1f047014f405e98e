"""Keeps a program's configuration up to date, from the file and from Consul, for as long as the program runs."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from verifier_agent.clocks import Clock
from verifier_agent.consul.settings import ConsulSettings
from verifier_agent.errors import SettingInvalid
from verifier_agent.hot.configuration import CONSUL, HotConfiguration
from verifier_agent.hot.file_watch import FileWatch, on_hangup
from verifier_agent.hot.report import ConfigurationReport

if TYPE_CHECKING:
    from verifier_agent.consul.connection import ConsulConnection
    from verifier_agent.consul.watch import FolderWatch

log = logging.getLogger(__name__)


class Following:
    """What follows, while it does.

    Attributes:
        configuration: kept up to date.
        consul: the connection, where Consul is used.
    """

    def __init__(
        self,
        configuration: HotConfiguration,
        consul: "ConsulConnection | None" = None,
        watch: "FolderWatch | None" = None,
    ) -> None:
        self.configuration = configuration
        self.consul = consul
        self._watch = watch

    @property
    def has_heard(self) -> bool:
        """Whether everybody who is asked has said something since the start; what Consul said before counts."""
        return self._watch is None or self._watch.has_heard

    def report(self) -> ConfigurationReport:
        """What is in force, and what is not."""
        return self.configuration.report(None if self._watch is None else self._watch.status())


@asynccontextmanager
async def following(
    configuration: HotConfiguration,
    settings: ConsulSettings,
    folder: str,
    clock: Clock,
    *,
    hung_up: Callable[[], None] | None = None,
) -> AsyncIterator[Following]:
    """Follow the file and Consul; what Consul says at the beginning is in force when this returns.

    Args:
        configuration: to keep up to date.
        settings: where Consul is, if there is one.
        folder: of this kind of program, below Consul's prefix.
        clock: of this machine.
        hung_up: what else is to be done on SIGHUP.

    Raises:
        SettingInvalid: Consul is to be used, and its library is missing.
    """
    async with AsyncExitStack() as stack:
        file = None
        if configuration.sources.path is not None:
            file = FileWatch(configuration.sources.path, configuration, clock)
            await stack.enter_async_context(_running(file.run(), "tocsin-configuration-file"))
        await stack.enter_async_context(on_hangup(file, hung_up))
        if (place := settings.place()) is None:
            yield Following(configuration)
            return
        try:
            from verifier_agent.consul.connection import ConsulConnection
            from verifier_agent.consul.watch import FolderWatch
        except ImportError as error:
            raise SettingInvalid("setting 'consul' needs py-consul: install tocsin[consul]") from error
        connection = await stack.enter_async_context(ConsulConnection(place))
        configuration.name_remote(f"consul key {place.prefix}/{folder}/")
        watch = FolderWatch(
            connection,
            folder,
            lambda values: configuration.offer_remote(values, clock.now()),
            cache=settings.consul_cache and settings.consul_cache / f"consul-{folder}.json",
            refuse=lambda detail: configuration.refuse(CONSUL, detail, clock.now()),
        )
        await watch.recall()
        await watch.once()  # waits for a hanging Consul no longer than for any answer
        await stack.enter_async_context(_running(watch.run(), "tocsin-consul"))
        yield Following(configuration, connection, watch)


@asynccontextmanager
async def registered(
    consul: "ConsulConnection | None",
    settings: ConsulSettings,
    service: str,
    host: str,
    port: int,
    *,
    tls: bool = False,
) -> AsyncIterator[None]:
    """Be registered with Consul as ``service``, where the settings say so.

    Args:
        consul: the connection.
        settings: whether, and at which address.
        service: its name.
        host: address that it listens on.
        port: likewise.
        tls: whether it speaks TLS.
    """
    if consul is None or not settings.consul_register:
        yield
        return
    from verifier_agent.consul.registration import Registration

    registration = Registration(consul, service, settings.consul_address or host, port, tls=tls)
    async with _running(registration.run(), "tocsin-registration"):
        yield


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("configuration_watch_failed", exc_info=error, extra={"task": name})
