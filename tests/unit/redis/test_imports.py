"""What is loaded with which part."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["verifier_agent", "verifier_agent.saved.keeper", "verifier_agent.agent"])
def test_redis_is_loaded_by_what_needs_it_alone(module: str) -> None:
    program = f"import sys, {module}; print('redis' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert answer.stdout.split() == ["False"]
