"""What the addresses for people have in common: errors are pages, and forms belong to one browser."""

import re
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final, TypeVar

import structlog
from aiohttp import web

from issuer.authorization.request import Parameters
from issuer.endpoints.form import required
from issuer.endpoints.services import SERVICES, Services
from issuer.errors import OAuthError, StoreUnavailable, invalid_request
from issuer.pages.form_seal import stale
from issuer.pages.pages import HEADERS
from issuer.sessions import Session
from issuer.sessions.id_token_hint import IdTokenHint, id_token_hint
from verifier_agent import VerificationUnavailable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")

BROWSER = web.RequestKey("browser", str)
"""The name that this browser has, or is about to be given."""

_FORM: Final = re.compile(r"[A-Za-z0-9._~*+%&=!$'(),;:@/?-]*")
"""What a form may hold without meaning something else in an address (RFC 3986 section 3.4)."""
_OWN: Final = (None, "same-origin", "none")
"""Values of ``Sec-Fetch-Site`` with which a form of ours is sent; older browsers send none."""


def page(handler: Handler) -> Handler:
    """Show the errors of a handler to the person in front of it."""

    @wraps(handler)
    async def shown(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except OAuthError as error:
            return error_page(request, error)
        except (StoreUnavailable, VerificationUnavailable):
            return error_page(request, OAuthError("temporarily_unavailable", "Try again in a moment.", status=503))
        except web.HTTPRequestEntityTooLarge:
            return error_page(request, OAuthError("invalid_request", "What was sent is too large.", status=413))

    return shown


def error_page(request: web.Request, error: OAuthError) -> web.Response:
    """The page that says what went wrong; nobody is sent anywhere from it."""
    away = error.status == 503
    return request.app[SERVICES].pages.answer(
        "error",
        status=error.status,
        heading="We cannot do this right now" if away else "This did not work",
        description=error.description,
        code=error.error,
        request_id=structlog.contextvars.get_contextvars().get("request_id", "-"),
    )


async def stylesheet(request: web.Request) -> web.Response:
    """``GET /oauth2/pages/style-….css``: named by its content, so it may be kept for ever."""
    pages = request.app[SERVICES].pages
    if request.match_info["name"] != pages.stylesheet_name:
        raise web.HTTPNotFound
    headers = HEADERS | {"Cache-Control": "public, max-age=31536000, immutable"}
    del headers["Pragma"]
    return web.Response(body=pages.stylesheet, content_type="text/css", charset="utf-8", headers=headers)


async def current_session(request: web.Request) -> Session | None:
    """Who is logged in in this browser, and may be still."""
    services = request.app[SERVICES]
    held = services.cookies.session(request)
    return None if held is None else await services.parts.sessions.find(held)


def hinted(services: Services, parameters: Parameters) -> IdTokenHint | None:
    """Whom the client means, by the parameter ``id_token_hint``; one that is no ID token of ours is no hint."""
    keys = services.own_agent.verifier.state.keys
    return id_token_hint(parameters.get("id_token_hint") or "", keys, services.settings.issuer)


async def form_as_query(request: web.Request, path: str, most: int) -> web.Response:
    """Turn a form that another site has sent here into a GET of ``path``: with a POST browsers send no ``Lax`` cookie.

    Raises:
        OAuthError: ``invalid_request``: it is no form, or longer than ``most`` characters.
    """
    if request.content_type != "application/x-www-form-urlencoded":
        raise invalid_request("the body must be application/x-www-form-urlencoded")
    body = (await request.read()).decode("latin-1")
    if len(body) > most or not _FORM.fullmatch(body):
        raise invalid_request(f"the request is no form, or longer than {most} characters")
    pages = request.app[SERVICES].pages
    return pages.redirect(f"{pages.address(path)}?{body}")


def browser_of(request: web.Request) -> str:
    """The browser's name; a new one, which the page that is answered gives it, where it has none."""
    if BROWSER not in request:
        cookies = request.app[SERVICES].cookies
        request[BROWSER] = cookies.browser(request) or cookies.new_browser()
    return request[BROWSER]


def form_page(
    request: web.Request, name: str, purpose: str, value: Any, *, bound_to: str = "", status: int = 200, **values: Any
) -> web.Response:
    """The page ``name`` with a form that carries ``value`` to itself; a browser without a name is given one.

    Args:
        request: which is answered.
        name: of the page.
        purpose: see ``FormSeal.seal``.
        value: what ``form_value`` gives when the form is sent.
        bound_to: what must be the same then, beside the browser.
        status: of the answer.
        values: what the page shows, and ``form_targets`` of ``Pages.answer``.
    """
    services = request.app[SERVICES]
    browser = browser_of(request)
    now = services.parts.clock.now()
    sealed = services.seal.seal(purpose, value, bound_to=f"{browser}\0{bound_to}", now=now)
    response = services.pages.answer(name, status=status, form=sealed, **values)
    if services.cookies.browser(request) is None:
        services.cookies.set_browser(response, browser)
    return response


def form_value(request: web.Request, form: dict[str, str], purpose: str, kind: type[T], *, bound_to: str = "") -> T:
    """What the form carries, sent from our own page in the browser that the page was made for.

    Raises:
        OAuthError: it was not: somebody else's page sent it, or it is too old.
    """
    services = request.app[SERVICES]
    browser = services.cookies.browser(request)
    if browser is None or request.headers.get("Sec-Fetch-Site") not in _OWN:
        raise stale()
    now = services.parts.clock.now()
    return services.seal.open(purpose, required(form, "form"), kind, bound_to=f"{browser}\0{bound_to}", now=now)
