"""What people see is what there is: nothing wrapped, nothing taken for markup."""

import pytest

from tocsin.output import Output

DATA = ["[x]", "[/ops]", "[bold]a[/]", ":key: \\[y]", "[link=http://evil.example]here[/link]"]


@pytest.mark.parametrize("data", DATA)
def test_a_line_shows_brackets_and_colons_as_they_are(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False).line(f"revoked {data}")

    assert capsys.readouterr().out == f"revoked {data}\n"


@pytest.mark.parametrize("data", DATA)
def test_a_table_shows_brackets_and_colons_as_they_are(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False).table([data, ">N"], [(data, "1")], title=data)

    assert capsys.readouterr().out.count(data) == 3


def test_a_line_to_paste_stays_one_line_however_narrow_the_terminal_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = "curl -s " + " ".join(f"--option-{n}" for n in range(50))

    output = Output(as_json=False)
    output.console.width = 40
    output.line(command)

    assert capsys.readouterr().out == f"{command}\n"


def test_what_holds_has_a_check_mark_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False).held("all of it held [really]")

    assert capsys.readouterr().out == "✓ all of it held [really]\n"


def test_for_programs_there_are_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=True)
    output.line("text")
    output.held("text")
    output.table(["A"], [("text",)])
    output.answer({"a": 1})

    assert capsys.readouterr().out == '{"a":1}\n'
