"""Registers this program as a service with Consul, with a health check, for as long as it runs."""

import asyncio
import logging
from typing import Any, Final

from consul import Check

from verifier_agent.consul.connection import ConsulConnection
from verifier_agent.consul.errors import ConsulUnavailable

log = logging.getLogger(__name__)

CHECK_SECONDS: Final = 5
GONE_AFTER: Final = "10m"
"""A program that was killed is taken off the list after this."""
LOOK_SECONDS: Final = 10.0
"""How soon a Consul that has lost its data knows the service again."""


class Registration:
    """One program as an instance of a service."""

    def __init__(
        self, connection: ConsulConnection, service: str, address: str, port: int, *, tls: bool = False
    ) -> None:
        """Set up; nothing is registered yet.

        Args:
            connection: to Consul.
            service: name of the service.
            address: at which others reach this instance.
            port: likewise.
            tls: whether it speaks TLS.
        """
        self.id = f"{service}-{address}-{port}"
        self._connection = connection
        self._service = service
        self._address = address
        self._port = port
        host = f"[{address}]" if ":" in address else address
        self._health = f"{'https' if tls else 'http'}://{host}:{port}/readyz"
        self._registered = False

    async def run(self) -> None:
        """Be registered until cancelled, then no more."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await asyncio.shield(self._leave())

    async def _look(self) -> None:
        """Register, unless Consul's agent knows us: another registration would restart the check."""
        try:
            known = await self._connection.ask(lambda api: api.agent.services())
            if self.id in known:
                return
            check = Check.http(self._health, f"{CHECK_SECONDS}s", timeout="2s", deregister=GONE_AFTER)
            await self._connection.ask(lambda api: self._register(api, check))
        except ConsulUnavailable as error:
            if self._registered:
                log.warning("consul_registration_unknown", extra={"service": self.id, "error": str(error)})
            self._registered = False
            return
        self._registered = True
        log.info("consul_registered", extra={"service": self.id})

    def _register(self, api: Any, check: dict[str, Any]) -> Any:
        return api.agent.service.register(
            self._service, service_id=self.id, address=self._address, port=self._port, check=check
        )

    async def _leave(self) -> None:
        try:
            await self._connection.ask(lambda api: api.agent.service.deregister(self.id))
        except ConsulUnavailable as error:
            log.warning("consul_not_deregistered", extra={"service": self.id, "error": str(error)})
