"""Tokens that clients give back (RFC 7009), committed in groups: many callers, one transaction, one event a client.

A client that gives back a thousand tokens a second costs one commit for all that came while the one before was at it,
and the writer's urgent queue is not this one: an operator waits for one group at most. Each client has an event of its
own in the group, so that the audit trail says who decided, and a lift takes back nobody else's.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from events.digests import TokenDigest
from issuer.errors import OAuthError, StoreUnavailable
from issuer.revocations import RevocationService, TokenBatch

log = logging.getLogger(__name__)

MOST_CLIENTS: Final = 64
"""In one group: each has an event to sign and to write."""
MOST_TOKENS: Final = 10_000
"""In one group, below ``events.digests.BATCH_LIMIT``."""
MOST_WAITING: Final = 40_000
"""Tokens that are gathered while the store does not take them."""
WAIT_SECONDS: Final = 15.0
"""Longest that a caller waits for his group."""
AT_ONCE: Final = 8
"""Requests whose client is being authenticated: more would have the event loop do a little of each before it comes to
anybody else."""
RETRY_AFTER: Final = 2.0
REASON: Final = "revoked by its client"


class _Group:
    """Tokens that will be committed together, and what their callers wait for."""

    def __init__(self) -> None:
        self.batches: dict[str, dict[TokenDigest, float]] = {}
        self.size = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def takes(self, client_id: str) -> bool:
        return self.size < MOST_TOKENS and (client_id in self.batches or len(self.batches) < MOST_CLIENTS)

    def holds(self, client_id: str, digest: TokenDigest) -> bool:
        return digest in self.batches.get(client_id, ())

    def add(self, client_id: str, digest: TokenDigest, expires_at: float) -> None:
        self.batches.setdefault(client_id, {})[digest] = expires_at
        self.size += 1

    def as_batches(self) -> list[TokenBatch]:
        return [
            TokenBatch(tokens=tokens, reason=REASON, actor=f"client {client_id}")
            for client_id, tokens in self.batches.items()
        ]


class SelfService:
    """Gathers what clients give back, and commits it group by group.

    Attributes:
        groups: committed so far.
        tokens: in them.
        failed: groups whose callers were told to try again.
    """

    def __init__(self, revocations: RevocationService) -> None:
        self._revocations = revocations
        self._open: deque[_Group] = deque()
        self._committing: _Group | None = None
        self._gathered = asyncio.Event()
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self.groups = 0
        self.tokens = 0
        self.failed = 0

    @property
    def waiting(self) -> int:
        """Tokens that have not been committed yet."""
        return sum(group.size for group in self._groups())

    @asynccontextmanager
    async def one_of_few(self) -> AsyncIterator[None]:
        """A place among those that are being looked at, for as long as the block lasts; waiting costs the loop nothing.

        Raises:
            StoreUnavailable: there was none for too long, so the store does not answer those before.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._at_once.acquire()
        except TimeoutError as error:
            raise StoreUnavailable("too many clients wait to be authenticated") from error
        try:
            yield
        finally:
            self._at_once.release()

    async def revoke(self, client_id: str, digest: TokenDigest, expires_at: float) -> None:
        """Revoke a token of the client's; returns when that is durable. One that is being revoked is not twice.

        Args:
            client_id: whose it is.
            digest: of the token.
            expires_at: the token's ``exp``, seconds since the epoch.

        Raises:
            StoreUnavailable: the store does not answer; it may or may not have happened.
            OAuthError: ``temporarily_unavailable``, as too many wait already.
        """
        group = next((group for group in self._groups() if group.holds(client_id, digest)), None)
        if group is None:
            group = self._place_for(client_id)
            group.add(client_id, digest, expires_at)
            self._gathered.set()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await asyncio.shield(group.done)  # a caller that leaves takes nobody with it
        except TimeoutError as error:
            raise StoreUnavailable(f"the store did not take it within {WAIT_SECONDS:.0f} s") from error

    async def run(self) -> None:
        """Commit group after group, until cancelled."""
        try:
            while True:
                await self._gathered.wait()
                self._gathered.clear()
                while self._open:
                    await self._commit(self._open[0])
        finally:
            for group in self._open:
                group.done.cancel()

    async def _commit(self, group: _Group) -> None:
        """Commit a group and answer its callers, with the error where there is one."""
        try:
            await self._revocations.revoke_batches(lambda: self._close(group))
        except asyncio.CancelledError:
            group.done.cancel()
            raise
        except StoreUnavailable as error:
            self._fail(group, error)
        except Exception as error:  # nobody expected it: logged whole, and its callers are told to try again
            log.exception("self_service_group_failed", extra={"tokens": group.size})
            self._fail(group, StoreUnavailable(f"a group of revocations failed: {type(error).__name__}"))
        else:
            self.groups += 1
            self.tokens += group.size
            group.done.set_result(None)
        finally:
            self._committing = None
            if self._open and self._open[0] is group:  # it failed before it was closed
                self._open.popleft()

    def _fail(self, group: _Group, error: StoreUnavailable) -> None:
        group.done.set_exception(error)
        group.done.exception()  # looked at: all callers may have left
        self.failed += 1

    def _close(self, group: _Group) -> list[TokenBatch]:
        """Its transaction has begun: who comes now is in the next."""
        self._open.popleft()
        self._committing = group
        return group.as_batches()

    def _groups(self) -> list[_Group]:
        return [*self._open, self._committing] if self._committing is not None else list(self._open)

    def _place_for(self, client_id: str) -> _Group:
        if self.waiting >= MOST_WAITING:
            raise OAuthError(
                "temporarily_unavailable", "too many revocations wait", status=503, retry_after=RETRY_AFTER
            )
        if not self._open or not self._open[-1].takes(client_id):
            self._open.append(_Group())
        return self._open[-1]
