"""The example package: a grant and an enhancer of somebody else's, found by their entry points."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.issuer_under_test import Installation, rejection, unverified

EXAMPLE = Path(__file__).parents[3] / "examples" / "own-grant"
BADGE = "urn:example:grant-type:badge"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package, where Python finds it for this test alone."""
    target = tmp_path / "site"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(EXAMPLE)], check=True, timeout=100)
    monkeypatch.syspath_prepend(str(target))
    yield
    sys.modules.pop("badge_grant", None)


@pytest.mark.usefixtures("installed")
async def test_a_badge_gets_a_token_that_is_revoked_by_the_packages_own_claim(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path)
    door = await installation.client("door-7", grants=(BADGE,), scopes=("enter",))
    async with installation.running() as issuer, installation.agent() as agent:
        refused = await issuer.form("/oauth2/token", door, grant_type=BADGE, badge="0815")
        answer = await issuer.form("/oauth2/token", door, grant_type=BADGE, badge="4711")

        assert (refused.status, refused.json()["error"]) == (400, "invalid_grant")
        assert answer.status == 200, answer
        token = answer.json()["access_token"]
        claims = unverified(token)
        assert (claims["sub"], claims["site"], claims["opens"]) == ("alice", "berlin", "outside")
        assert rejection(agent, token) is None
        metadata = (await issuer.send("GET", "/.well-known/oauth-authorization-server")).json()
        assert BADGE in metadata["grant_types_supported"]

        await issuer.revoke(selector={"opens": "outside"})
        while rejection(agent, token) is None:
            await agent.changed()
