"""``POST /oauth2/global-token-revocation`` (draft-parecki-oauth-global-token-revocation): everything of one user ends.

For programs of others: a tool for incidents, or the identity provider of a customer. Who calls has a token of ours with
the scope that revoking takes, and goes with the operators, before all self-service.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from aiohttp import web

from events import Selector
from issuer.endpoints.admin import ACTOR, REVOKE, needs, read_body
from issuer.endpoints.answers import NO_STORE
from issuer.endpoints.services import SERVICES, Services
from issuer.errors import NotFound

AUTH_METHODS: Final = ("Bearer",)
"""Of the registry of access token types, as the draft allows."""
REASON: Final = "global token revocation"


class IssuerAndSubject(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="format", tag="iss_sub"):
    """RFC 9493 section 3.2.3."""

    iss: str
    sub: str


class Opaque(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="format", tag="opaque"):
    """RFC 9493 section 3.2.4: a ``sub`` of ours."""

    id: str


class Email(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="format", tag="email"):
    """RFC 9493 section 3.2.2: the claim ``email`` of a user's record."""

    email: str


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom it is about, as a subject identifier (RFC 9493)."""

    sub_id: IssuerAndSubject | Opaque | Email


@needs(REVOKE)
async def revoke_all(request: web.Request) -> web.Response:
    """204 once it is durable, enforced here and on its way to every verifier.

    Access and refresh tokens, sessions and codes end, as by ``tocsin revoke --sub``; what comes of a login after that
    is good. 400 for a format that is not known here, 404 when there is nobody of that name.
    """
    services = request.app[SERVICES]
    subjects = await _subjects(services, (await read_body(request, Body)).sub_id)
    if not subjects:
        raise NotFound("there is no such subject")
    async with services.database.write(urgent=True) as connection:
        events = [
            await services.revocations.decide(connection, Selector.of(sub=sub), reason=REASON, actor=request[ACTOR])
            for sub in subjects
        ]
    for event in events:
        await services.revocations.enforce(event)
    return web.Response(status=204, headers=NO_STORE)


async def _subjects(services: Services, sub_id: IssuerAndSubject | Opaque | Email) -> Sequence[str]:
    """Whom it names: all users of an address that several have, as one of them is meant and each can log in again."""
    if not all(text.isprintable() for text in msgspec.structs.astuple(sub_id)):
        return []  # nobody is called so, and not every store could look for it
    if isinstance(sub_id, Email):
        return [user.sub for user in await services.users.with_email(sub_id.email)]
    if isinstance(sub_id, IssuerAndSubject) and sub_id.iss != services.settings.issuer:
        return []
    sub = sub_id.sub if isinstance(sub_id, IssuerAndSubject) else sub_id.id
    known = await services.users.find(sub) is not None or await services.families.speak_for(sub)
    return [sub] if known else []
