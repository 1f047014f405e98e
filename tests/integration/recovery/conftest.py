"""Deployments on which stores and logs go back."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integration.recovery.deployments import Deployment, make_topics
from tests.issuer_under_test import Installation
from tests.services.service import Service


@pytest.fixture
async def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Deployment]:
    """Files, unless the test asks for ``servers``: PostgreSQL and Kafka."""
    if getattr(request, "param", "files") == "files":
        yield Deployment(await Installation.create(tmp_path), tmp_path)
        return
    server: Service = request.getfixturevalue("postgresql")
    kafka: Service = request.getfixturevalue("kafka")
    store: str = request.getfixturevalue("postgresql_url")
    log = f"kafka://{kafka.address}?prefix=test-{uuid4().hex[:12]}."
    await make_topics(log)
    installation = await Installation.create(tmp_path, store=store, log=log)
    deployment = Deployment(installation, tmp_path, server.address)
    yield deployment
    await deployment.drop_backup()
