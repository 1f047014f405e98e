"""Errors become answers, and every request has an id."""

import logging
import random
import re
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from issuer.endpoints.access_log import route_of
from issuer.endpoints.answers import error_answer
from issuer.errors import Conflict, NotFound, OAuthError, StoreUnavailable, WrapperUnavailable
from verifier_agent import VerificationUnavailable

log = logging.getLogger(__name__)

REQUEST_ID: Final = "X-Request-Id"
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


@web.middleware
async def request_ids(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take the caller's request id, or make one; it is in every log line and in the answer."""
    given = request.headers.get(REQUEST_ID, "")
    request_id = given if _ID.fullmatch(given) else f"{random.getrandbits(64):016x}"
    # Not bound for the request alone, which costs ten times as much: the next one on the connection binds its own.
    structlog.contextvars.bind_contextvars(request_id=request_id)
    response = await handler(request)
    response.headers[REQUEST_ID] = request_id
    return response


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer each error in the form of RFC 6749 section 5.2; what nobody expected is logged and answered 500."""
    try:
        return await handler(request)
    except OAuthError as error:
        return error_answer(error)
    except NotFound as error:
        return error_answer(OAuthError("not_found", str(error), status=404))
    except Conflict as error:
        return error_answer(OAuthError("conflict", str(error), status=409))
    except (StoreUnavailable, VerificationUnavailable, WrapperUnavailable) as error:
        log.warning("request_unavailable", extra={"route": route_of(request), "error": str(error)})
        answer = OAuthError("temporarily_unavailable", "try again later", status=503)
        return error_answer(answer)
    except web.HTTPException as error:
        response = error_answer(OAuthError(*_http_error(error), status=error.status))
        if "Allow" in error.headers:  # due with 405 (RFC 9110 section 15.5.6)
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except Exception:  # the last resort: the client learns nothing, the log everything
        log.exception("request_failed", extra={"route": route_of(request), "method": request.method})
        return error_answer(OAuthError("server_error", "something went wrong here", status=500))


def _http_error(error: web.HTTPException) -> tuple[str, str]:
    if isinstance(error, web.HTTPNotFound):
        return "not_found", "there is nothing at this address"
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return "invalid_request", "the body is too large"
    return "invalid_request", error.reason
