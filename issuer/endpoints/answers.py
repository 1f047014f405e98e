"""Answers as JSON, never stored by anybody on the way (RFC 6749 section 5.1)."""

import math
from typing import Any, Final

import msgspec
from aiohttp import web

from issuer.errors import OAuthError

NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def json_answer(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """``body`` as JSON, with ``no-store`` unless ``headers`` say how long it may be kept."""
    given = headers or {}
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type="application/json",
        headers=given if "Cache-Control" in given else {**NO_STORE, **given},
    )


def error_answer(error: OAuthError) -> web.Response:
    """The answer of RFC 6749 section 5.2."""
    headers = {"WWW-Authenticate": error.challenge} if error.challenge else {}
    if (seconds := retry_after(error)) is not None:
        headers["Retry-After"] = str(seconds)
    body = {"error": error.error, "error_description": error.description}
    return json_answer(body, status=error.status, headers=headers)


def retry_after(error: OAuthError) -> int | None:
    """When to come again, in whole seconds (RFC 9110 section 10.2.3); ``None`` where that is not known."""
    return None if error.retry_after is None else max(1, math.ceil(error.retry_after))
