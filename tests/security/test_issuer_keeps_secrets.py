"""Secrets and tokens stay where they belong: not in logs, not in the store, not in what an error says."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from issuer.clients import ClientStore
from issuer.errors import SealBroken
from issuer.grants import Authorization, GrantRequest
from issuer.grants.client_credentials import ClientCredentialsGrant
from issuer.keys.sealing import KeyEncryptionKey
from issuer.keys.vault import KeyVault
from issuer.keys.wrapping import Wrappers
from issuer.store.database import Database
from tests.issuer_under_test import Credentials, Installation, until


class Everything(logging.Handler):
    """Keeps every record whole: its text, its arguments and its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.written: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.written.append(f"{self.format(record)} {vars(record)}")


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What any logger says at any level."""
    root, handler = logging.getLogger(), Everything()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.written
    root.removeHandler(handler)
    root.setLevel(level)


class Fails:
    async def enhance(self, authorization: Authorization) -> Mapping[str, Any]:
        raise RuntimeError(f"no claims for {authorization.subject}")


async def use_everything(installation: Installation) -> list[str]:
    """A whole life: tokens, introspection, revocations, rotations, refusals, a failure; and what is secret of it."""
    demo, operator, wrong = installation.demo, installation.operator, Credentials("demo", "wr0ng-s3cret-of-a-cl1ent")
    async with installation.running() as issuer, installation.agent() as agent:
        rotated = (await ClientStore(issuer.services.database).rotate_secret("demo")).reveal()
        first, second, operators = [await issuer.token(by) for by in (demo, Credentials("demo", rotated), operator)]
        await issuer.form("/oauth2/token", wrong, grant_type="client_credentials")
        await issuer.form("/oauth2/token", None, grant_type="x", client_id="demo", client_secret=demo.secret)
        await issuer.form("/oauth2/introspect", demo, token=first)
        await issuer.form("/oauth2/introspect", demo, token=first + "x")
        await issuer.form("/oauth2/revoke", demo, token=first)
        for _ in range(2):  # the second time there is nothing to revoke
            await issuer.admin("POST", "/revocations", {"reason": "x", "token": second}, token=operators)
        await issuer.admin("POST", "/revocations", {"reason": "x", "token": second}, token=second)
        await issuer.admin("POST", "/keys/rotate", {"reason": "x"}, token=operators)
        agent.verify(await issuer.token(demo))
        await until(lambda: agent.status().digests == 2, "the agent has heard of both revocations")
        issuer.services.tokens._enhancers = [Fails()]
        failed = await issuer.form("/oauth2/token", demo, grant_type="client_credentials")
        assert failed.json() == {"error": "server_error", "error_description": "something went wrong here"}
        assert (failed.status, failed.headers["Cache-Control"]) == (500, "no-store")
    return [demo.secret, operator.secret, wrong.secret, rotated, first, second, operators]


def parts(secret: str) -> list[str]:
    """What must not be seen of it: all of it and, of a token, payload and signature."""
    return [secret, *secret.split(".")[1:]]


async def test_neither_secrets_nor_tokens_are_in_the_logs_at_any_level(tmp_path: Path, logged: list[str]) -> None:
    installation = await Installation.create(tmp_path)

    secrets = await use_everything(installation)

    text = "\n".join(logged)
    assert "relay_leading" in text
    assert "no claims for demo" in text
    for secret in [(tmp_path / "kek").read_text().strip(), *secrets]:
        for part in parts(secret):
            assert part not in text


async def test_neither_secrets_nor_tokens_nor_private_keys_are_in_the_files(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path)

    secrets = await use_everything(installation)

    kek = KeyEncryptionKey.load(tmp_path / "kek")
    database = Database(installation.settings.store)
    private = (await KeyVault(database, Wrappers(kek)).event_key())["d"]
    await database.close()
    files = [path for path in tmp_path.rglob("*") if path.name != "kek" and path.is_file()]
    assert {"store.db", "events.db", "trust.json"} <= {path.name for path in files}
    for content in (path.read_bytes() for path in files):
        assert private.encode() not in content
        for secret in secrets:
            for part in parts(secret):
                assert part.encode() not in content


async def test_an_issuer_with_another_key_encryption_key_does_not_start_and_says_which_two(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path)
    right = KeyEncryptionKey.load(tmp_path / "kek").kek_id
    (tmp_path / "kek").unlink()
    wrong = KeyEncryptionKey.create(tmp_path / "kek").kek_id

    with pytest.raises(SealBroken, match=f"{right}, not with {wrong}"):
        async with installation.running():
            pass


async def test_what_agents_are_given_to_trust_holds_no_private_key(tmp_path: Path) -> None:
    await Installation.create(tmp_path)

    [key] = msgspec.json.decode((tmp_path / "trust.json").read_bytes())["event_keys"]

    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}


class Remembers(ClientCredentialsGrant):
    """An application's grant that looks at all it is given."""

    request: GrantRequest

    async def authorize(self, request: GrantRequest) -> Authorization:
        self.request = request
        return await super().authorize(request)


async def test_a_grant_is_given_the_form_without_the_clients_credentials(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path)
    form = {"grant_type": "client_credentials", "client_id": "demo", "client_secret": installation.demo.secret}
    async with installation.running() as issuer:
        grant = Remembers(issuer.services.parts)
        cast("dict[str, Any]", issuer.services.grants)[grant.grant_type] = grant
        answer = await issuer.form("/oauth2/token", None, **form, device="robot-7")

    assert answer.status == 200
    assert grant.request.parameters == {
        "grant_type": "client_credentials",
        "client_id": "demo",
        "device": "robot-7",
    }
