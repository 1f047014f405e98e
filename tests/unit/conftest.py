"""How hard the property tests try: ``--hypothesis-profile=thorough`` for a long look."""

import pytest
from hypothesis import settings

from tests.simulator import IssuerSimulator, Listener

settings.register_profile("quick", max_examples=60, deadline=None)
settings.register_profile("thorough", max_examples=3000, deadline=None)
settings.load_profile("quick")


@pytest.fixture
def issuer() -> IssuerSimulator:
    """An issuer that has opened its streams and published one key."""
    return IssuerSimulator()


@pytest.fixture
def listener(issuer: IssuerSimulator) -> Listener:
    """A verifier that has heard everything the issuer has said so far."""
    return Listener.caught_up(issuer)
