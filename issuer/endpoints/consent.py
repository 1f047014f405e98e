"""``POST /oauth2/consent``: what a user has decided on the consent page."""

from aiohttp import web

from issuer.authorization import answer
from issuer.authorization.checks import recipient
from issuer.authorization.request import read_parameters
from issuer.endpoints.authorization_flow import CONSENT, Consent, Pending, go_on
from issuer.endpoints.form import read_form
from issuer.endpoints.pages import current_session, form_value, page
from issuer.endpoints.services import SERVICES
from issuer.errors import OAuthError, invalid_request


@page
async def consent(request: web.Request) -> web.Response:
    """What the user has decided: remember it and go on, or tell the client that it may not.

    Consent in a session that has ended meanwhile, or was somebody else's, is none: the request goes on without it.
    A refusal counts whoever is logged in by now, who may have agreed to the same long ago.
    """
    services = request.app[SERVICES]
    form = await read_form(request)
    shown = form_value(request, form, CONSENT, Consent)
    parameters = read_parameters(shown.query)
    to = recipient(parameters, await services.clients.find(parameters.get("client_id") or ""))
    if form.get("decision") == "deny":
        error = OAuthError("access_denied", "the user does not agree")
        return services.pages.redirect(answer.refused(to, services.settings.issuer, error))
    if form.get("decision") != "allow":
        raise invalid_request("Decide by one of the two buttons.")
    session, pending = await current_session(request), Pending(query=shown.query, sid=shown.sid)
    if session is None or session.sid != shown.by:
        return await go_on(request, pending, session)
    await services.consents.give(session.sub, to.client.client_id, shown.scope)
    return await go_on(request, pending, session, agreed=frozenset(shown.scope))
