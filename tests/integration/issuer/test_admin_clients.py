"""Clients that are disabled, enabled and deleted: an operator's decisions, each with its event."""

import pytest

from tests.http_browser import HttpBrowser, WebClient
from tests.issuer_under_test import Credentials, Installation, Replica, on_every_store, rejection, until
from verifier_agent import RejectionCode


@on_every_store
@pytest.mark.parametrize("what", ["disable", "delete"])
async def test_a_client_that_is_ended_may_do_nothing_and_its_tokens_are_refused_everywhere(
    issuer: Replica, installation: Installation, what: str
) -> None:
    token = await issuer.token(installation.demo)
    async with installation.agent() as agent:
        assert rejection(agent, token) is None
        answer = await issuer.admin("POST", f"/clients/demo/{what}", {"reason": "leaked"})
        assert answer.status == 200, answer
        assert answer.json().keys() == {"client_id", "revocation"}

        while rejection(agent, token) is None:
            await agent.changed()
        assert rejection(agent, token) is RejectionCode.REVOKED
    refused = await issuer.form("/oauth2/token", installation.demo, grant_type="client_credentials")
    assert (refused.status, refused.json()["error"]) == (401, "invalid_client")


@on_every_store
async def test_an_enabled_client_gets_good_tokens_again_and_its_old_ones_stay_revoked(
    issuer: Replica, installation: Installation
) -> None:
    before = await issuer.token(installation.demo)
    await issuer.admin("POST", "/clients/demo/disable", {"reason": "leaked"})
    assert (await issuer.admin("POST", "/clients/demo/enable", {"reason": "mended"})).status == 200

    after = await issuer.token(installation.demo)
    async with installation.agent() as agent:
        while rejection(agent, before) is None:
            await agent.changed()
        assert rejection(agent, after) is None


@on_every_store
async def test_with_a_deleted_client_goes_all_that_users_gave_it(
    web: WebClient, browser: HttpBrowser, issuer: Replica, installation: Installation
) -> None:
    tokens = (await web.redeem(await web.log_in(browser))).json()
    code = await web.log_in(browser)
    assert (await issuer.admin("POST", "/clients/web/delete", {"reason": "unused"})).status == 200
    assert (await web.refresh(tokens["refresh_token"])).status == 401
    assert (await browser.get(web.request())).status == 400

    again = await installation.client(
        "web",
        grants=("authorization_code", "refresh_token"),
        scopes=("read", "write"),
        redirect_uris=(web.redirect_uri,),
    )
    await until(lambda: issuer.services.clients.find("web"), "a client that was added elsewhere is known here")
    anew = WebClient(issuer, *again, verifier=web.verifier)
    for answer in (await anew.refresh(tokens["refresh_token"]), await anew.redeem(code)):
        assert (answer.status, answer.json()["error"]) == (400, "invalid_grant")
    page = await browser.log_in(await browser.get(anew.request()))
    assert "asks to act for you" in page.text, "consents are gone too"


async def test_who_may_end_clients_and_which(issuer: Replica, installation: Installation) -> None:
    reader = await issuer.token(installation.operator, scope="tocsin:read")
    assert (await issuer.admin("POST", "/clients/demo/disable", {"reason": "x"}, token=reader)).status == 403
    assert (await issuer.admin("POST", "/clients/nobody/disable", {"reason": "x"})).status == 404
    assert (await issuer.admin("POST", "/clients/nobody/enable", {"reason": "x"})).status == 404
    assert (await issuer.admin("POST", "/clients/nobody%00/delete", {"reason": "x"})).status == 404
    assert (await issuer.admin("POST", "/clients/demo/disable", {})).status == 400
    assert (await issuer.admin("POST", "/clients/demo/disable", {"reason": "\0"})).status == 400
    assert (await issuer.admin("POST", "/clients/operator/disable", {"reason": "x"})).status == 409
    assert await issuer.token(Credentials(*installation.demo))
