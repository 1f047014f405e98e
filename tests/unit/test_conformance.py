"""docs/conformance.md: every test that it names is there, and every test of an RFC is named."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "conformance.md").read_text()
REFERENCE = re.compile(r"`([a-z0-9_/]+)::(test_\w+)`")
CHAPTERS = {
    int(number): text for number, text in re.findall(r"^## RFC ([0-9]+),.*\n((?:(?!^## ).*\n)*)", PAGE, re.MULTILINE)
}
RFCS = {6749, 7009, 7636, 7662, 8414, 8628, 8693, 8707, 9068, 9207, 9700}
OF_ONE_RFC = sorted([*TESTS.glob("rfc/test_rfc_*.py"), *TESTS.glob("integration/issuer/test_rfc_*.py")])


def rows(chapter: str) -> list[list[str]]:
    """The cells of its table: section, what is required, held by."""
    lines = [line for line in chapter.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named_in(path: Path) -> dict[str, str]:
    """The tests of a file, with their docstrings."""
    return {
        node.name: ast.get_docstring(node) or ""
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_every_rfc_has_its_chapter() -> None:
    assert CHAPTERS.keys() == RFCS


@pytest.mark.parametrize("number", sorted(RFCS))
def test_every_requirement_is_held_by_tests_that_are_there(number: int) -> None:
    assert rows(CHAPTERS[number])
    for section, required, held_by in rows(CHAPTERS[number]):
        named = REFERENCE.findall(held_by)
        assert section, required
        assert REFERENCE.sub("", held_by).strip(", ") == "", held_by
        assert named, required
        for path, name in named:
            assert name in named_in(TESTS / f"{path}.py"), f"{path}::{name}"


@pytest.mark.parametrize("path", OF_ONE_RFC, ids=lambda path: path.stem)
def test_every_test_of_an_rfc_stands_in_its_chapter(path: Path) -> None:
    number = int(path.stem.removeprefix("test_rfc_"))
    place = str(path.relative_to(TESTS).with_suffix(""))
    named = {name for file, name in REFERENCE.findall(CHAPTERS[number]) if file == place}

    assert named == named_in(path).keys()


@pytest.mark.parametrize("path", sorted(TESTS.glob("rfc/test_rfc_*.py")), ids=lambda path: path.stem)
def test_every_test_of_an_rfc_says_its_section(path: Path) -> None:
    for name, docstring in named_in(path).items():
        assert re.match(r"(Section [0-9]|Appendix [A-Z])", docstring), name


def test_every_attack_of_rfc_9700_has_a_test() -> None:
    sections = {section for section, *_ in rows(CHAPTERS[9700])}

    assert {f"4.{number}" for number in range(1, 18)} <= sections
