"""``GET|POST /oauth2/logout`` (OpenID Connect RP-Initiated Logout 1.0)."""

from typing import Final

import msgspec
from aiohttp import web

from issuer.authorization.answer import address
from issuer.authorization.request import MAX_QUERY, Parameters, read_parameters
from issuer.clients import Client
from issuer.endpoints.form import read_form
from issuer.endpoints.pages import current_session, form_as_query, form_page, form_value, hinted, page
from issuer.endpoints.services import SERVICES, Services
from issuer.errors import invalid_request
from issuer.pages.form_seal import stale
from issuer.redirect_uris import form_target
from issuer.sessions import Session
from issuer.sessions.id_token_hint import IdTokenHint

PURPOSE: Final = "logout"


class Logout(msgspec.Struct, frozen=True, kw_only=True):
    """What a user is asked to confirm; ``then`` is where the browser goes afterwards."""

    then: str | None


@page
async def logout(request: web.Request) -> web.Response:
    """End the session of this browser, in this order.

    1 whose ID token it is that the client shows, if it does · 2 which client asks · 3 whether it has registered where
    it wants the browser to go · 4 the session; where 1 does not name it, the person is asked, as any page can send a
    browser here (section 6).
    """
    services = request.app[SERVICES]
    parameters = read_parameters(request.rel_url.raw_query_string)
    if parameters.repeated:
        raise invalid_request(f"parameter {min(parameters.repeated)[:64]!r} is repeated")
    hint = hinted(services, parameters)  # 1
    client = await _client(services, parameters, hint)  # 2
    then = _then(parameters, client)  # 3
    session = await current_session(request)  # 4
    if session is not None and not _means(hint, session):
        return await _confirmation(request, session, client, then)
    return await _ended(request, session, then, "client" if client is None else f"client {client.client_id}")


@page
async def logout_by_form(request: web.Request) -> web.Response:
    """A client's request by POST, turned into GET; or the answer to our own question."""
    services = request.app[SERVICES]
    form = await read_form(request)
    if "form" not in form:
        return await form_as_query(request, "/oauth2/logout", MAX_QUERY)
    session = await current_session(request)
    if session is None:
        raise stale()
    asked = form_value(request, form, PURPOSE, Logout, bound_to=session.sid)
    if form.get("decision") != "logout":
        return services.pages.answer("notice", heading="Still signed in", words="Nothing has changed.")
    return await _ended(request, session, asked.then, "user")


async def _client(services: Services, parameters: Parameters, hint: IdTokenHint | None) -> Client | None:
    named = parameters.get("client_id")
    if hint is not None and named not in (None, hint.aud):
        raise invalid_request("The ID token was issued to another application (id_token_hint).")
    client_id = named or (None if hint is None else hint.aud)
    return None if client_id is None else await services.clients.find(client_id)


def _then(parameters: Parameters, client: Client | None) -> str | None:
    wanted = parameters.get("post_logout_redirect_uri")
    if wanted is None:
        return None
    if client is None or wanted not in client.post_logout_redirect_uris:
        raise invalid_request(
            "The address to go to is not one that the application has registered (post_logout_redirect_uri)."
        )
    state = parameters.get("state")
    return wanted if state is None else address(wanted, {"state": state})


def _means(hint: IdTokenHint | None, session: Session) -> bool:
    return hint is not None and hint.sub == session.sub and hint.sid in (None, session.sid)


async def _confirmation(
    request: web.Request, session: Session, client: Client | None, then: str | None
) -> web.Response:
    user = await request.app[SERVICES].users.find(session.sub)
    return form_page(
        request,
        *("logout", PURPOSE, Logout(then=then)),
        bound_to=session.sid,
        form_targets=() if then is None else (form_target(then),),
        client="" if client is None else client.name or client.client_id,
        username=session.sub if user is None else user.username,
    )


async def _ended(request: web.Request, session: Session | None, then: str | None, actor: str) -> web.Response:
    services = request.app[SERVICES]
    if session is not None:
        await services.parts.sessions.end(session, reason="logged out", actor=actor)
    if then is None:
        response = services.pages.answer("notice", heading="Signed out", words="You can close this page.")
    else:
        response = services.pages.redirect(then)
    services.cookies.forget_session(response)
    return response
