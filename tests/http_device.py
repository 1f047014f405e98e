"""A device without a browser, and the person who lets it in from another one."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import update

from issuer.store.schema import devices
from tests.http_browser import HttpBrowser, Page
from tests.issuer_under_test import Answer, Credentials, Replica

GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
PAGE: Final = "/oauth2/device"


@dataclass
class DeviceClient:
    """A client on a device; without a secret a public one."""

    issuer: Replica
    client_id: str
    secret: str = ""

    async def begin(self, **parameters: str) -> dict[str, Any]:
        """Its codes."""
        answer = await self.ask("/oauth2/device_authorization", parameters)
        assert answer.status == 200, answer
        codes: dict[str, Any] = answer.json()
        return codes

    async def poll(self, device_code: str, **parameters: str) -> Answer:
        """The token answer."""
        return await self.ask("/oauth2/token", {"grant_type": GRANT, "device_code": device_code, **parameters})

    async def refresh(self, refresh_token: str) -> Answer:
        """The token answer."""
        return await self.ask("/oauth2/token", {"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def ask(self, path: str, form: dict[str, str]) -> Answer:
        """A call as this client."""
        if not self.secret:
            return await self.issuer.form(path, None, **{"client_id": self.client_id, **form})
        return await self.issuer.form(path, Credentials(self.client_id, self.secret), **form)


async def enter(browser: HttpBrowser, user_code: str, username: str = "alice") -> Page:
    """The page after a code has been typed and, where it was asked for, a login."""
    page = await browser.send(await browser.get(PAGE), user_code=user_code)
    return await browser.log_in(page, username) if "password" in page.fields else page


async def allow(browser: HttpBrowser, user_code: str, username: str = "alice") -> Page:
    """The page after a device has been let in."""
    page = await enter(browser, user_code, username)
    assert page.action.endswith("/decision"), page.text
    return await browser.send(page, decision="allow")


async def pass_time(issuer: Replica, seconds: float) -> None:
    """Let time go by for all devices, in the store."""
    async with issuer.services.database.write() as connection:
        earlier = {name: devices.c[name] - seconds for name in ("expires_at", "polled_at")}
        await connection.execute(update(devices).values(**earlier))
