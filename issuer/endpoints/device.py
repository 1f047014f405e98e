"""``GET|POST /oauth2/device``: where a person lets a device in (RFC 8628 section 3.3)."""

from typing import Final

import msgspec
from aiohttp import web

from issuer.clients import DEVICE_GRANT, Client
from issuer.devices import Device
from issuer.devices.user_code import read_user_code, shown
from issuer.endpoints.device_authorization import PAGE
from issuer.endpoints.form import read_form
from issuer.endpoints.login import Login, login_page
from issuer.endpoints.pages import browser_of, current_session, form_page, form_value, page
from issuer.endpoints.services import SERVICES, Services
from issuer.errors import invalid_request
from issuer.grants.user_grant import begun
from issuer.pages.form_seal import stale
from issuer.pages.scopes import described
from issuer.sessions import Session, login_claims
from issuer.users import User

ENTRY: Final = "device entry"
LOGIN: Final = "device after login"
DECISION: Final = "device decision"
NO_CODE: Final = "Enter the eight letters that your device shows."
WRONG: Final = "No device shows this code now. It may have expired: compare it with what your device shows."
TOO_LATE: Final = "The code has expired, or was used already. Start again on your device."


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """A code that somebody has typed who is logging in; as it is kept, and not looked up yet."""

    user_code: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is asked.

    Attributes:
        device: that wants to come in.
        by: ``sid`` of the session that it was shown in, and counts in.
    """

    device: Device
    by: str


@page
async def device(request: web.Request) -> web.Response:
    """Ask for the code. One that comes in the address is filled in, and no more: a link proves no device (section 5.4).

    Who has logged in meanwhile, in the same browser, goes on with the code of before.
    """
    services = request.app[SERVICES]
    sealed = request.query.get("request")
    if sealed is None:
        return _entry_page(request, read_user_code(request.query.get("user_code", "")))
    browser = services.cookies.browser(request)
    if browser is None:
        raise stale()
    now = services.parts.clock.now()
    typed = services.seal.open(LOGIN, sealed, Entered, bound_to=browser, now=now)
    return await _go_on(request, typed.user_code)


@page
async def entered(request: web.Request) -> web.Response:
    """A person has typed a code, on our own page."""
    form = await read_form(request)
    form_value(request, form, ENTRY, str)
    user_code = read_user_code(form.get("user_code", ""))
    if user_code is None:
        return _entry_page(request, None, fault=NO_CODE)
    return await _go_on(request, user_code)


@page
async def decided(request: web.Request) -> web.Response:
    """A person has decided, in this order.

    1 on our own page, in this browser · 2 in the session that it was shown in; else the device is shown again · 3 the
    client may still, and no revocation has hit the login · 4 once: nobody else has decided before.
    """
    services = request.app[SERVICES]
    form = await read_form(request)
    shown_before = form_value(request, form, DECISION, Decision)  # 1
    waiting, session = shown_before.device, await current_session(request)
    if session is None or session.sid != shown_before.by:  # 2
        return await _go_on(request, waiting.user_code)
    if form.get("decision") == "deny":
        if not await services.parts.devices.deny(waiting):
            return _entry_page(request, None, fault=TOO_LATE)
        return services.pages.answer("notice", heading="Refused", words="The device was not let in.")
    if form.get("decision") != "allow":
        raise invalid_request("Decide by one of the two buttons.")
    client = await _client(services, waiting)  # 3
    if client is None:
        return _entry_page(request, None, fault=TOO_LATE)
    if await _user(services, client, waiting, session) is None:
        return _ask_who_it_is(request, waiting.user_code)
    if not await services.parts.devices.allow(waiting, session):  # 4
        return _entry_page(request, None, fault=TOO_LATE)
    words = f"{client.name or client.client_id} goes on by itself in a few seconds. You can close this page."
    return services.pages.answer("notice", heading="Your device is connected", words=words)


async def _go_on(request: web.Request, user_code: str) -> web.Response:
    """From a code to the question, in this order.

    1 a user who has logged in: nobody else learns whether there is such a code (section 5.1) · 2 the device, a wrong
    code counted · 3 its client · 4 no revocation has hit the login · 5 the user is asked, however often before:
    what is asked is not whether the client is good, but whether this is their device.
    """
    services = request.app[SERVICES]
    session = await current_session(request)
    if session is None:  # 1
        return _ask_who_it_is(request, user_code)
    waiting = await services.parts.devices.find(user_code, guessed_by=session.sub)  # 2
    client = None if waiting is None else await _client(services, waiting)  # 3
    if waiting is None or client is None:
        return _entry_page(request, user_code, fault=WRONG)
    user = await _user(services, client, waiting, session)  # 4
    if user is None:
        return _ask_who_it_is(request, user_code)
    return form_page(  # 5
        request,
        *("device_consent", DECISION, Decision(device=waiting, by=session.sid)),
        client=client.name or client.client_id,
        username=user.username,
        user_code=shown(user_code),
        scopes=described(waiting.scope),
    )


def _entry_page(request: web.Request, user_code: str | None, *, fault: str = "") -> web.Response:
    return form_page(
        request,
        *("device", ENTRY, ""),
        status=400 if fault else 200,
        user_code="" if user_code is None else shown(user_code),
        fault=fault,
    )


def _ask_who_it_is(request: web.Request, user_code: str) -> web.Response:
    """Log in, and come back. The client is not named: the code has not been looked up."""
    services = request.app[SERVICES]
    now = services.parts.clock.now()
    sealed = services.seal.seal(LOGIN, Entered(user_code=user_code), bound_to=browser_of(request), now=now)
    return login_page(request, Login(destination=f"{services.pages.address(PAGE)}?request={sealed}"))


async def _client(services: Services, waiting: Device) -> Client | None:
    client = await services.clients.find(waiting.client_id)
    return None if client is None or DEVICE_GRANT not in client.grants else client


async def _user(services: Services, client: Client, waiting: Device, session: Session) -> User | None:
    """Whose session it is, unless a revocation since the login hits the tokens that would come of it."""
    user = await services.users.find(session.sub)
    if user is None or user.disabled:
        return None
    would_be = begun(
        services.parts,
        client,
        user,
        grant_type=DEVICE_GRANT,
        scope=waiting.scope,
        audience=waiting.audience,
        gsq=session.gsq,
        auth_time=session.auth_time,
        claims=login_claims(session.sid, session.amr),
    )
    return user if await services.tokens.would_stand(would_be) else None
