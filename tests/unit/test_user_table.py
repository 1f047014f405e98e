"""A CSV file of users: what its columns mean, and what is wrong with a row is told by its line."""

from pathlib import Path

import pytest

from tocsin.errors import CommandFailed
from tocsin.user_table import Fault, NewUser, rows_of


def rows(tmp_path: Path, text: str | bytes) -> list[tuple[int, NewUser | Fault]]:
    file = tmp_path / "people.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(rows_of(file))


def test_columns_are_the_users_own_or_claims_and_empty_ones_say_nothing(tmp_path: Path) -> None:
    text = (
        "username,password,password_hash,sub,disabled,name,email_verified,phone_number,address,roles,tenant\r\n"
        'alice,S3cret,,,,Alice,true,4930123,"{""locality"": ""Berlin""}","[""admin""]",acme\r\n'
        "bob,,$argon2id$x,old-7,TRUE,,,,,,\r\n"
    )

    assert rows(tmp_path, text) == [
        (
            2,
            NewUser(
                username="alice",
                password="S3cret",
                claims={
                    "name": "Alice",
                    "email_verified": True,
                    "phone_number": "4930123",
                    "address": {"locality": "Berlin"},
                    "roles": ["admin"],
                    "tenant": "acme",
                },
            ),
        ),
        (3, NewUser(username="bob", password_hash="$argon2id$x", sub="old-7", disabled=True)),
    ]


def test_the_mark_that_spreadsheets_put_in_front_and_blank_lines_do_not_count(tmp_path: Path) -> None:
    assert rows(tmp_path, "\ufeffusername\n\nalice\n") == [(3, NewUser(username="alice"))]


def test_a_row_is_named_by_the_line_that_it_ends_at(tmp_path: Path) -> None:
    found = rows(tmp_path, 'username,name\nalice,"two\nlines"\nbob,B,extra\ncarol\ndave,D\n')

    assert [line for line, _ in found] == [3, 4, 5, 6]
    assert found[1:3] == [
        (4, Fault(4, "it has 3 values in 2 columns")),
        (5, Fault(5, "it has 1 values in 2 columns")),
    ]


def test_what_is_neither_true_nor_false_is_a_fault(tmp_path: Path) -> None:
    (line, fault), *_ = rows(tmp_path, "username,disabled\nalice,perhaps\n")

    assert (line, fault) == (2, Fault(2, "column 'disabled' must be true or false"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,email\nAlice,a@example.com\n", "no column 'username'"),
        ("", "no column 'username'"),
        ("username,email,email\n", "column 'email' twice"),
        ("username,\n", "a column without a name"),
        (b"username\nal\xffice\n", "cannot be read as CSV in UTF-8"),
        ('username\n"alice\n', "cannot be read as CSV in UTF-8 after line 2"),
    ],
)
def test_a_file_that_is_no_table_of_users_is_refused(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(CommandFailed, match=words) as refused:
        rows(tmp_path, text)

    assert refused.value.exit_code == 2


def test_a_row_does_not_show_its_password() -> None:
    assert repr(NewUser(username="alice", password="S3cret")) == "NewUser(username='alice')"
