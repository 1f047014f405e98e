"""What an attack is aimed at."""

import pytest

from tests.simulator import IssuerSimulator, Listener


@pytest.fixture
def issuer() -> IssuerSimulator:
    """The issuer whose tokens and events an attacker wants to pass for."""
    return IssuerSimulator()


@pytest.fixture
def listener(issuer: IssuerSimulator) -> Listener:
    """The verifier under attack; it has heard everything the issuer has said so far."""
    return Listener.caught_up(issuer)
