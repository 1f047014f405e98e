"""People who use tokens while things break: good ones, and ones that are revoked all the while."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from events import RefusalCode, Stream, UnverifiedEvent
from events.streams import SEQUENCED
from tests.issuer_under_test import Credentials, IssuerClient, rejection, until
from verifier_agent import Agent, Outcome, RejectionCode

PAUSE_SECONDS: Final = 0.05
PATIENCE: Final = 60.0
"""Seconds within which everybody knows everything, a broker's start included."""


class UsersOfTokens:
    """They revoke token after token at an issuer, and use all of them at an agent.

    Attributes:
        revoked: tokens whose revocation has been answered.
        wrong: what an agent must never say, and has said.
        took_effect: how often each event of the sequenced streams did.
    """

    def __init__(self, issuer: IssuerClient, client: Credentials, agent: Agent) -> None:
        self.revoked: list[str] = []
        self.wrong: list[str] = []
        self.took_effect: Counter[tuple[Stream, int]] = Counter()
        self._issuer = issuer
        self._client = client
        self._agent = agent
        self._apply = agent.verifier.apply
        agent.verifier.apply = self._watched_apply  # type: ignore[method-assign]

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Go on until the end of the context, and then until everything is known."""
        good = [await self._issuer.token(self._client) for _ in range(3)]
        tasks = [asyncio.create_task(self._revoke()), asyncio.create_task(self._use(good))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            assert task.cancelled(), task.exception()
        await until(self.all_are_refused, "what was revoked last is refused", PATIENCE)
        await until(lambda: not self._agent.status().holes, "everything is known", PATIENCE)

    async def hear_of(self, more: int) -> None:
        """Wait until so many further revocations have been decided, and each is enforced."""
        enough = len(self.revoked) + more
        await until(lambda: len(self.revoked) >= enough, "people go on revoking", PATIENCE)
        await until(self.all_are_refused, "what was revoked is refused", PATIENCE)

    def all_are_refused(self) -> bool:
        """Whether the agent refuses everything whose revocation has been answered."""
        return all(rejection(self._agent, token) is RejectionCode.REVOKED for token in self.revoked[-50:])

    async def _revoke(self) -> None:
        while True:
            token = await self._issuer.token(self._client)
            await self._issuer.revoke(token=token)
            self.revoked.append(token)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _use(self, good: list[str]) -> None:
        refused = 0
        while True:
            self.wrong += [f"a good token: {code}" for token in good if (code := rejection(self._agent, token))]
            while refused < len(self.revoked) and rejection(self._agent, self.revoked[refused]):
                refused += 1
            accepted = sum(rejection(self._agent, token) is None for token in self.revoked[:refused])
            self.wrong += ["a token that was refused before is accepted"] * accepted
            await asyncio.sleep(PAUSE_SECONDS)

    def _watched_apply(self, stream: Stream, raw: UnverifiedEvent | bytes, **received: Any) -> Outcome | RefusalCode:
        outcome = self._apply(stream, raw, **received)
        seq = self._agent.verifier.seq_of(stream, raw)
        if outcome is Outcome.APPLIED and stream in SEQUENCED and seq is not None:
            self.took_effect[stream, seq] += 1
        return outcome
