"""Mutants that no test can notice, each with the reason. They are named without line numbers."""

from typing import Final

EQUIVALENT: Final[dict[str, str]] = {}
