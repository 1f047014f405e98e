"""Everything that fuzzing has come upon so far, once more. ``make fuzz`` goes on from there."""

from pathlib import Path
from typing import Final

from tests.fuzz.event_target import EventTarget
from tests.fuzz.token_target import TokenTarget

CORPUS: Final = Path(__file__).parents[1] / "fuzz" / "corpus"


def replay(target: TokenTarget | EventTarget, folder: str) -> None:
    inputs = sorted((CORPUS / folder).iterdir())
    assert inputs
    for path in inputs:
        try:
            target.check(path.read_bytes())
        except BaseException as failure:
            failure.add_note(f"with {path}")
            raise


def test_tokens_that_fuzzing_came_upon() -> None:
    replay(TokenTarget(), "token")


def test_events_that_fuzzing_came_upon() -> None:
    replay(EventTarget(), "event")
