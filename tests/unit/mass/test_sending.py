"""Each batch until it is answered, and no longer than patience lasts."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tocsin.admin_client import IssuerBusy
from tocsin.errors import CommandFailed
from tocsin.mass.checkpoint import Checkpoint
from tocsin.mass.progress import Progress
from tocsin.mass.sending import Sender
from tocsin.mass.sorted_digests import SortedDigests

DIGESTS = [7, 8, 9, 10, 11]


class Issuer:
    """Decides batches by their keys, as the real one does, unless it is told to fail first.

    Attributes:
        decided: by key, the digests.
        asked: every key that came.
    """

    def __init__(self) -> None:
        self.decided: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.failures: list[Exception] = []
        self.lose_answers = 0
        self.published_after = 0

    async def post_once(self, path: str, body: dict[str, str], key: str) -> tuple[dict[str, Any], bool]:
        assert path == "/admin/v1/revocations"
        self.asked.append(key)
        if self.failures:
            raise self.failures.pop(0)
        new = key not in self.decided
        self.decided.setdefault(key, base64.b64decode(body["digests"]))
        if self.lose_answers:
            self.lose_answers -= 1
            raise IssuerBusy("lost", code="unreachable")
        return {"id": f"1.{9 + list(self.decided).index(key)}"}, new

    async def get(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        self.published_after -= 1
        return {"published": self.published_after < 0}


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def digests() -> Iterator[SortedDigests]:
    with SortedDigests() as made:
        made.add(b"".join(digest.to_bytes(8) for digest in DIGESTS))
        made.sort()
        yield made


def checkpoint(path: Path | None, digests: SortedDigests) -> Checkpoint:
    return Checkpoint.open(path, fingerprint=digests.fingerprint, batch_size=2, issuer="i", reason="r")


def sender(
    issuer: Issuer, digests: SortedDigests, at: Checkpoint, *, patience: float = 60.0
) -> tuple[Sender, list[float]]:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    made = Sender(issuer, digests, at, Progress(quiet=True), patience=patience, pause=pause)  # type: ignore[arg-type]
    return made, pauses


async def test_every_digest_is_sent_once_in_batches_under_keys_of_their_own(
    issuer: Issuer, digests: SortedDigests
) -> None:
    sending, pauses = sender(issuer, digests, checkpoint(None, digests))

    sent = await sending.run()

    assert (sent.events, sent.retries, pauses) == (["1.9", "1.10", "1.11"], 0, [])
    assert b"".join(issuer.decided.values()) == b"".join(digest.to_bytes(8) for digest in DIGESTS)
    assert len(set(issuer.asked)) == len(issuer.asked) == 3


async def test_while_the_issuer_is_away_it_is_tried_again_ever_more_rarely(
    issuer: Issuer, digests: SortedDigests
) -> None:
    issuer.failures = [IssuerBusy("away", code="unreachable") for _ in range(8)]
    sending, pauses = sender(issuer, digests, checkpoint(None, digests))

    sent = await sending.run()

    assert (len(sent.events), sent.retries, len(pauses)) == (3, 8, 8)
    assert pauses[0] <= 0.25 < pauses[3] <= 2
    assert max(pauses) <= 5


async def test_who_says_when_to_come_again_is_not_asked_before(issuer: Issuer, digests: SortedDigests) -> None:
    issuer.failures = [IssuerBusy("full", code="temporarily_unavailable", retry_after=7)]
    sending, pauses = sender(issuer, digests, checkpoint(None, digests))

    await sending.run()

    assert pauses == [7]


async def test_a_batch_whose_answer_was_lost_is_decided_once(issuer: Issuer, digests: SortedDigests) -> None:
    issuer.lose_answers = 2
    sending, _ = sender(issuer, digests, checkpoint(None, digests))

    sent = await sending.run()

    assert (sent.events, sent.repeated, sent.retries) == (["1.9", "1.10", "1.11"], 1, 2)


async def test_patience_ends_and_the_next_run_goes_on(issuer: Issuer, digests: SortedDigests, tmp_path: Path) -> None:
    with checkpoint(tmp_path / "c", digests) as at:
        sending, _ = sender(issuer, digests, at, patience=0)
        at.note(0, "1.9")
        issuer.failures = [IssuerBusy("away", code="unreachable")]
        with pytest.raises(IssuerBusy):
            await sending.run()
    with checkpoint(tmp_path / "c", digests) as at:
        sending, _ = sender(issuer, digests, at)
        sent = await sending.run()

    assert sent.resumed == 1
    assert sent.events[0] == "1.9"
    assert len(issuer.decided) == 2  # the first was not sent again


async def test_a_refusal_is_not_tried_again(issuer: Issuer, digests: SortedDigests) -> None:
    issuer.failures = [CommandFailed("insufficient_scope")]
    sending, pauses = sender(issuer, digests, checkpoint(None, digests))

    with pytest.raises(CommandFailed, match="insufficient_scope"):
        await sending.run()
    assert (len(issuer.asked), pauses) == (1, [])


async def test_the_newest_of_them_tells_when_all_are_published(issuer: Issuer, digests: SortedDigests) -> None:
    sending, pauses = sender(issuer, digests, checkpoint(None, digests))
    await sending.run()
    issuer.published_after = 3

    assert await sending.wait_published(30)
    assert issuer.asked[-1] == "/admin/v1/revocations/1.11"
    assert len(pauses) == 3
    issuer.published_after = 1
    assert not await sending.wait_published(0)
