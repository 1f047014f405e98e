"""``GET /admin/v1/config``: what configuration is in force here, where it came from, and what was refused and why."""

import msgspec
from aiohttp import web

from issuer.endpoints.admin import READ, needs
from issuer.endpoints.answers import json_answer
from issuer.endpoints.services import SERVICES
from issuer.errors import NotFound


@needs(READ)
async def show(request: web.Request) -> web.Response:
    """``GET``: a ``ConfigurationReport`` of the process that answers; secrets are left out."""
    followed = request.app[SERVICES].followed
    if followed is None:
        raise NotFound("this issuer was given its settings by a program, which knows where they come from")
    return json_answer(msgspec.to_builtins(followed.report()))
