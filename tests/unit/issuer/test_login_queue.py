"""The line of those who log in: a few at once, and of bounded length."""

import asyncio

import pytest

from issuer.errors import OAuthError
from issuer.users.login_queue import RETRY_SECONDS, LoginQueue


class Counter:
    """People who log in, each until told to leave."""

    def __init__(self, queue: LoginQueue) -> None:
        self.queue = queue
        self.inside: list[str] = []
        self.leave = asyncio.Event()

    async def come(self, name: str) -> None:
        async with self.queue.turn():
            self.inside.append(name)
            await self.leave.wait()


async def settled() -> None:
    """Every task has come to where it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_finds_the_line_full_is_told_at_once_when_to_come_again() -> None:
    queue = LoginQueue(at_work=1, most_waiting=2)
    counter = Counter(queue)
    async with asyncio.TaskGroup() as people:
        for name in ("first", "second", "third"):
            people.create_task(counter.come(name))
        await settled()
        with pytest.raises(OAuthError) as refused:
            await counter.come("fourth")
        assert (queue.waiting, queue.refused) == (2, 1)
        counter.leave.set()

    assert (refused.value.error, refused.value.status) == ("temporarily_unavailable", 503)
    assert refused.value.retry_after == RETRY_SECONDS
    assert counter.inside == ["first", "second", "third"]


async def test_no_more_are_at_work_at_once_than_allowed() -> None:
    counter = Counter(LoginQueue(at_work=2))
    async with asyncio.TaskGroup() as people:
        for name in ("first", "second", "third"):
            people.create_task(counter.come(name))
        await settled()
        assert counter.inside == ["first", "second"]
        counter.leave.set()


async def test_who_gives_up_makes_room_in_the_line() -> None:
    queue = LoginQueue(at_work=1, most_waiting=1)
    counter = Counter(queue)
    async with asyncio.TaskGroup() as people:
        people.create_task(counter.come("first"))
        await settled()
        impatient = people.create_task(counter.come("impatient"))
        await settled()
        impatient.cancel()
        await settled()
        assert queue.waiting == 0
        people.create_task(counter.come("patient"))
        await settled()
        counter.leave.set()

    assert counter.inside == ["first", "patient"]
