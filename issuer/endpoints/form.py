"""Form parameters as OAuth wants them: UTF-8, each at most once, empty ones left out (RFC 6749 section 3.2)."""

import re
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

from issuer.errors import invalid_request

MAX_FIELDS: Final = 50
REPEATED: Final = "a parameter is repeated"
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""Names that may stand in ``error_description`` (RFC 6749 section 5.2)."""


async def read_form(request: web.Request) -> dict[str, str]:
    """The parameters in the body.

    Raises:
        OAuthError: ``invalid_request``, when the body is no form, repeats a parameter or has too many.
        aiohttp.web.HTTPRequestEntityTooLarge: it is larger than the application reads.
    """
    if request.content_type != "application/x-www-form-urlencoded":
        raise invalid_request("the body must be application/x-www-form-urlencoded")
    body = await request.read()
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError as error:  # not ASCII, not UTF-8 behind the percent signs, or too many fields
        raise invalid_request("the body is no form in UTF-8") from error
    form = dict(pairs)
    if len(form) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise invalid_request(f"parameter {repeated!r} is repeated" if _NAME.fullmatch(repeated) else REPEATED)
    return {name: value for name, value in form.items() if value}


def required(form: dict[str, str], name: str) -> str:
    """A parameter that must be there.

    Raises:
        OAuthError: ``invalid_request``, when it is not.
    """
    if name not in form:
        raise invalid_request(f"parameter {name!r} is missing")
    return form[name]
