"""A login as a program on a machine of its own does it: the browser comes back to a port of ours (RFC 8252 7.3)."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from issuer.authorization.pkce import METHOD, challenge_of
from tocsin.errors import CommandFailed

ANSWER_SECONDS: Final = 15.0
VERIFIER_BYTES: Final = 48
STATE_BYTES: Final = 16


async def log_in(issuer: str, client_id: str, scope: str | None, tell: Callable[[str], None], *, wait: float) -> Any:
    """The token answer, when somebody has logged in.

    Args:
        issuer: its identifier, which is its URL.
        client_id: of a public client that may redirect to ``http://127.0.0.1/callback``.
        scope: what to ask for; all that the client may have when absent.
        tell: is given the address to open in a browser.
        wait: seconds to wait for the browser to come back.

    Raises:
        CommandFailed: the issuer or the user refuses, nobody comes, or somebody else's answer does.
    """
    verifier, state = secrets.token_urlsafe(VERIFIER_BYTES), secrets.token_urlsafe(STATE_BYTES)
    came: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
    runner = web.AppRunner(_listener(came, state), handle_signals=False, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        redirect_uri = f"http://127.0.0.1:{runner.addresses[0][1]}/callback"
        asked = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": redirect_uri,
            "state": state,
            "code_challenge": challenge_of(verifier),
            "code_challenge_method": METHOD,
            **({} if scope is None else {"scope": scope}),
        }
        tell(f"{issuer}/oauth2/authorize?{urlencode(asked)}")
        async with asyncio.timeout(wait):
            brought = await came
    except TimeoutError as error:
        raise CommandFailed(f"nobody has logged in within {wait:.0f} s") from error
    finally:
        await runner.cleanup()
    if brought.get("iss") != issuer:  # RFC 9207 section 2.4
        raise CommandFailed(f"the answer says that it comes from {brought.get('iss')!r}, not from {issuer}")
    if "code" not in brought:
        raise CommandFailed(brought.get("error_description") or "refused", code=brought.get("error", "failed"))
    return await _redeem(issuer, client_id, redirect_uri, brought["code"], verifier)


def _listener(came: asyncio.Future[dict[str, str]], state: str) -> web.Application:
    async def callback(request: web.Request) -> web.Response:
        if not secrets.compare_digest(request.query.get("state", "").encode(), state.encode()):
            return web.Response(status=400, text="This is not the login that was asked for.")
        if not came.done():
            came.set_result(dict(request.query))
        return web.Response(text="Done. You can close this page.", headers={"Cache-Control": "no-store"})

    app = web.Application()
    app.router.add_get("/callback", callback)
    return app


async def _redeem(issuer: str, client_id: str, redirect_uri: str, code: str, verifier: str) -> Any:
    form = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
    }
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session,
            session.post(f"{issuer}/oauth2/token", data=form) as response,
        ):
            answer: Any = await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise CommandFailed(f"the issuer at {issuer} did not answer: {error or 'time-out'}") from error
    if response.status != 200:
        raise CommandFailed(answer.get("error_description", "refused"), code=answer.get("error", "failed"))
    return answer
