"""The login page, and ``POST /oauth2/login``, where its form goes."""

from typing import Final

import msgspec
from aiohttp import web

from issuer.endpoints.answers import retry_after
from issuer.endpoints.asker import address_of
from issuer.endpoints.form import read_form
from issuer.endpoints.pages import form_page, form_value, page
from issuer.endpoints.services import SERVICES
from issuer.errors import OAuthError
from issuer.users import User

PURPOSE: Final = "login"
WRONG: Final = "The user name or the password is wrong."
MISSING: Final = "Enter your user name and your password."


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """What a login is for.

    Attributes:
        destination: address of ours where the browser goes afterwards.
        client: name of the application, for people.
        form_targets: see ``Pages.answer``.
    """

    destination: str
    client: str = ""
    form_targets: tuple[str, ...] = ()


def login_page(
    request: web.Request, wanted: Login, *, username: str = "", fault: str = "", status: int = 200
) -> web.Response:
    """Ask who it is, to go on to ``wanted.destination``; ``username`` may be a hint (OIDC Core section 3.1.2.1)."""
    return form_page(
        request,
        *("login", PURPOSE, wanted),
        status=status,
        form_targets=wanted.form_targets,
        client=wanted.client,
        username=username,
        fault=fault,
    )


@page
async def login(request: web.Request) -> web.Response:
    """Log in, in this order.

    1 knowledge of revocations, before anything is looked up · 2 the form is ours, made for this browser ·
    3 the password · 4 a new session under a new id, the one before ends · 5 on to where the login was for, which we
    sealed ourselves.
    """
    services = request.app[SERVICES]
    gsq, auth_time = services.own_agent.rsq, services.parts.clock.now()  # 1
    form = await read_form(request)
    wanted = form_value(request, form, PURPOSE, Login)  # 2
    username, password = form.get("username", ""), form.get("password", "")
    if not username or not password:
        return login_page(request, wanted, username=username, fault=MISSING, status=400)
    try:
        user = await _authenticated(request, username, password)  # 3
    except OAuthError as error:
        return _later(request, wanted, username, error)
    if user is None:
        return login_page(request, wanted, username=username, fault=WRONG, status=400)
    _, held = await services.parts.sessions.begin(  # 4
        user.sub, gsq=gsq, auth_time=auth_time, replaces=services.cookies.session(request)
    )
    response = services.pages.redirect(wanted.destination)  # 5
    services.cookies.set_session(response, held)
    return response


async def _authenticated(request: web.Request, username: str, password: str) -> User | None:
    """The user whose password this is. The one place where passwords are tried in a browser, and may be slowed down."""
    return await request.app[SERVICES].users.log_in(username, password, address=address_of(request).key)


def _later(request: web.Request, wanted: Login, username: str, error: OAuthError) -> web.Response:
    """Ask again, saying when it may be tried: the password has not been looked at."""
    seconds = retry_after(error)
    if seconds is None:
        raise error
    why = "There were too many attempts." if error.status == 429 else "Too many people log in at this moment."
    fault = f"{why} Try again in {seconds} second{'' if seconds == 1 else 's'}."
    response = login_page(request, wanted, username=username, fault=fault, status=error.status)
    response.headers["Retry-After"] = str(seconds)
    return response
