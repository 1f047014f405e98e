"""What is read of a file of tokens, and what is complained of."""

import io
from collections.abc import Iterator

import pytest

from tocsin.errors import CommandFailed
from tocsin.mass.formats import format_of
from tocsin.mass.lines import MAX_LINE, NumberedLines

Found = list[tuple[int, str, bytes]]


def read(
    content: bytes, file: str = "f.txt", *, form: str | None = None, kind: str | None = None, column: str | None = None
) -> tuple[Found, list[tuple[int, str]]]:
    """The values with their lines and kinds, and the complaints."""
    complaints: list[tuple[int, str]] = []

    def complain(line: int, error: str) -> None:
        complaints.append((line, error))

    lines = NumberedLines(io.BytesIO(content), complain)
    return list(format_of(form, file, kind, column).values(lines, complain)), complaints


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_text_has_one_value_a_line_and_blank_lines_count_as_lines(end: bytes, mark: bytes) -> None:
    found, complaints = read(mark + end.join([b"a.b.c", b"", b"  d.e.f "]))

    assert found == [(1, "token", b"a.b.c"), (3, "token", b"d.e.f")]
    assert complaints == []


@pytest.mark.parametrize("kind", ["token", "jti", "digest"])
def test_values_are_what_they_are_said_to_be(kind: str) -> None:
    assert read(b"x\n", kind=kind)[0] == [(1, kind, b"x")]
    assert read(b"v\nx\n", "f.csv", kind=kind, column="v")[0] == [(2, kind, b"x")]
    assert read(b'{"v": "x"}\n', "f.jsonl", kind=kind, column="v")[0] == [(1, kind, b"x")]


@pytest.mark.parametrize("kind", ["token", "jti", "digest"])
def test_a_header_or_a_member_says_what_values_are(kind: str) -> None:
    assert read(f"user,{kind}\nalice,x\n".encode(), "F.CSV")[0] == [(2, kind, b"x")]
    assert read(f'{{"user": 7, "{kind}": "x"}}\n'.encode(), "f.ndjson")[0] == [(1, kind, b"x")]


def test_the_format_that_is_given_goes_before_the_extension() -> None:
    assert read(b"token\nx\n", "f.txt", form="csv")[0] == [(2, "token", b"x")]
    assert read(b"x\n", "f.csv", form="text")[0] == [(1, "token", b"x")]


def test_a_column_of_another_name_holds_tokens() -> None:
    assert read(b"access_token\nx\n", "f.csv", column="access_token")[0] == [(2, "token", b"x")]


def test_csv_is_quoted_and_a_row_may_go_over_lines() -> None:
    found, complaints = read(b'note,token\n"a, ""b""\nover two lines",x\nshort\n,\nc,y\n', "f.csv")

    assert found == [(3, "token", b"x"), (6, "token", b"y")]
    assert complaints == [(4, "it has no token"), (5, "it has no token")]


def test_csv_that_is_none_is_told_and_the_next_row_read() -> None:
    found, complaints = read(b'token\n"x"y\nz\n', "f.csv")

    assert found == [(3, "token", b"z")]
    assert [line for line, _ in complaints] == [2]
    assert complaints[0][1].startswith("it is no CSV: ")


def test_octets_that_are_no_text_come_through_csv_unchanged() -> None:
    assert read(b"jti\n\xff\xc3\xa4\n", "f.csv")[0] == [(2, "jti", b"\xff\xc3\xa4")]


@pytest.mark.parametrize("header", [b"user,name\n", b"token,jti\n", b"token,token\n"])
def test_a_header_that_does_not_name_one_column_ends_it(header: bytes) -> None:
    with pytest.raises(CommandFailed, match="--by"):
        read(header + b"a,b\n", "f.csv")


def test_of_two_columns_the_one_that_is_said_counts() -> None:
    assert read(b"token,jti\na,b\n", "f.csv", kind="jti")[0] == [(2, "jti", b"b")]


def test_json_lines_have_exactly_one_of_the_members() -> None:
    lines = [b'{"token": "x"}', b"{", b'{"token": 7}', b'{"user": "a"}', b'{"token": "x", "jti": "y"}', b"[]", b'"x"']

    found, complaints = read(b"\n".join(lines), "f.jsonl")

    assert found == [(1, "token", b"x")]
    assert [line for line, _ in complaints] == [2, 3, 4, 5, 6, 7]
    assert "exactly one of token, jti, digest; it has 2" in complaints[3][1]


def test_a_column_is_nothing_that_text_has() -> None:
    with pytest.raises(CommandFailed, match="--column"):
        read(b"x\n", column="token")


class Endless(io.RawIOBase):
    """A line that does not end before ``size`` octets, then another one."""

    def __init__(self, size: int) -> None:
        self._left = size
        self.most_asked = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self.most_asked = max(self.most_asked, len(buffer))
        piece = min(self._left, len(buffer))
        self._left -= piece
        buffer[:piece] = b"x" * piece
        return piece


def test_a_line_of_any_length_is_told_and_never_held() -> None:
    complaints: list[int] = []
    endless = Endless(50_000_000)
    lines = NumberedLines(io.BufferedReader(endless), lambda line, _: complaints.append(line))

    assert list(lines) == []
    assert complaints == [1]
    assert endless.most_asked <= 4 * MAX_LINE


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_the_longest_line_is_read_and_what_follows_a_longer_one_too(end: bytes) -> None:
    def values(length: int) -> Iterator[int]:
        found, complaints = read(b"x" * length + end)
        yield from (len(value) for _, _, value in found)
        yield from (-line for line, _ in complaints)

    assert list(values(MAX_LINE)) == [MAX_LINE]
    assert list(values(MAX_LINE + 2)) == [-1]
    found, complaints = read(b"y" * 3 * MAX_LINE + b"\nz\n")
    assert (found, complaints[0][0]) == ([(2, "token", b"z")], 1)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_text_in_utf_16_is_named(encoding: str) -> None:
    content = "\ufeffa.b.c\n".encode(encoding) if encoding == "utf-16-be" else "a.b.c\n".encode(encoding)
    with pytest.raises(CommandFailed, match="UTF-16"):
        read(content)
