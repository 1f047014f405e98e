"""Users' names and passwords."""

import asyncio
import os
import sys

import pytest
from argon2 import PasswordHasher

from issuer.users import Passwords, User
from issuer.users.passwords import NICENESS, check_imported
from issuer.users.user import normalized


@pytest.mark.parametrize(
    ("given", "name"),
    [("Alice", "alice"), (" bob ", "bob"), ("STRASSE", "strasse"), ("stra\N{LATIN SMALL LETTER SHARP S}e", "strasse")],
)
def test_names_have_one_form(given: str, name: str) -> None:
    assert normalized(given) == name
    assert normalized(name) == name


@pytest.mark.parametrize("name", ["", "  ", "a\0b", "x" * 129, "a\N{ZERO WIDTH SPACE}b", "a\nb"])
def test_names_that_nobody_could_tell_apart_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="user name"):
        normalized(name)


def test_a_user_is_made_with_a_normal_name_alone() -> None:
    with pytest.raises(ValueError, match="normal form"):
        User(sub="1", username="Alice")


async def test_a_password_is_known_again_and_no_other_is() -> None:
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    kept = await passwords.hash("correct horse")

    assert kept.startswith("$argon2id$")
    assert await passwords.check(kept, "correct horse")
    for wrong in ("", "correct hors", "x" * 5000):
        assert not await passwords.check(kept, wrong)
    assert not await passwords.check(None, "correct horse")
    assert not await passwords.check("no hash", "correct horse")
    passwords.close()


async def test_a_hash_of_other_parameters_is_outdated() -> None:
    old = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    new = Passwords()
    kept = await old.hash("correct horse")

    assert not old.is_outdated(kept)
    assert new.is_outdated(kept)
    for each in (old, new):
        each.close()


async def test_no_more_are_hashed_at_once_than_allowed() -> None:
    running = most = 0

    class Slow(PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            nonlocal running, most
            running += 1
            most = max(most, running)
            try:
                return super().hash(password, salt=salt)
            finally:
                running -= 1

    passwords = Passwords(Slow(time_cost=1, memory_cost=1024, parallelism=1), at_once=1)
    await asyncio.gather(*(passwords.hash("x") for _ in range(20)))
    passwords.close()

    assert most == 1


async def test_a_hash_from_elsewhere_is_taken_and_known_again() -> None:
    kept = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("correct horse")
    passwords = Passwords()
    check_imported(kept)

    assert await passwords.check(kept, "correct horse")
    assert passwords.is_outdated(kept)
    passwords.close()


HASH = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$" + "A" * 22


@pytest.mark.parametrize(
    "kept",
    [
        "",
        "correct horse",
        "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
        HASH.replace("$argon2id$", "$argon2i$"),
        HASH.replace("$v=19$", "$v=16$"),
        HASH.replace("m=8,", "m=1048577,"),
        HASH.replace("t=1,", "t=33,"),
        HASH.replace("t=1,", "t=0,"),
        HASH.replace("c29tZXNhbHQ", "s\u00e4ltsaltsalt"),
        HASH.replace("c29tZXNhbHQ", "c29tZXNhbH"),
        HASH.rstrip("A"),
        HASH[:-1],
        HASH + "\n",
        HASH + "A" * 256,
    ],
)
def test_a_hash_that_is_none_of_argon2id_or_too_dear_is_refused_without_showing_it(kept: str) -> None:
    check_imported(HASH)
    with pytest.raises(ValueError, match="password hash") as refused:
        check_imported(kept)

    assert not kept or kept not in str(refused.value)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere priorities are those of processes")
async def test_hashing_stands_back_behind_everything_else_in_the_process() -> None:
    passwords, before = Passwords(), os.getpriority(os.PRIO_PROCESS, 0)

    hashing = await passwords._in_a_thread(os.getpriority, os.PRIO_PROCESS, 0)
    passwords.close()

    assert hashing == min(19, before + NICENESS)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="there threads cannot be kept off a core")
async def test_hashing_leaves_a_core_to_everything_else_in_the_process() -> None:
    passwords, before = Passwords(), os.sched_getaffinity(0)

    hashing = await passwords._in_a_thread(os.sched_getaffinity, 0)
    passwords.close()

    assert hashing == (before - {min(before)} or before)
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize("password", ["", "x" * 1025])
async def test_a_password_that_cannot_be_is_refused(password: str) -> None:
    passwords = Passwords()
    with pytest.raises(ValueError, match="1 to 1024"):
        await passwords.hash(password)
    passwords.close()
