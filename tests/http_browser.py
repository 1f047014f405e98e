"""A browser without a screen: cookies, redirects within the issuer, forms that are sent. And a client beside it."""

import base64
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from aiohttp import ClientSession, ClientTimeout, CookieJar
from argon2 import PasswordHasher
from yarl import URL

from tests.issuer_under_test import ANSWER_SECONDS, Answer, Credentials, Replica

CALLBACK: Final = "https://app.example/callback"
PASSWORD: Final = "correct horse battery staple"
MOST_REDIRECTS: Final = 5


class _Forms(HTMLParser):
    """The first form of a page, and everything that it says."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self.action = found.get("action")
        elif tag == "input" and found.get("name"):
            self.fields[str(found["name"])] = found.get("value") or ""

    def handle_data(self, data: str) -> None:
        self.text += data


class Page:
    """A page that a browser shows, or where it has been sent away to."""

    def __init__(self, url: str, answer: Answer) -> None:
        self.url = url
        self.answer = answer
        self.status = answer.status
        self._forms = _Forms()
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            self._forms.feed(answer.body.decode())

    @property
    def text(self) -> str:
        """What it says."""
        return " ".join(self._forms.text.split())

    @property
    def action(self) -> str:
        """Where its form goes."""
        assert self._forms.action is not None, f"no form at {self.url}: {self.text}"
        return self._forms.action

    @property
    def fields(self) -> dict[str, str]:
        """Of its form, with what stands in them."""
        return dict(self._forms.fields)

    @property
    def sent_to(self) -> str | None:
        """Where it sends the browser."""
        location = self.answer.headers.get("Location")
        return None if location is None else urljoin(self.url, location)

    @property
    def parameters(self) -> dict[str, str]:
        """What the browser brings to where it is sent."""
        assert self.sent_to is not None, f"{self.status} at {self.url}: {self.text}"
        return {name: values[0] for name, values in parse_qs(urlsplit(self.sent_to).query).items()}


class HttpBrowser:
    """One person's browser at one issuer."""

    def __init__(self, issuer: str, session: ClientSession) -> None:
        self.issuer = issuer
        self._session = session

    @property
    def cookies(self) -> dict[str, str]:
        """What it holds."""
        return {cookie.key: cookie.value for cookie in self._session.cookie_jar}

    def plant(self, name: str, value: str) -> None:
        """Have it hold a cookie that it was not given."""
        self._session.cookie_jar.update_cookies({name: value}, URL(self.issuer))

    async def get(self, address: str) -> Page:
        """Go there, and wherever it leads within the issuer."""
        return await self._ask("GET", address)

    async def post(self, address: str, fields: dict[str, str], **headers: str) -> Page:
        """Send a form there."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._ask("POST", address, data=fields, headers=sent)

    async def send(self, page: Page, **filled_in: str) -> Page:
        """Fill in the form of a page and send it."""
        return await self.post(page.action, {**page.fields, **filled_in})

    async def log_in(self, page: Page, username: str = "alice", password: str = PASSWORD) -> Page:
        """Fill in a login page."""
        assert "password" in page.fields, page.text
        return await self.send(page, username=username, password=password)

    async def _ask(self, method: str, address: str, **how: Any) -> Page:
        url = urljoin(self.issuer, address)
        for _ in range(MOST_REDIRECTS):
            async with self._session.request(method, URL(url, encoded=True), allow_redirects=False, **how) as response:
                page = Page(url, Answer(response.status, response.headers, await response.read()))
            if page.sent_to is None or not page.sent_to.startswith(self.issuer + "/oauth2/"):
                return page
            method, url, how = "GET", page.sent_to, {}
        raise AssertionError(f"no end of redirects at {url}")


@asynccontextmanager
async def http_browser(issuer: str) -> AsyncIterator[HttpBrowser]:
    """A new browser at an issuer, without any cookie."""
    jar = CookieJar(unsafe=True)  # the issuer of a test is an address
    async with ClientSession(cookie_jar=jar, timeout=ClientTimeout(total=ANSWER_SECONDS)) as session:
        yield HttpBrowser(issuer, session)


def hash_quickly(issuer: Replica) -> None:
    """Have passwords hashed in a hundredth of the time, where a test is about something else."""
    issuer.services.users._passwords._hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


def challenge(verifier: str) -> str:
    """RFC 7636 section 4.2, written down once more."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class WebClient:
    """A client that sends users to the issuer and redeems what they bring back."""

    issuer: Replica
    client_id: str
    secret: str | None = None
    redirect_uri: str = CALLBACK
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def request(self, **changes: str | None) -> str:
        """Where it sends users; ``None`` leaves a parameter out."""
        usual: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "state": "s-1",
            "code_challenge": challenge(self.verifier),
            "code_challenge_method": "S256",
        }
        query = urlencode({name: value for name, value in (usual | changes).items() if value is not None})
        return f"/oauth2/authorize?{query}"

    async def log_in(self, browser: HttpBrowser, **changes: str | None) -> str:
        """A code for alice, by way of every page that there is."""
        page = await browser.get(self.request(**changes))
        if "password" in page.fields:
            page = await browser.log_in(page)
        if page.sent_to is None:
            page = await browser.send(page, decision="allow")
        return page.parameters["code"]

    async def redeem(self, given: str, **changes: str | None) -> Answer:
        """The token answer."""
        usual: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": given,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
        }
        return await self.ask({**usual, **changes})

    async def refresh(self, refresh_token: str) -> Answer:
        """The token answer."""
        return await self.ask({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def ask(self, parameters: dict[str, str | None], path: str = "/oauth2/token") -> Answer:
        """A call of the token endpoint, or another, as this client."""
        form = {name: value for name, value in parameters.items() if value is not None}
        if self.secret is None:
            return await self.issuer.form(path, None, **{"client_id": self.client_id, **form})
        return await self.issuer.form(path, Credentials(self.client_id, self.secret), **form)
