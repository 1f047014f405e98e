"""``GET`` and ``POST /oauth2/userinfo`` (OpenID Connect Core section 5.3): what a client may know of its user."""

from typing import Final

from aiohttp import web

from issuer.endpoints import bearer
from issuer.endpoints.answers import json_answer
from issuer.endpoints.cross_origin import for_any_origin
from issuer.endpoints.form import read_form
from issuer.endpoints.services import SERVICES
from issuer.families.family_store import CLAIM
from issuer.openid import OPENID, released

_FORM: Final = "application/x-www-form-urlencoded"


@for_any_origin
async def userinfo(request: web.Request) -> web.Response:
    """Answer the claims that the token's scopes let through, in this order.

    1 the token, by header or form and never by both (RFC 6750 section 2) · 2 good now and with scope ``openid``, for
    whatever service it is · 3 of a user's consent: a client's own token may have a ``client_id`` for its ``sub`` that
    is a user's (RFC 9700 section 4.15) · 4 the user, who must be there and not disabled · 5 their claims.
    """
    claims = bearer.judged(request, await _presented(request), audience=None, scope=OPENID)  # 1, 2
    if CLAIM not in claims.raw or claims.sub is None:  # 3
        raise bearer.refused("invalid_token", "the token does not speak for a user", status=401)
    user = await request.app[SERVICES].users.find(claims.sub)  # 4
    if user is None or user.disabled:
        raise bearer.refused("invalid_token", "the user may do nothing any more", status=401)
    return json_answer(released(user, claims.scope))  # 5


async def _presented(request: web.Request) -> str | None:
    header = bearer.in_header(request)
    if request.method != "POST" or request.content_type != _FORM:
        return header
    in_form = (await read_form(request)).get("access_token")
    if header is not None and in_form is not None:
        raise bearer.refused("invalid_request", "the token comes by header or in the form, not by both", status=400)
    return header or in_form
