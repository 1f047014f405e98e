"""Where Chromium is, and how it is started."""

import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from playwright.async_api import Browser, async_playwright

VARIABLE: Final = "TOCSIN_TEST_CHROMIUM"
NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
START_MILLISECONDS: Final = 60_000


def find_chromium(environ: Mapping[str, str]) -> str | None:
    """The program: named in the environment, or on the PATH."""
    given = environ.get(VARIABLE)
    if given:
        return given
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@asynccontextmanager
async def running_chromium(program: str) -> AsyncIterator[Browser]:
    """Chromium without a window, ended whatever happens."""
    arguments = ["--disable-dev-shm-usage", "--disable-gpu"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--no-sandbox")  # root cannot have one
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=arguments, timeout=START_MILLISECONDS)
        try:
            yield browser
        finally:
            await browser.close()
