"""Logins, codes and refreshes under load while their user is revoked: nothing of before survives."""

import asyncio
from typing import Any

from tests.http_browser import HttpBrowser, Page, WebClient, http_browser
from tests.http_device import PAGE, DeviceClient
from tests.issuer_under_test import Installation, Replica, on_every_store, rejection

LOGINS: int = 4
STEPS: int = 5
"""A revocation may come between any two, and ask for a login again."""


async def step(browser: HttpBrowser, page: Page) -> Page:
    """What a person does next."""
    if page.sent_to is not None:
        return page
    if "password" in page.fields:
        return await browser.log_in(page)
    return await browser.send(page, decision="allow")


async def logins(web: WebClient) -> list[dict[str, Any]]:
    """What the client is given in a few visits, one after the other in one browser."""
    given = []
    async with http_browser(web.issuer.url) as browser:
        for _ in range(LOGINS):
            page = await browser.get(web.request())
            for _ in range(STEPS):
                page = await step(browser, page)
            if page.sent_to is not None and "code" in page.parameters:
                answer = await web.redeem(page.parameters["code"])
                given += [answer.json()] * (answer.status == 200)
    return given


async def device_logins(tv: DeviceClient) -> list[dict[str, Any]]:
    """What the device is given that is let in a few times."""
    given = []
    async with http_browser(tv.issuer.url) as browser:
        for _ in range(LOGINS):
            codes = await tv.begin()
            page = await browser.send(await browser.get(PAGE), user_code=codes["user_code"])
            for _ in range(STEPS):
                if "form" in page.fields:
                    page = await step(browser, page)
            answer = await tv.poll(codes["device_code"])
            given += [answer.json()] * (answer.status == 200)
    return given


@on_every_store
async def test_of_what_was_given_before_the_last_revocation_nothing_is_good(
    web: WebClient, tv: DeviceClient, issuer: Replica, installation: Installation
) -> None:
    sub = (await issuer.services.users.named("alice")).sub

    async def revoking() -> None:
        for _ in range(8):
            await issuer.revoke(selector={"sub": sub})
            await asyncio.sleep(0.1)

    async with installation.running(port=0) as second:
        other = WebClient(second, web.client_id, web.secret)
        elsewhere = DeviceClient(second, tv.client_id)
        going = [asyncio.create_task(logins(client)) for client in (web, other)]
        going += [asyncio.create_task(device_logins(client)) for client in (tv, elsewhere)]
        await revoking()
        one, two, three, four = await asyncio.gather(*going)
        in_browsers, on_devices = one + two, three + four
        await issuer.revoke(selector={"sub": sub})
        async with installation.agent() as agent:
            for each in in_browsers + on_devices:
                while rejection(agent, each["access_token"], audience=None) is None:
                    await agent.changed()
        for client, tokens in ((web, in_browsers), (tv, on_devices)):
            for each in tokens:
                assert (await client.refresh(each["refresh_token"])).status == 400
        late = await logins(other) + await device_logins(elsewhere)

    assert in_browsers, "some got through before they were revoked"
    assert on_devices, "some devices too"
    assert len(late) == 2 * LOGINS, "who logs in afterwards has nothing to fear"


@on_every_store
async def test_a_user_who_agrees_in_many_places_at_once_for_the_first_time_has_agreed(
    web: WebClient, issuer: Replica
) -> None:
    consents = issuer.services.consents
    await asyncio.gather(*(consents.give("alice", web.client_id, ("read", "write")) for _ in range(4)))
    assert await consents.covers("alice", web.client_id, ("read", "write"))
