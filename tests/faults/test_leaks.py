"""What counts as a leak: what stays, and nothing that is there for a moment."""

import asyncio
import socket

from tests.faults.footprint import Footprint
from tests.faults.leaks import MEGABYTE, Leaks


def held(tasks: dict[str, int], descriptors: dict[str, int] | None = None, memory: int = 0) -> dict[str, Footprint]:
    """What a process called ``one`` holds."""
    return {"one": Footprint(tasks=tasks, descriptors=descriptors or {}, memory=memory)}


def test_what_is_there_for_a_moment_is_no_leak_even_if_something_always_is() -> None:
    leaks = Leaks(held({"run": 1}, {"socket port 1": 1}), {})

    assert not leaks.look(held({"run": 1, "closing": 1}, {"socket port 1": 1}))
    assert leaks.look(held({"run": 1, "asking": 1}, {"socket port 1": 2}))
    assert leaks.found == []


def test_what_is_there_in_every_look_is_a_leak() -> None:
    leaks = Leaks(held({"run": 1}, {"socket port 1": 1}), {})
    for passing in ("closing", "asking", "closing"):
        assert not leaks.look(held({"run": 2, passing: 1}, {"socket port 1": 3}))

    assert leaks.found == [
        "one: 2 in place of 1: task run",
        "one: 3 in place of 1: descriptor socket port 1",
    ]


def test_a_pool_may_fill_up_to_its_bound_and_no_further() -> None:
    leaks = Leaks(held({}, {"socket port 1": 1}), {"socket port 1": 4})
    assert leaks.look(held({}, {"socket port 1": 4}))

    leaks = Leaks(held({}, {"socket port 1": 4}), {"socket port 1": 4})
    assert not leaks.look(held({}, {"socket port 1": 5}))


def test_growth_is_what_is_left_of_it_in_the_end() -> None:
    leaks = Leaks(held({}, memory=MEGABYTE), {})
    for megabytes in (9, 3, 4):
        leaks.look(held({}, memory=megabytes * MEGABYTE))

    assert leaks.grown == 2


async def test_a_connection_and_a_task_that_are_forgotten_are_found() -> None:
    async def forgotten() -> None:
        await asyncio.sleep(600)

    with socket.create_server(("127.0.0.1", 0)) as server:
        leaks = Leaks({"this": Footprint.of_this_process()}, {})
        task = asyncio.create_task(forgotten())
        with socket.create_connection(server.getsockname()):
            for _ in range(3):
                assert not leaks.look({"this": Footprint.of_this_process()})
            assert [each.partition(": ")[2].split(" socket")[0] for each in leaks.found] == [
                "1 in place of 0: task test_a_connection_and_a_task_that_are_forgotten_are_found.<locals>.forgotten",
                "1 in place of 0: descriptor",
            ]
        task.cancel()
        await asyncio.wait([task])
        assert leaks.look({"this": Footprint.of_this_process()})
