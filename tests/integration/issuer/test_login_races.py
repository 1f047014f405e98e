"""Logins, codes and refreshes under load while their user is revoked: nothing of before survives."""

import asyncio
from typing import Any

from tests.http_browser import HttpBrowser, Page, WebClient, http_browser
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


@on_every_store
async def test_of_what_was_given_before_the_last_revocation_nothing_is_good(
    web: WebClient, issuer: Replica, installation: Installation
) -> None:
    sub = (await issuer.services.users.named("alice")).sub

    async def revoking() -> None:
        for _ in range(8):
            await issuer.revoke(selector={"sub": sub})
            await asyncio.sleep(0.1)

    async with installation.running(port=0) as second:
        other = WebClient(second, web.client_id, web.secret)
        going = [asyncio.create_task(logins(client)) for client in (web, other, web)]
        await revoking()
        tokens = [each for some in await asyncio.gather(*going) for each in some]
        await issuer.revoke(selector={"sub": sub})
        async with installation.agent() as agent:
            for each in tokens:
                while rejection(agent, each["access_token"]) is None:
                    await agent.changed()
                assert (await web.refresh(each["refresh_token"])).status == 400
        late = await logins(other)

    assert tokens, "some got through before they were revoked"
    assert len(late) == LOGINS, "who logs in afterwards has nothing to fear"
