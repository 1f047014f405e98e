"""One issuer for all tests of an RFC: none of them changes what another one looks at."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.http_browser import hash_quickly
from tests.integration.issuer.portal import PASSWORD, Portal, with_passwords
from tests.issuer_under_test import Installation, Replica


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """One with the password grant: the shortest way to a refresh token."""
    return with_passwords(await Installation.create(tmp_path_factory.mktemp("rfc")))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def issuer(installation: Installation) -> AsyncIterator[Replica]:
    """The installation's issuer, running."""
    async with installation.running() as replica:
        yield replica


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def portal(installation: Installation, issuer: Replica) -> Portal:
    """A client with a user, alice."""
    hash_quickly(issuer)
    await issuer.services.users.add("alice", PASSWORD)
    client = await installation.client(
        "portal", grants=("password", "refresh_token"), scopes=("read", "write"), audiences=("orders", "billing")
    )
    return Portal(issuer, client)
