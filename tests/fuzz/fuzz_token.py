"""``python -m tests.fuzz.fuzz_token CORPUS… [libFuzzer options]``."""

import sys
from importlib import import_module
from typing import Any

atheris: Any = import_module("atheris")  # it is in requirements/fuzz.txt alone

with atheris.instrument_imports(include=["events", "verifier_agent"]):
    from tests.fuzz.token_target import TokenTarget

if __name__ == "__main__":
    again = f"{sys.executable} -m tests.fuzz.fuzz_token"  # how libFuzzer starts itself anew when it merges
    atheris.Setup([again, *sys.argv[1:]], TokenTarget().check)
    atheris.Fuzz()
