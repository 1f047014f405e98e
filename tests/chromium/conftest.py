"""A browser for each test. Where there is none, the tests say so; with CI set that is a failure."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.chromium.journey import Journey, prepared_journey
from tests.chromium.program import VARIABLE, find_chromium, running_chromium
from tests.services.search import services_are_required


@pytest.fixture(scope="session")
def chromium() -> str:
    """The program."""
    found = find_chromium(os.environ)
    if found is None:
        message = f"no Chromium: install one (Debian: apt-get install chromium), or name it in {VARIABLE}"
        if services_are_required(os.environ):
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture
async def opened(chromium: str) -> AsyncIterator[Browser]:
    """Chromium, running."""
    async with running_chromium(chromium) as browser:
        yield browser


@pytest.fixture
async def page(opened: Browser) -> AsyncIterator[Page]:
    """An empty page, as wide as a desk. What the browser complains about fails the test."""
    context = await opened.new_context(viewport={"width": 1280, "height": 800})
    complaints: list[str] = []
    fresh = await context.new_page()
    fresh.on("pageerror", lambda error: complaints.append(str(error)))
    fresh.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
    yield fresh
    await context.close()
    assert not complaints


@pytest.fixture
async def journey(tmp_path: Path) -> AsyncIterator[Journey]:
    """An issuer, an application, a user."""
    async with prepared_journey(tmp_path) as prepared:
        yield prepared
