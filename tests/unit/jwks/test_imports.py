"""What trusting a foreign issuer costs a service before anything is fetched."""

import subprocess
import sys


def test_importing_the_rules_loads_neither_a_web_framework_nor_pyjwt() -> None:
    program = "import sys, verifier_agent.jwks; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert not {"aiohttp", "jwt"} & set(answer.stdout.split())
