"""From a client's request to its code, by way of login and consent; as far as it comes at a time."""

from typing import Final

import msgspec
from aiohttp import web

from issuer.authorization import answer
from issuer.authorization.checks import checked, recipient
from issuer.authorization.request import AuthorizationRequest, read_parameters
from issuer.clients import CODE_GRANT
from issuer.endpoints.login import Login, login_page
from issuer.endpoints.pages import browser_of, form_page, hinted
from issuer.endpoints.services import SERVICES, Services
from issuer.errors import OAuthError, StoreUnavailable
from issuer.grants.user_grant import begun
from issuer.pages.scopes import described
from issuer.redirect_uris import form_target, origin
from issuer.sessions import Session, login_claims
from issuer.users import User

LOGIN: Final = "authorization after login"
CONSENT: Final = "consent"


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose user is elsewhere, logging in.

    Attributes:
        query: of the request, as it came. All of it is checked again.
        sid: of the session that there was when it came: ``prompt=login`` wants another.
    """

    query: str
    sid: str | None


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """What a user is asked to agree to.

    Attributes:
        query: of the client's request, as it came.
        sid: see ``Pending``.
        by: ``sid`` of the session that it was shown in, and counts in.
        scope: what was shown.
    """

    query: str
    sid: str | None
    by: str
    scope: tuple[str, ...]


def may_be_remembered(asked: AuthorizationRequest) -> bool:
    """Whether a consent of before counts: not where any application can pose as this one (RFC 8252 section 8.6).

    A public client is known by where its answer goes; a loopback port and a private scheme are anybody's.
    """
    return not asked.client.public or asked.redirect_uri.startswith("https:")


def consent_page(request: web.Request, asked: AuthorizationRequest, consent: Consent, user: User) -> web.Response:
    """Ask the user."""
    return form_page(
        request,
        *("consent", CONSENT, consent),
        form_targets=(form_target(asked.redirect_uri),),
        client=asked.client.name or asked.client.client_id,
        username=user.username,
        scopes=described(asked.scope),
        target=origin(asked.redirect_uri),
    )


async def go_on(
    request: web.Request, pending: Pending, session: Session | None, agreed: frozenset[str] | None = None
) -> web.Response:
    """Bring a request as far as it comes, in this order.

    1 whom errors may be told to; until then they are for the person alone · 2 every parameter · 3 a user who has
    logged in recently enough, is whom the client means, and whom no revocation has hit since · 4 the user's consent ·
    5 the code.

    Args:
        request: of the browser.
        pending: the client's.
        session: who is logged in.
        agreed: scopes that the user has agreed to just now.
    """
    services = request.app[SERVICES]
    parameters = read_parameters(pending.query)
    to = recipient(parameters, await services.clients.find(parameters.get("client_id") or ""))  # 1
    try:
        asked = checked(parameters, to, services.settings.audience)  # 2
        hint = hinted(services, parameters)  # 3
        user = await _user(services, asked, pending, session, None if hint is None else hint.sub)
        if session is None or user is None:
            return _ask_who_it_is(request, asked, pending)
        if await _must_be_asked(services, asked, session, agreed):  # 4
            consent = Consent(query=pending.query, sid=pending.sid, by=session.sid, scope=asked.scope)
            return consent_page(request, asked, consent, user)
        code = await services.parts.codes.give(asked, session)  # 5
        if code is None:
            return _ask_who_it_is(request, asked, pending)
    except OAuthError as error:
        return services.pages.redirect(answer.refused(to, services.settings.issuer, error))
    except StoreUnavailable:
        away = OAuthError("temporarily_unavailable", "try again later")
        return services.pages.redirect(answer.refused(to, services.settings.issuer, away))
    return services.pages.redirect(answer.granted(asked, services.settings.issuer, code.reveal()))


async def _user(
    services: Services, asked: AuthorizationRequest, pending: Pending, session: Session | None, meant: str | None
) -> User | None:
    """Whose session it is, if it suffices for this request.

    Raises:
        OAuthError: ``login_required``: another user than ``meant`` has logged in (OpenID Connect Core 3.1.2.1).
    """
    if session is None:
        return None
    somebody_else = meant is not None and session.sub != meant
    if session.sid == pending.sid:  # nobody has logged in for this request
        too_old = asked.max_age is not None and services.parts.clock.now() - session.auth_time > asked.max_age
        if too_old or somebody_else or "login" in asked.prompt:
            return None
    elif somebody_else:
        raise OAuthError("login_required", "another user than the one in id_token_hint has logged in")
    user = await services.users.find(session.sub)
    if user is None or user.disabled:
        return None
    return user if await _would_stand(services, asked, session, user) else None


async def _would_stand(services: Services, asked: AuthorizationRequest, session: Session, user: User) -> bool:
    """Whether no revocation since the login hits the tokens that would come of it, by whatever claim."""
    would_be = begun(
        *(services.parts, asked.client, user),
        grant_type=CODE_GRANT,
        scope=asked.scope,
        audience=asked.audience,
        gsq=session.gsq,
        auth_time=session.auth_time,
        claims=login_claims(session.sid, session.amr),
    )
    return await services.tokens.would_stand(would_be)


def _ask_who_it_is(request: web.Request, asked: AuthorizationRequest, pending: Pending) -> web.Response:
    if "none" in asked.prompt:
        raise OAuthError("login_required", "the user must log in")
    services = request.app[SERVICES]
    now = services.parts.clock.now()
    sealed = services.seal.seal(LOGIN, pending, bound_to=browser_of(request), now=now)
    wanted = Login(
        destination=f"{services.pages.address('/oauth2/continue')}?request={sealed}",
        client=asked.client.name or asked.client.client_id,
        form_targets=(form_target(asked.redirect_uri),),
    )
    return login_page(request, wanted, username=asked.login_hint)


async def _must_be_asked(
    services: Services, asked: AuthorizationRequest, session: Session, agreed: frozenset[str] | None
) -> bool:
    """Whether the user has to agree first.

    Raises:
        OAuthError: ``consent_required``: so it is, and the client wants nobody asked.
    """
    if agreed is not None:
        return not set(asked.scope) <= agreed
    if "consent" not in asked.prompt:
        if asked.client.skip_consent:
            return False
        known = (session.sub, asked.client.client_id, asked.scope)
        if may_be_remembered(asked) and await services.consents.covers(*known):
            return False
    if "none" in asked.prompt:
        raise OAuthError("consent_required", "the user must agree")
    return True
