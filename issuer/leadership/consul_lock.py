"""The lock as a key that a Consul session holds. Consul drops the session when it is not renewed."""

from typing import Any, Final

from consul.exceptions import NotFound

from issuer.leadership.leader_lock import LockUnavailable
from verifier_agent.consul.connection import ConsulConnection
from verifier_agent.consul.errors import ConsulUnavailable

KEY: Final = "issuer-leader"
SESSION_SECONDS: Final = 10
"""The least that Consul takes."""


class ConsulLock:
    """See ``LeaderLock``."""

    def __init__(self, connection: ConsulConnection, holder: str, key: str = KEY) -> None:
        """Set up; nothing is asked yet.

        Args:
            connection: to Consul.
            holder: name of this process, for people who look.
            key: below the prefix, and in none of the folders that configuration is in.
        """
        self.seconds = float(SESSION_SECONDS)
        self._connection = connection
        self._holder = holder
        self._key = f"{connection.place.prefix}/{key}"
        self._session: str | None = None

    async def held(self) -> bool:
        """See ``LeaderLock``."""
        try:
            session = await self._renewed() or await self._connection.ask(self._create)
            self._session = session
            return bool(await self._connection.ask(lambda api: api.kv.put(self._key, self._holder, acquire=session)))
        except ConsulUnavailable as error:
            if "invalid session" in str(error):  # it ran out, or Consul lost it, between two calls
                self._session = None
            raise LockUnavailable(f"Consul: {error}") from error

    async def release(self) -> None:
        """See ``LeaderLock``."""
        session, self._session = self._session, None
        if session is None:
            return
        try:
            await self._connection.ask(lambda api: api.session.destroy(session))
        except ConsulUnavailable as error:
            raise LockUnavailable(f"Consul: {error}") from error

    def _create(self, api: Any) -> Any:
        # No delay after a holder is gone, and no health check: what a late holder does is fenced off in the store.
        return api.session.create(f"tocsin {self._holder}"[:64], checks=[], lock_delay=0, ttl=SESSION_SECONDS)

    async def _renewed(self) -> str | None:
        session = self._session
        if session is None:
            return None

        async def renew(api: Any) -> bool:
            try:
                await api.session.renew(session)
            except NotFound:
                return False
            return True

        return session if await self._connection.ask(renew) else None
