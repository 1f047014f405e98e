"""``python -m tests.chromium.screenshots``: the pictures of docs/pages/, on a desk and on a phone."""

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, Page

from tests.chromium.journey import Journey, prepared_journey
from tests.chromium.program import VARIABLE, find_chromium, running_chromium

FOLDER: Final = Path(__file__).parents[2] / "docs" / "pages"
SCREENS: Final[dict[str, dict[str, Any]]] = {
    "desktop": {"viewport": {"width": 800, "height": 560}},
    "phone": {"viewport": {"width": 360, "height": 640}, "is_mobile": True, "color_scheme": "dark"},
}


async def take(browser: Browser, journey: Journey, name: str, screen: dict[str, Any]) -> None:
    """Each page once, on one kind of screen."""
    context = await browser.new_context(**screen)
    page = await context.new_page()
    await page.goto(journey.request())
    await _shoot(page, f"login-{name}")
    await page.get_by_label("User name").fill("alice")
    await page.get_by_label("Password").fill("wrong")
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("alert").wait_for()
    await _shoot(page, f"login-fault-{name}")
    await journey.log_in(page)
    await page.get_by_role("button", name="Allow").wait_for()
    await _shoot(page, f"consent-{name}")
    codes = await journey.device.begin()
    await page.goto(codes["verification_uri"])
    await page.get_by_label("Code").fill(codes["user_code"])
    await _shoot(page, f"device-{name}")
    await page.get_by_role("button", name="Continue").click()
    await page.get_by_role("button", name="Allow this device").wait_for()
    await _shoot(page, f"device-consent-{name}", whole=True)
    await page.goto(f"{journey.issuer.url}/oauth2/logout?client_id=orders")
    await _shoot(page, f"logout-{name}")
    await page.goto(journey.request(redirect_uri="https://elsewhere.example/"))
    await _shoot(page, f"error-{name}")
    await context.close()


async def _shoot(page: Page, name: str, *, whole: bool = False) -> None:
    await page.screenshot(path=FOLDER / f"{name}.png", full_page=whole)


async def main() -> None:
    """All of them."""
    program = find_chromium(os.environ)
    if program is None:
        sys.exit(f"no Chromium: install one, or name it in {VARIABLE}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tocsin-pages-") as folder:
        async with prepared_journey(Path(folder)) as journey, running_chromium(program) as browser:
            for name, screen in SCREENS.items():
                await take(browser, journey, name, screen)


if __name__ == "__main__":
    asyncio.run(main())
