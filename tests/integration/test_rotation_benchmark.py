"""``tocsin bench rotation``: what it measures holds, and it would notice a good token that is refused."""

import json
import os
import subprocess
import sys

import pytest

from tests.simulator import IssuerSimulator, Listener
from tocsin.processes import without_settings
from tocsin.rotation.worker import Load


@pytest.mark.timeout(180)
def test_rotations_refuse_no_good_token_and_emergencies_reach_every_agent() -> None:
    options = ["--agents", "3", "--rate", "200", "--rotations", "2", "--emergencies", "2", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "tocsin", "bench", "rotation", *options],
        env=without_settings(os.environ),
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)

    assert figures["refused"] == {}
    assert figures["verified"] > 100
    assert figures["rotation"]["most"] > 0
    assert figures["new_good"]["most"] > 0


async def test_the_load_counts_a_good_token_that_is_refused() -> None:
    issuer = IssuerSimulator()
    listener = Listener.caught_up(issuer)

    load = Load([listener.verify], 1.0)
    load.tokens.append(issuer.token())
    load._verify()
    load.tokens.append("no token")
    load._verify()
    load._verify()

    assert load.report() == {"verified": 2, "refused": {"malformed": 1}}
    assert load.report() == {"verified": 0, "refused": {}}
