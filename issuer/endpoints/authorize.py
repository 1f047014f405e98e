"""``GET|POST /oauth2/authorize`` (RFC 6749 section 3.1), and where its requests go on after a login."""

from aiohttp import web

from issuer.authorization.request import MAX_QUERY
from issuer.endpoints.authorization_flow import LOGIN, Pending, go_on
from issuer.endpoints.pages import current_session, form_as_query, page
from issuer.endpoints.services import SERVICES
from issuer.pages.form_seal import stale


@page
async def authorize(request: web.Request) -> web.Response:
    """A client's request, by GET."""
    session = await current_session(request)
    query = request.rel_url.raw_query_string
    return await go_on(request, Pending(query=query, sid=None if session is None else session.sid), session)


@page
async def authorize_by_form(request: web.Request) -> web.Response:
    """The same by POST (OpenID Connect Core section 3.1.2.1), turned into GET."""
    return await form_as_query(request, "/oauth2/authorize", MAX_QUERY)


@page
async def resume(request: web.Request) -> web.Response:
    """``GET /oauth2/continue``: the user has logged in; the request goes on in the browser that it came from."""
    services = request.app[SERVICES]
    sealed, now = request.query.get("request", ""), services.parts.clock.now()
    browser = services.cookies.browser(request)
    if browser is None:
        raise stale()
    pending = services.seal.open(LOGIN, sealed, Pending, bound_to=browser, now=now)
    return await go_on(request, pending, await current_session(request))
