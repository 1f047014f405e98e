"""Letting a device in, in Chromium: by typing its code, by its address, on a telephone."""

from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.chromium.contrast import ENOUGH, contrasts
from tests.chromium.journey import Journey

PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 640}, "is_mobile": True, "has_touch": True}


async def test_a_person_types_the_code_with_the_keyboard_alone_and_the_device_is_in(
    page: Page, journey: Journey
) -> None:
    codes = await journey.device.begin()
    await page.goto(codes["verification_uri"])
    await expect(page.get_by_label("Code")).to_be_focused()
    await page.keyboard.type("bcdf-ghjk")
    await page.keyboard.press("Enter")
    await journey.log_in(page)
    await expect(page.get_by_role("alert")).to_contain_text("No device shows this code now")
    await expect(page).to_have_title("Error: Connect a device")
    await page.get_by_label("Code").fill(codes["user_code"].lower())
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", name="Allow Films on your device?")).to_be_visible()
    await expect(page.get_by_text(codes["user_code"], exact=True)).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Allow this device")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Your device is connected")).to_be_visible()
    assert (await journey.device.poll(codes["device_code"])).status == 200


async def test_who_comes_by_the_address_of_a_picture_code_compares_and_may_refuse(page: Page, journey: Journey) -> None:
    codes = await journey.device.begin()
    await page.goto(codes["verification_uri_complete"])
    await expect(page.get_by_label("Code")).to_have_value(codes["user_code"])
    await page.get_by_role("button", name="Continue").click()
    await journey.log_in(page)
    await expect(page.get_by_text(codes["user_code"], exact=True)).to_be_visible()
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_role("heading", name="Refused")).to_be_visible()
    assert (await journey.device.poll(codes["device_code"])).json()["error"] == "access_denied"


async def test_on_a_phone_nothing_overflows_and_everything_can_be_hit_with_a_thumb(
    opened: Browser, journey: Journey
) -> None:
    context = await opened.new_context(**PHONE)
    page = await context.new_page()
    await page.goto((await journey.device.begin())["verification_uri_complete"])
    for step in ("code", "consent"):
        if step == "consent":
            await page.get_by_role("button", name="Continue").click()
            await journey.log_in(page)
            await expect(page.get_by_role("button", name="Allow this device")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), step
        heights = await page.evaluate(
            "[...document.querySelectorAll('button, input:not([type=hidden])')].map(e => e.offsetHeight)"
        )
        assert min(heights) >= 44, step
    await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_stands_out_from_what_is_behind_it(opened: Browser, journey: Journey, scheme: Any) -> None:
    context = await opened.new_context(color_scheme=scheme)
    page = await context.new_page()
    codes = await journey.device.begin()
    await page.goto(codes["verification_uri"])
    await page.get_by_label("Code").fill("nothing")
    await page.get_by_role("button", name="Continue").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    found = await contrasts(page)
    await page.get_by_label("Code").fill(codes["user_code"])
    await page.get_by_role("button", name="Continue").click()
    await journey.log_in(page)
    await expect(page.get_by_role("button", name="Allow this device")).to_be_visible()
    found |= {f"consent {name}": value for name, value in (await contrasts(page)).items()}

    assert len(found) > 10
    assert {name: value for name, value in found.items() if value < ENOUGH} == {}
    await context.close()
