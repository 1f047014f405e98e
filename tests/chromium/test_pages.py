"""The pages in Chromium: with keyboard, phone, dark screen, without scripts or styles, and framed by somebody else."""

from typing import Any
from urllib.parse import parse_qsl

import pytest
from playwright.async_api import Browser, Page, expect

from tests.chromium.contrast import ENOUGH, contrasts
from tests.chromium.journey import Journey
from tests.http_browser import PASSWORD

PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 640}, "is_mobile": True, "has_touch": True}


async def test_a_user_gets_from_the_application_through_login_and_consent_and_back_with_the_keyboard_alone(
    page: Page, journey: Journey
) -> None:
    await page.goto(journey.request())
    await expect(page.get_by_label("User name")).to_be_focused()
    await page.keyboard.type("alice")
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", name="Allow Orders?")).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Allow")).to_be_focused()
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", name="Back in the application")).to_be_visible()
    [brought] = journey.arrivals
    assert brought.keys() == {"code", "state", "iss"}
    assert (await journey.client.redeem(brought["code"])).status == 200


async def test_a_login_survives_the_way_to_another_page_and_ends_by_logout(page: Page, journey: Journey) -> None:
    await page.goto(journey.request())
    await journey.log_in(page)
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_role("heading", name="Back in the application")).to_be_visible()
    assert journey.arrivals[-1]["error"] == "access_denied"

    await page.goto(f"{journey.issuer.url}/oauth2/logout")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Signed out")).to_be_visible()
    await page.goto(journey.request(prompt="none"))
    assert journey.arrivals[-1]["error"] == "login_required"


async def test_cookies_are_out_of_reach_of_scripts_and_of_other_sites(page: Page, journey: Journey) -> None:
    await page.goto(journey.request())
    await journey.log_in(page)
    cookies = {cookie["name"]: cookie for cookie in await page.context.cookies()}
    assert cookies.keys() == {"tocsin-browser", "tocsin-session"}
    for cookie in cookies.values():
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Lax"
        assert cookie["path"] == "/"


async def test_what_went_wrong_is_announced_and_the_name_is_kept(page: Page, journey: Journey) -> None:
    await page.goto(journey.request())
    await page.get_by_label("User name").fill("alice")
    await page.get_by_label("Password").fill("wrong")
    await page.get_by_role("button", name="Sign in").click()

    await expect(page.get_by_role("alert")).to_have_text("The user name or the password is wrong.")
    await expect(page.get_by_label("User name")).to_have_value("alice")
    await expect(page.get_by_label("Password")).to_be_focused()
    await expect(page).to_have_title("Error: Sign in")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Allow Orders?")).to_be_visible()


async def test_without_scripts_nothing_is_missing(opened: Browser, journey: Journey) -> None:
    context = await opened.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(journey.request())
    await journey.log_in(page)
    await page.get_by_role("button", name="Allow").click()
    await expect(page.get_by_role("heading", name="Back in the application")).to_be_visible()
    await context.close()


async def test_without_the_stylesheet_everything_can_be_used(opened: Browser, journey: Journey) -> None:
    context = await opened.new_context()
    page = await context.new_page()
    await page.route("**/*.css", lambda route: route.abort())
    await page.goto(journey.request())
    await journey.log_in(page)
    await page.get_by_role("button", name="Allow").click()
    await expect(page.get_by_role("heading", name="Back in the application")).to_be_visible()
    await context.close()


async def test_on_a_phone_nothing_overflows_and_everything_can_be_hit_with_a_thumb(
    opened: Browser, journey: Journey
) -> None:
    context = await opened.new_context(**PHONE)
    page = await context.new_page()
    for step in ("login", "consent"):
        if step == "login":
            await page.goto(journey.request())
        else:
            await journey.log_in(page)
            await expect(page.get_by_role("heading", name="Allow Orders?")).to_be_visible()
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
    await page.goto(journey.request())
    await page.get_by_label("User name").fill("alice")
    await page.get_by_label("Password").fill("wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    found = await contrasts(page)
    await journey.log_in(page)
    await expect(page.get_by_role("heading", name="Allow Orders?")).to_be_visible()
    found |= {f"consent {name}": value for name, value in (await contrasts(page)).items()}

    assert len(found) > 10
    assert {name: value for name, value in found.items() if value < ENOUGH} == {}
    await context.close()


async def test_the_pages_cannot_be_framed(opened: Browser, journey: Journey) -> None:
    context = await opened.new_context()
    page = await context.new_page()
    journey.shown_elsewhere.append(f'<iframe src="{journey.request()}"></iframe>')
    async with page.expect_response(lambda response: response.url.startswith(journey.issuer.url)) as answered:
        await page.goto(journey.elsewhere)
    assert (await answered.value).status == 200
    [_, framed] = page.frames
    assert await framed.locator("input").count() == 0
    await context.close()


async def test_a_form_of_another_site_logs_nobody_in(opened: Browser, journey: Journey) -> None:
    """Login CSRF: the attacker has a login page of his own, and has the victim's browser send it with his password."""
    attacker = await opened.new_context()
    his = await attacker.new_page()
    await his.goto(journey.request())
    sealed = await his.locator("input[name=form]").input_value()
    await attacker.close()

    context = await opened.new_context()
    page = await context.new_page()
    await page.goto(journey.request())  # the victim has been here, too
    form = (
        f'<form method="post" action="{journey.issuer.url}/oauth2/login">'
        f'<input name="form" value="{sealed}"><input name="username" value="alice">'
        f'<input name="password" value="{PASSWORD}"><button>Win a prize</button></form>'
    )
    journey.shown_elsewhere.append(form)
    await page.goto(journey.elsewhere)
    await page.get_by_role("button", name="Win a prize").click()

    await expect(page.get_by_role("heading", name="This did not work")).to_be_visible()
    assert {cookie["name"] for cookie in await context.cookies()} == {"tocsin-browser"}
    await context.close()


async def test_a_request_that_was_posted_by_an_application_finds_the_session(page: Page, journey: Journey) -> None:
    await page.goto(journey.request())
    await journey.log_in(page)
    await page.get_by_role("button", name="Allow").click()
    await expect(page.get_by_role("heading", name="Back in the application")).to_be_visible()
    address, _, query = journey.request(prompt="none").partition("?")
    fields = "".join(f'<input name="{name}" value="{value}">' for name, value in parse_qsl(query))
    form = f'<form method="post" action="{address}">{fields}<button>Go</button></form>'
    journey.shown_elsewhere.append(form)
    await page.goto(journey.elsewhere)
    await page.get_by_role("button", name="Go").click()
    await expect(page.get_by_role("heading", name="Back in the application")).to_be_visible()
    assert "code" in journey.arrivals[-1]
