"""Somebody's browser at the issuer's pages, and the application on this machine that sent the person there."""

import base64
import hashlib
import json
import secrets
import urllib.error
import urllib.request
from dataclasses import dataclass
from html.parser import HTMLParser
from http.client import HTTPMessage, HTTPResponse
from typing import IO, Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from tests.compose.stack import StackFailed

ANSWER_SECONDS = 10
CLIENT_ID = "demo-app"
REDIRECT_URI = "http://127.0.0.1/callback"


class _Form(HTMLParser):
    """The form of a page, and its style sheet."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.style = ""
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = found["action"]
        elif tag == "link" and found.get("rel") == "stylesheet":
            self.style = found["href"]
        elif tag == "input":
            self.fields[found["name"]] = found.get("value", "")


class _StayAtIssuer(urllib.request.HTTPRedirectHandler):
    """Follows where the issuer leads, and no further: nobody listens at the application's address."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            return None  # raised as an HTTPError, which has the address
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@dataclass(frozen=True)
class Login:
    """What came of it.

    Attributes:
        tokens: the token answer.
        style: media type of the pages' style sheet.
    """

    tokens: dict[str, Any]
    style: str


def log_in(issuer: str, username: str, password: str) -> Login:
    """Log in as a person does, agree, and redeem the code.

    Raises:
        StackFailed: a page is not the one that should come.
    """
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(), _StayAtIssuer())
    verifier = secrets.token_urlsafe(48)
    asked = {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": REDIRECT_URI,
        "scope": "openid demo:read",
        "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    page = _page(opener, f"{issuer}/oauth2/authorize?{urlencode(asked)}")
    if "password" not in page.fields or not page.style:
        raise StackFailed(f"that is no login page: fields {sorted(page.fields)}, style sheet {page.style!r}")
    with _open(opener, urljoin(issuer, page.style)) as answer:
        style = answer.headers.get_content_type()
    page = _page(opener, urljoin(issuer, page.action), page.fields | {"username": username, "password": password})
    code = _code(opener, urljoin(issuer, page.action), page.fields | {"decision": "allow"})
    redeemed = {"client_id": CLIENT_ID, "redirect_uri": REDIRECT_URI, "code": code, "code_verifier": verifier}
    with _open(opener, f"{issuer}/oauth2/token", {"grant_type": "authorization_code", **redeemed}) as answer:
        return Login(json.load(answer), style)


def _page(opener: urllib.request.OpenerDirector, url: str, form: dict[str, str] | None = None) -> _Form:
    with _open(opener, url, form) as answer:
        return _Form(answer.read().decode())


def _code(opener: urllib.request.OpenerDirector, url: str, form: dict[str, str]) -> str:
    """What the application is brought, when the form is sent."""
    try:
        with opener.open(url, urlencode(form).encode(), timeout=ANSWER_SECONDS) as answer:
            raise StackFailed(f"{answer.url} shows another page, where the browser should be sent back")
    except urllib.error.HTTPError as error:
        location = error.headers.get("Location", "")
        if not location.startswith(f"{REDIRECT_URI}?"):
            raise StackFailed(f"{url} answered {error.code}, location {location!r}") from error
    brought = parse_qs(urlsplit(location).query)
    if "code" not in brought:
        raise StackFailed(f"the application is brought no code: {brought}")
    return brought["code"][0]


def _open(opener: urllib.request.OpenerDirector, url: str, form: dict[str, str] | None = None) -> HTTPResponse:
    data = None if form is None else urlencode(form).encode()
    try:
        answer: HTTPResponse = opener.open(url, data, timeout=ANSWER_SECONDS)
    except urllib.error.HTTPError as error:
        raise StackFailed(f"{urlsplit(url).path} answered {error.code}: {error.read(300)!r}") from error
    return answer
