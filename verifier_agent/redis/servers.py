"""redis-py's clients, set so that none of them waits, tries again or speaks of itself when not asked to."""

from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeAlias

from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from verifier_agent.configuration import Secret
from verifier_agent.redis.settings import Deployment, RedisPlace

Command: TypeAlias = tuple[str | bytes | int, ...]

CONNECT_SECONDS: Final = 0.1
"""To connect, TLS and login included; as long as an answer may take, where that is longer."""
MAX_CONNECTIONS: Final = 4


class Servers(Protocol):
    """Redis, however many servers it is."""

    async def send(self, commands: Sequence[Command], node: object = None) -> list[Any]:
        """Send them in one go, and return the answers; an error answer is an exception among them."""

    async def begin_anew(self) -> None:
        """Forget what was found out about the servers, after a failure."""

    async def nodes(self) -> Sequence[object]:
        """Whom to ask in turn for what concerns all keys."""

    async def close(self) -> None:
        """Close all connections."""


def servers_at(place: RedisPlace, answer_seconds: float) -> Servers:
    """The servers at a place; nothing is connected yet.

    Args:
        place: where they are.
        answer_seconds: how long one answer may take.
    """
    if place.deployment is Deployment.SENTINEL:
        return WatchedMaster(place, answer_seconds)
    if place.deployment is Deployment.CLUSTER:
        return Cluster(place, answer_seconds)
    return OneServer(place, answer_seconds)


class OneServer:
    """One server, or whatever stands for one."""

    def __init__(self, place: RedisPlace, answer_seconds: float) -> None:
        ((host, port),) = place.hosts
        options = _options(answer_seconds) | _login(place.user, place.password) | _tls(place)
        if place.tls:
            options["connection_class"] = SSLConnection
        self._pool = BlockingConnectionPool(
            host=host,
            port=port,
            db=place.database,
            max_connections=MAX_CONNECTIONS,
            timeout=answer_seconds + connect_seconds(answer_seconds),
            **options,
        )
        self._client = Redis(connection_pool=self._pool)

    async def send(self, commands: Sequence[Command], node: object = None) -> list[Any]:
        """See ``Servers.send``; there is only one to send to."""
        del node
        return await _pipelined(self._client, commands)

    async def begin_anew(self) -> None:
        """Connect again: the name may stand for another server by now."""
        await self._pool.disconnect(inuse_connections=False)

    async def nodes(self) -> Sequence[object]:
        """This one."""
        return [None]

    async def close(self) -> None:
        """See ``Servers.close``."""
        await self._pool.disconnect()


class WatchedMaster:
    """The master that sentinels name."""

    def __init__(self, place: RedisPlace, answer_seconds: float) -> None:
        options = _options(answer_seconds)
        secure = {"ssl": True} | _tls(place) if place.tls else {}
        self._sentinel = Sentinel(  # type: ignore[no-untyped-call]
            place.hosts,
            sentinel_kwargs=options | _login(place.sentinel_user, place.sentinel_password) | secure,
        )
        self._client: Redis = self._sentinel.master_for(
            place.master, db=place.database, **options, **_login(place.user, place.password), **secure
        )

    async def send(self, commands: Sequence[Command], node: object = None) -> list[Any]:
        """See ``Servers.send``; the master is the only one to send to."""
        del node
        return await _pipelined(self._client, commands)

    async def begin_anew(self) -> None:
        """Ask the sentinels again."""
        await self._client.connection_pool.disconnect(inuse_connections=False)

    async def nodes(self) -> Sequence[object]:
        """The master."""
        return [None]

    async def close(self) -> None:
        """See ``Servers.close``."""
        await self._client.aclose()
        await self._sentinel.aclose()


class Cluster:
    """The nodes of a cluster; each command goes where its keys lie."""

    def __init__(self, place: RedisPlace, answer_seconds: float) -> None:
        options = _options(answer_seconds) | _login(place.user, place.password) | _tls(place)
        self._client = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in place.hosts],
            max_connections=MAX_CONNECTIONS,
            ssl=place.tls,
            **options,
        )

    async def send(self, commands: Sequence[Command], node: object = None) -> list[Any]:
        """See ``Servers.send``.

        Args:
            commands: each with keys of one slot.
            node: one of ``nodes``, for commands without keys.
        """
        await self._client.initialize()
        pipeline = self._client.pipeline()
        for command in commands:
            pipeline.execute_command(*command, **({} if node is None else {"target_nodes": node}))
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers

    async def begin_anew(self) -> None:
        """Find out again which node has which keys."""
        await self._client.aclose()

    async def nodes(self) -> Sequence[object]:
        """All that take writes."""
        await self._client.initialize()
        return list(self._client.get_primaries())

    async def close(self) -> None:
        """See ``Servers.close``."""
        await self._client.aclose()


async def _pipelined(client: Redis, commands: Sequence[Command]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    answers: list[Any] = await pipeline.execute(raise_on_error=False)
    return answers


def connect_seconds(answer_seconds: float) -> float:
    """How long connecting may take, of a server whose answers may take ``answer_seconds``."""
    return max(CONNECT_SECONDS, answer_seconds)


def _options(answer_seconds: float) -> dict[str, Any]:
    return {
        "socket_timeout": answer_seconds,
        "socket_connect_timeout": connect_seconds(answer_seconds),
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,  # one round trip less to connect
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        "driver_info": None,
        "decode_responses": False,
    }


def _login(user: Secret | None, password: Secret | None) -> dict[str, Any]:
    return {"username": user and user.reveal(), "password": password and password.reveal()}


def _tls(place: RedisPlace) -> dict[str, Any]:
    return {"ssl_ca_certs": place.ca} if place.tls else {}
