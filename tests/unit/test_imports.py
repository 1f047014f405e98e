"""What importing the embedded part costs a service."""

import subprocess
import sys

HEAVY = ("aiohttp", "sqlalchemy", "aiokafka", "redis", "consul", "structlog", "rich", "click", "prometheus_client")


def test_importing_the_verifier_loads_no_framework_database_or_broker_client() -> None:
    program = "import sys, verifier_agent; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    loaded = answer.stdout.split()

    assert "verifier_agent" in loaded
    assert "events" in loaded
    assert not {*HEAVY, "issuer", "tocsin", "jwt"} & set(loaded)
