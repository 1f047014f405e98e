"""``GET /admin/v1/openapi.json``: every endpoint, for people and programs."""

from aiohttp import web

from issuer.endpoints.answers import json_answer
from issuer.endpoints.cross_origin import for_any_origin
from issuer.endpoints.metadata import KEPT
from issuer.endpoints.services import SERVICES
from issuer.openapi import document


@for_any_origin
async def openapi(request: web.Request) -> web.Response:
    """The document. It says what is documented elsewhere too, so nobody has to authenticate."""
    return json_answer(document(request.app[SERVICES].settings.issuer), headers=KEPT)
