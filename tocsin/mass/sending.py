"""Sending the batches, each until it is answered."""

import asyncio
import base64
import random
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tocsin.admin_client import AdminClient, IssuerBusy
from tocsin.mass.checkpoint import Checkpoint
from tocsin.mass.progress import Progress
from tocsin.mass.sorted_digests import SortedDigests

FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 5.0
POLL_SECONDS: Final = 0.1
PATH: Final = "/admin/v1/revocations"


class Sent(msgspec.Struct):
    """What the issuer has answered.

    Attributes:
        events: ids of the revocations, in the order of their batches, those of an interrupted run included.
        resumed: how many of them an interrupted run had been answered.
        repeated: how many had been decided without our hearing the answer.
        lifted: ids of those that have been taken back meanwhile.
        retries: how often something was sent again.
        uncertain: whether something may have been decided of which no answer has told.
    """

    events: list[str]
    resumed: int = 0
    repeated: int = 0
    lifted: list[str] = []
    retries: int = 0
    uncertain: bool = False


class Sender:
    """Sends what the checkpoint does not know as answered."""

    def __init__(
        self,
        admin: AdminClient,
        digests: SortedDigests,
        checkpoint: Checkpoint,
        progress: Progress,
        *,
        patience: float,
        pause: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        """Set up.

        Args:
            admin: the issuer.
            digests: what to revoke, sorted.
            checkpoint: of the job.
            progress: is told.
            patience: seconds for which one batch is tried.
            pause: waits so many seconds.
        """
        self._admin = admin
        self._digests = digests
        self._checkpoint = checkpoint
        self._progress = progress
        self._patience = patience
        self._pause = pause
        self.sent = Sent(events=[], resumed=len(checkpoint.done))

    async def run(self) -> Sent:
        """Until every batch is answered.

        Raises:
            CommandFailed: the issuer refuses, or could not be reached for too long; the checkpoint has what is done.
        """
        size, done = self._checkpoint.job.batch_size, self._checkpoint.done
        batches = self._digests.batches(size)
        self._progress.phase("revoking", "batches", batches)
        for number in range(batches):
            if number not in done:
                answer = await self._until_answered(number, self._digests.batch(number, size))
                self._checkpoint.note(number, answer["id"])
            self._progress.at(len(done))
        self.sent.events = [done[number] for number in range(batches)]
        return self.sent

    async def wait_published(self, seconds: float) -> bool:
        """Whether the event log has acknowledged all of it by the end of so many seconds."""
        if not self.sent.events:
            return True
        newest = max(self.sent.events, key=lambda identifier: tuple(map(int, identifier.split("."))))
        deadline = time.monotonic() + seconds
        self._progress.phase("publishing", "batches")
        while True:
            try:
                if (await self._admin.get(f"{PATH}/{newest}"))["published"]:
                    return True
            except IssuerBusy:
                self.sent.retries += 1
            if time.monotonic() >= deadline:
                return False
            await self._pause(POLL_SECONDS)

    async def _until_answered(self, number: int, digests: bytes) -> Any:
        job, deadline, backoff = self._checkpoint.job, time.monotonic() + self._patience, FIRST_PAUSE
        body = {"reason": job.reason, "digests": base64.b64encode(digests).decode()}
        while True:
            try:
                answer, new = await self._admin.post_once(PATH, body, f"{job.name}.{number}")
            except IssuerBusy as busy:
                self.sent.uncertain |= busy.may_have_happened
                pause = max(busy.retry_after, backoff * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                if time.monotonic() + pause >= deadline:
                    raise
                if backoff == FIRST_PAUSE:
                    self._progress.note(f"batch {number + 1}: {busy}; trying for up to {self._patience:g} s")
                self.sent.retries += 1
                backoff = min(2 * backoff, LONGEST_PAUSE)
                await self._pause(pause)
            else:
                self.sent.repeated += not new
                if "lifted_by" in answer:
                    self.sent.lifted.append(answer["id"])
                return answer
