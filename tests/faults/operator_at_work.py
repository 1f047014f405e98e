"""An operator who revokes one token after the other, whatever is broken."""

import asyncio
import time
from typing import Final

import aiohttp
import msgspec

from tests.faults.verdict import Decision
from tests.issuer_under_test import IssuerClient, unverified

DECIDE_SECONDS: Final = 1.0


class OperatorAtWork:
    """Decides revocations, by a token's text and by its identifier in turn.

    Attributes:
        decisions: all that were asked for.
    """

    def __init__(self, client: IssuerClient, operator_token: str, victims: dict[str, str]) -> None:
        """Set up.

        Args:
            client: the issuer.
            operator_token: that lets revoke; there may be no other during a fault.
            victims: tokens to be revoked, by name.
        """
        self.decisions: list[Decision] = []
        self._client = client
        self._token = operator_token
        self._victims = victims
        self._left = iter(victims.items())
        self._tasks: list[asyncio.Task[None]] = []

    async def work(self, phase: str, seconds: float) -> None:
        """One each second, for so long; nothing is waited for."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while clock() < end:
            self._tasks.append(asyncio.create_task(self._decide(phase)))
            await asyncio.sleep(min(DECIDE_SECONDS, max(0.0, end - clock())))

    async def done(self) -> None:
        """Wait for all answers."""
        await asyncio.gather(*self._tasks)

    def decided(self) -> dict[str, str]:
        """The tokens whose revocation was acknowledged."""
        return {each.victim: self._victims[each.victim] for each in self.decisions if each.answered is not None}

    def count(self) -> list[int]:
        """How many were acknowledged before, during and after the fault."""
        answered = [each.phase for each in self.decisions if each.answered is not None]
        return [answered.count(phase) for phase in ("before", "during", "after")]

    async def _decide(self, phase: str) -> None:
        name, token = next(self._left)
        decision = Decision(victim=name, phase=phase, asked=time.time())
        self.decisions.append(decision)
        named = {"token": token} if len(self.decisions) % 2 else {"selector": {"jti": unverified(token)["jti"]}}
        try:
            answer = await self._client.admin(
                "POST", "/revocations", {"reason": "fault matrix", **named}, token=self._token
            )
        except (aiohttp.ClientError, TimeoutError):
            return
        if answer.status == 201:
            decision.answered = time.time()
        elif answer.status < 500:
            raise AssertionError(f"the issuer answered {answer.status}: {msgspec.json.decode(answer.body)}")
