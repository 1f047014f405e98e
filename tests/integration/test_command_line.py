"""The command line as an operator types it, against an issuer and a sidecar that run as processes."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from argon2 import PasswordHasher

from issuer.keys.generation import generate, public
from tests.http_browser import http_browser
from tests.issuer_under_test import until, unverified
from tests.services.ports import free_ports
from tocsin.delivery import fetch_token
from tocsin.processes import Program
from tocsin.settings import Credentials
from tocsin.workspace import Workspace, read_credentials, read_login


class Ran:
    """A command that has ended."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    def json(self) -> Any:
        """Its answer."""
        assert self.code == 0, self.err
        return json.loads(self.out)


@dataclass
class Shell:
    """A folder to type commands in."""

    folder: Path

    def tocsin(self, *arguments: str, **environ: str) -> Ran:
        """Run one command to its end."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
        return Ran(
            subprocess.run(
                [sys.executable, "-m", "tocsin", *arguments],
                cwd=self.folder,
                env={**inherited, **environ},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        )


@dataclass
class Installation(Shell):
    """The same with an issuer and a sidecar running."""

    issuer: str
    sidecar: str

    async def status(self, token: str) -> int:
        """What the sidecar answers to the token."""
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession() as session, session.get(f"{self.sidecar}/verify", headers=headers) as answer:
            return answer.status

    async def becomes(self, status: int, token: str) -> bool:
        """Whether the sidecar comes to answer so within ten seconds."""
        for _ in range(200):
            if await self.status(token) == status:
                return True
            await asyncio.sleep(0.05)
        return False

    async def token(self, client: Credentials | None = None) -> str:
        """A token of the demo client, or of another."""
        credentials = client or read_credentials(self.folder / ".tocsin" / "demo-client.json")
        async with aiohttp.ClientSession() as session:
            return await fetch_token(session, self.issuer, credentials)

    async def gives(self, client: Credentials, scope: str) -> bool:
        """Whether a token for the client has this scope."""
        return unverified(await self.token(client)).get("scope") == scope


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """An empty folder."""
    return Shell(tmp_path)


@pytest.fixture
async def installation(tmp_path: Path) -> AsyncIterator[Installation]:
    """What `tocsin init`, `tocsin issuer` and `tocsin agent` make of a folder."""
    workspace = Workspace(tmp_path / ".tocsin")
    await workspace.set_up(port=0, sidecar_port=0)
    program = ["tocsin", "--config", str(workspace.config)]
    async with (
        Program("issuer", [*program, "issuer", "--json"], tmp_path) as issuer,
        Program("agent", [*program, "agent", "--json"], tmp_path) as agent,
    ):
        url = f"http://127.0.0.1:{issuer.announcement['port']}"
        # The operator's commands find the issuer by its URL; it has taken a free port.
        config = workspace.config.read_text().replace('issuer = "http://127.0.0.1:0"', f'issuer = "{url}"')
        workspace.config.write_text(config)
        yield Installation(tmp_path, url, f"http://127.0.0.1:{agent.announcement['port']}")


def test_init_makes_a_folder_whose_secrets_only_its_owner_reads_and_can_be_repeated(shell: Shell) -> None:
    first = shell.tocsin("init", "--json").json()
    secrets = {name: (shell.folder / ".tocsin" / name).read_bytes() for name in ("kek", "operator.json", "trust.json")}

    again = shell.tocsin("init")

    assert (again.code, again.out.splitlines()[0]) == (0, "everything is there already")
    assert len(first["files"]) == 8
    assert secrets == {name: (shell.folder / ".tocsin" / name).read_bytes() for name in secrets}
    private = ("kek", "operator.json", "agents.json", "demo-client.json", "demo-user.json", "tocsin.toml")
    for name in (*private, "event-key-successor.json"):
        assert (shell.folder / ".tocsin" / name).stat().st_mode & 0o777 == 0o600


def test_init_again_with_another_store_names_the_credentials_that_are_no_good_there(shell: Shell) -> None:
    shell.tocsin("init")
    (shell.folder / ".tocsin" / "store.db").unlink()

    ran = shell.tocsin("init")

    assert ran.code == 1
    assert ".tocsin/operator.json is of another store: this one has no client 'operator'" in ran.err

    (shell.folder / ".tocsin" / "operator.json").unlink()
    (shell.folder / ".tocsin" / "demo-client.json").unlink()
    assert shell.tocsin("init").code == 0


def test_init_again_names_credentials_that_cannot_be_read(shell: Shell) -> None:
    shell.tocsin("init")
    (shell.folder / ".tocsin" / "operator.json").write_text("{}")

    ran = shell.tocsin("init")

    assert ran.code == 2
    assert ".tocsin/operator.json: Object missing required field `client_id`" in ran.err


async def test_an_operator_whom_the_issuer_does_not_know_is_named(installation: Installation) -> None:
    ran = installation.tocsin("keys", "list", TOCSIN_OPERATOR_ID="stranger", TOCSIN_OPERATOR_SECRET="s3cr3t")

    assert ran.code == 1
    assert f"the issuer at {installation.issuer} refuses operator 'stranger'" in ran.err
    assert "s3cr3t" not in ran.err


def test_init_again_keeps_to_the_configuration_that_is_there(shell: Shell) -> None:
    assert shell.tocsin("init", "--port", "19090", "--sidecar-port", "19091").code == 0
    first = {name: (shell.folder / ".tocsin" / name).read_bytes() for name in ("trust.json", "tocsin.toml")}

    for same in ([], ["--port", "19090"]):
        assert shell.tocsin("init", *same).code == 0
        assert first == {name: (shell.folder / ".tocsin" / name).read_bytes() for name in first}

    assert b"http://127.0.0.1:19090" in first["trust.json"]


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--port", "8080", "setting 'port' is 19090 in .tocsin/tocsin.toml, not 8080"),
        ("--sidecar-port", "9", "setting 'sidecar_port' is 8081 in .tocsin/tocsin.toml, not 9"),
        ("--issuer", "https://issuer.example", "setting 'issuer' is 'http://127.0.0.1:19090' in"),
        ("--store", "postgresql://tocsin:S3cret@db/tocsin", "not 'postgresql://…@db/tocsin'"),
    ],
)
def test_init_again_with_another_option_is_refused_with_both_values(
    shell: Shell, option: str, value: str, words: str
) -> None:
    assert shell.tocsin("init", "--port", "19090").code == 0

    ran = shell.tocsin("init", option, value)

    assert ran.code == 2
    assert words in ran.err
    assert "S3cret" not in ran.err


async def test_a_client_is_revoked_listed_and_lifted(installation: Installation) -> None:
    token = await installation.token()
    assert await installation.status(token) == 200

    revoked = installation.tocsin("revoke", "--client", "demo", "--reason", "leaked", "--json").json()
    assert revoked["published"] is True
    assert await installation.becomes(401, token)

    listed = installation.tocsin("revocations", "--json").json()["revocations"]
    assert [(found["id"], found["reason"]) for found in listed] == [(revoked["id"], "leaked")]
    assert "client_id=demo" in installation.tocsin("revocations").out

    assert installation.tocsin("lift", revoked["id"], "--reason", "the wrong one").code == 0
    assert await installation.becomes(200, token)
    again = installation.tocsin("lift", revoked["id"], "--reason", "twice", "--json")
    assert (again.code, json.loads(again.err)["error"]) == (1, "conflict")


@pytest.mark.parametrize(
    "way", [["--sub", "demo"], ["--claim", "client_id=demo", "--claim", "scope=demo:read"], ["--everything", "--yes"]]
)
async def test_each_way_to_choose_tokens_reaches_the_sidecar(installation: Installation, way: list[str]) -> None:
    token = await installation.token()

    assert installation.tocsin("revoke", *way, "--reason", "test").code == 0

    assert await installation.becomes(401, token)
    assert await installation.becomes(200, await installation.token())


async def test_a_single_token_is_revoked_by_its_text_and_another_stays(installation: Installation) -> None:
    token, other = await installation.token(), await installation.token()

    assert installation.tocsin("revoke", "--token", token, "--reason", "pasted").code == 0

    assert await installation.becomes(401, token)
    assert await installation.status(other) == 200


async def test_a_key_is_rotated_and_revoked(installation: Installation) -> None:
    token = await installation.token()
    keys = installation.tocsin("keys", "list", "--json").json()["keys"]
    old = next(key["kid"] for key in keys if key["state"] == "active")

    rotated = installation.tocsin("keys", "rotate", "--reason", "yearly", "--json").json()["keys"]
    assert {key["kid"]: key["state"] for key in rotated}[old] == "retiring"
    newer = await installation.token()
    assert await installation.becomes(200, newer)
    assert await installation.status(token) == 200

    assert installation.tocsin("revoke", "--key", old, "--reason", "leaked").code == 0
    assert await installation.becomes(401, token)
    assert await installation.status(newer) == 200


async def test_a_client_is_registered_and_given_further_secrets(installation: Installation) -> None:
    added = installation.tocsin(
        "client", "add", "shop", "--scope", "orders:read", "--token-lifetime", "2m", "--json"
    ).json()
    first = Credentials("shop", added["client_secret"])
    await installation.token(first)

    second = installation.tocsin("client", "rotate-secret", "shop", "--json").json()["client_secret"]
    await installation.token(Credentials("shop", second))
    await installation.token(first)  # the one before stays good until the next rotation

    listed = installation.tocsin("client", "list", "--json").json()["clients"]
    assert next(client for client in listed if client["client_id"] == "shop")["token_lifetime"] == 120
    assert "secret" not in json.dumps(listed)
    assert installation.tocsin("client", "add", "shop").code == 1


async def test_a_running_issuer_hears_of_a_client_that_was_changed(installation: Installation) -> None:
    added = installation.tocsin("client", "add", "shop", "--scope", "orders:read", "--json").json()
    shop = Credentials("shop", added["client_secret"])
    assert await installation.gives(shop, "orders:read")

    assert installation.tocsin("client", "set", "shop", "--scope", "orders:write").code == 0

    await until(partial(installation.gives, shop, "orders:write"), "the running issuer has heard of it")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--grant", "nosuchgrant"], "there is no grant 'nosuchgrant', only authorization_code, client_credentials"),
        (["--token-lifetime", "25h"], "above setting 'token_lifetime_ceiling', 86400 s"),
        (["--redirect-uri", "http://app.example/"], "is http, which only 127.0.0.1 and [::1] may be; use https"),
        (["--public", "--grant", "client_credentials"], "not for public clients"),
        (["--public"], "needs redirect_uris"),
    ],
)
def test_a_client_that_could_never_get_a_token_so_is_not_registered(
    shell: Shell, arguments: list[str], words: str
) -> None:
    shell.tocsin("init")

    ran = shell.tocsin("client", "add", "shop", *arguments)

    assert ran.code == 2
    assert words in ran.err
    assert "shop" not in shell.tocsin("client", "list").out


@pytest.mark.parametrize("program", ["issuer", "agent"])
@pytest.mark.parametrize("log", ["sqlite://x.db", "redis://127.0.0.1"])
def test_a_program_whose_log_cannot_be_says_which_setting_is_wrong(shell: Shell, program: str, log: str) -> None:
    shell.tocsin("init")

    ran = shell.tocsin(program, TOCSIN_LOG=log)

    assert ran.code == 2
    assert "tocsin: setting 'log' from TOCSIN_LOG: " in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["revoke", "--reason", "x"], "choose exactly one"),
        (["revoke", "--sub", "a", "--jti", "b", "--reason", "x"], "choose exactly one"),
        (["revoke", "--sub", "a"], "--reason"),
        (["revoke", "--claim", "novalue", "--reason", "x"], "NAME=VALUE"),
        (["lift", "--reason", "x"], "REVOCATION"),
        (["nosuch"], "nosuch"),
        (["keys", "rotate", "--reason", "x", "--alg", "HS256"], "HS256"),
    ],
)
def test_wrong_use_exits_with_2_and_says_what_is_wrong(shell: Shell, arguments: list[str], words: str) -> None:
    ran = shell.tocsin(*arguments)

    assert ran.code == 2
    assert words in ran.err


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "setting 'issuer' is missing: set TOCSIN_ISSUER"),
        (
            {"TOCSIN_ISUER": "http://localhost"},
            "'isuer' (from TOCSIN_ISUER); did you mean 'issuer'?",
        ),
        ({"TOCSIN_CONFIG": "nowhere.toml"}, "configuration file nowhere.toml"),
        ({"TOCSIN_ISSUER": "http://127.0.0.1:1"}, "an operator is needed"),
        ({"TOCSIN_ISSUER": "ftp://127.0.0.1:1"}, "setting 'issuer' from TOCSIN_ISSUER must be an https URL"),
        ({"TOCSIN_ISSUER": "http://issuer.example"}, "setting 'issuer' from TOCSIN_ISSUER must be an https URL"),
        (
            {"TOCSIN_ISSUER": "http://127.0.0.1:1", "TOCSIN_OPERATOR_FILE": "nowhere.json"},
            "setting 'operator_file' from TOCSIN_OPERATOR_FILE: nowhere.json: ",
        ),
    ],
)
def test_a_wrong_setting_exits_with_2_and_names_it_and_its_source(
    shell: Shell, environ: dict[str, str], words: str
) -> None:
    ran = shell.tocsin("keys", "list", **environ)

    assert ran.code == 2
    assert words in ran.err


def test_an_issuer_that_cannot_be_reached_exits_with_1_and_keeps_the_secret_to_itself(shell: Shell) -> None:
    environ = {
        "TOCSIN_ISSUER": "http://127.0.0.1:1",
        "TOCSIN_OPERATOR_ID": "operator",
        "TOCSIN_OPERATOR_SECRET": "s3cr3t-of-the-operator",
    }
    ran = shell.tocsin("keys", "list", "--json", **environ)

    assert (ran.code, json.loads(ran.err)) == (
        1,
        {
            "error": "unreachable",
            "detail": "the issuer at http://127.0.0.1:1 cannot be reached: Connection refused",
        },
    )
    assert "s3cr3t" not in ran.out + ran.err


def test_everything_is_not_revoked_without_being_asked_twice(shell: Shell) -> None:
    ran = shell.tocsin("revoke", "--everything", "--reason", "x", TOCSIN_ISSUER="http://127.0.0.1:1")

    assert ran.code == 1
    assert "Revoke every token" in ran.err + ran.out


def test_a_program_that_revokes_everything_is_told_that_it_cannot_be_asked(shell: Shell) -> None:
    ran = shell.tocsin("revoke", "--everything", "--reason", "x", "--json", TOCSIN_ISSUER="http://127.0.0.1:1")

    assert (ran.code, ran.out) == (2, "")
    assert "--yes" in json.loads(ran.err)["detail"]


def test_a_folder_that_cannot_be_made_is_named(shell: Shell) -> None:
    (shell.folder / "file").write_text("in the way")

    ran = shell.tocsin("init", "file/folder", "--json")

    assert ran.code == 1
    assert json.loads(ran.err) == {"error": "failed", "detail": f"{shell.folder}/file/folder: Not a directory"}


def test_topics_of_an_embedded_log_are_in_order_without_being_made(shell: Shell) -> None:
    shell.tocsin("init")

    assert shell.tocsin("topics", "create").out == "nothing to create\n"
    assert shell.tocsin("topics", "check", "--json").json() == {"faults": []}


def test_help_names_every_command(shell: Shell) -> None:
    ran = shell.tocsin("--help")

    assert ran.code == 0
    for name in ("agent", "bench", "client", "demo", "init", "issuer", "keys", "lift", "revoke", "topics"):
        assert f"  {name} " in ran.out


@pytest.mark.parametrize("group", ["bench", "client", "config", "keys", "topics", "trust", "user"])
def test_help_of_a_group_says_in_whole_words_what_each_of_its_commands_does(shell: Shell, group: str) -> None:
    ran = shell.tocsin(group, "--help")

    assert ran.code == 0
    assert "..." not in ran.out.partition("Commands:")[2]


def test_a_kafka_that_cannot_be_reached_is_told_once(shell: Shell) -> None:
    shell.tocsin("init", "--log", "kafka://127.0.0.1:1")

    ran = shell.tocsin("topics", "check", "--json")

    assert ran.code == 1
    assert json.loads(ran.err)["detail"] == "no Kafka broker answers at 127.0.0.1:1"


async def test_users_are_added_imported_listed_and_disabled(installation: Installation) -> None:
    added = installation.tocsin("user", "add", "Alice", "--password", "S3cret", "--claim", "tenant=acme", "--json")
    file = installation.folder / "people.csv"
    file.write_text("username,password,name\nbob,pass,Bob\nALICE,other,Alice\n,x,\n")
    imported = installation.tocsin("user", "import", "people.csv", "--json")
    listed = installation.tocsin("user", "list", "--json").json()["users"]

    assert (added.json()["username"], added.json()["claims"]) == ("alice", {"tenant": "acme"})
    assert imported.code == 3
    assert [fault["line"] for fault in json.loads(imported.out)["faults"]] == [3, 4]
    assert [user["username"] for user in listed] == ["alice", "bob", "demo"]
    assert "S3cret" not in added.out + imported.out

    answer = installation.tocsin("user", "disable", "alice", "--reason", "has left", "--json").json()
    revoked = installation.tocsin("revocations", "--json").json()["revocations"]
    assert revoked[0]["id"] == answer["revocation"]
    assert revoked[0]["selector"]["claims"] == {"sub": added.json()["sub"]}
    installation.tocsin("user", "enable", "alice", "--reason", "is back", "--json").json()
    assert installation.tocsin("user", "disable", "nobody", "--reason", "x").code == 2


async def test_users_are_taken_over_shown_changed_and_deleted(installation: Installation) -> None:
    kept = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("S3cret")
    (installation.folder / "people.csv").write_text(
        "username,password,password_hash,sub,disabled,phone_number,email_verified\n"
        f'a/b c,,"{kept}",old-7,,4930123,true\n'
        "bob,,,,true,,\n"
        f'carol,both,"{kept}",,,,\n'
        "dave,,$2b$12$abcdefghijklmnopqrstuv,,,,\n"
        "erin,,,,,,yes\n"
    )
    imported = installation.tocsin("user", "import", "people.csv", "--json")
    faults = json.loads(imported.out)["faults"]

    assert imported.code == 3
    assert [each["line"] for each in faults] == [4, 5, 6]
    assert "email_verified" in faults[2]["fault"]
    assert "$2b$" not in imported.out + imported.err

    shown = installation.tocsin("user", "show", "A/B C", "--json").json()
    assert shown == {
        "username": "a/b c",
        "sub": "old-7",
        "disabled": False,
        "claims": {"phone_number": "4930123", "email_verified": True},
    }
    assert installation.tocsin("user", "show", "bob", "--json").json()["disabled"]
    more = ["--claim", "name=7 of 9", "--claim", 'roles=["admin"]', "--without", "phone_number"]
    changed = installation.tocsin("user", "set-claims", "a/b c", *more, "--json").json()
    assert changed["claims"] == {"name": "7 of 9", "roles": ["admin"], "email_verified": True}
    first = installation.tocsin("user", "list", "--limit", "1", "--json").json()["users"]
    rest = installation.tocsin("user", "list", "--after", first[0]["username"], "--json").json()["users"]
    assert [each["username"] for each in (*first, *rest)] == ["a/b c", "bob", "demo"]

    deleted = installation.tocsin("user", "delete", "a/b c", "--reason", "asked for it", "--json").json()
    revoked = installation.tocsin("revocations", "--json").json()["revocations"][0]
    assert (revoked["id"], revoked["selector"]) == (deleted["revocation"], {"claims": {"sub": "old-7"}})
    left = installation.tocsin("user", "list", "--json").json()["users"]
    assert [each["username"] for each in left] == ["bob", "demo"]


def test_a_change_of_a_user_that_cannot_be_names_what(shell: Shell) -> None:
    assert shell.tocsin("init").code == 0
    assert shell.tocsin("user", "add", "alice", "--no-password").code == 0

    for arguments, words in (
        (["show", "bob"], "there is no user 'bob'"),
        (["set-claims", "bob", "--claim", "a=1"], "there is no user 'bob'"),
        (["set-claims", "alice"], "give --claim or --without"),
        (["set-claims", "alice", "--claim", "a=1", "--without", "a"], "claim 'a' is both"),
        (["set-claims", "alice", "--claim", "email_verified=yes"], "claim 'email_verified'"),
        (["add", "bob", "--no-password", "--claim", "sub=1"], "claim 'sub'"),
    ):
        ran = shell.tocsin("user", *arguments)
        assert ran.code in (1, 2), ran.err
        assert words in ran.err


def test_a_client_with_keys_gets_no_secret(installation: Installation) -> None:
    jwk = public(generate("ES256"))
    for name, content in [("good", {"keys": [jwk]}), ("private", generate("ES256")), ("empty", {"keys": []})]:
        (installation.folder / f"{name}.jwks").write_text(json.dumps(content))

    added = installation.tocsin("client", "add", "robot", "--jwks", "good.jwks", "--json")
    private = installation.tocsin("client", "add", "robot-2", "--jwks", "private.jwks")
    empty = installation.tocsin("client", "add", "robot-2", "--jwks", "empty.jwks")

    assert added.json() == {"client_id": "robot", "keys": 1, "public": False}
    assert (private.code, empty.code) == (2, 2)
    assert "key 1 is not a public key" in private.err
    assert "holds no key" in empty.err
    assert installation.tocsin("client", "rotate-secret", "robot").code == 1


def test_a_client_on_a_device_is_registered_without_an_address_to_go_back_to(shell: Shell) -> None:
    shell.tocsin("init")
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    added = shell.tocsin("client", "add", "tv", "--public", "--grant", grant, "--grant", "refresh_token")

    assert "by none: it is public." in added.out
    listed = shell.tocsin("client", "list", "--json").json()["clients"]
    [television] = [client for client in listed if client["client_id"] == "tv"]
    assert (television["public"], television["grants"]) == (True, [grant, "refresh_token"])


async def test_a_client_that_users_log_in_to_is_registered_changed_disabled_and_deleted(
    installation: Installation,
) -> None:
    callback = "https://app.example/callback"
    added = installation.tocsin(
        *("client", "add", "app", "--public", "--redirect-uri", callback, "--name", "App", "--json")
    ).json()
    assert added == {"client_id": "app", "keys": 0, "public": True}
    changed = installation.tocsin("client", "set", "app", "--scope", "read", "--skip-consent", "--json").json()
    assert (changed["grants"], changed["redirect_uris"]) == (["authorization_code", "refresh_token"], [callback])
    assert (changed["scopes"], changed["skip_consent"], changed["name"]) == (["read"], True, "App")
    assert installation.tocsin("client", "set", "app").code == 2
    assert installation.tocsin("client", "set", "app", "--redirect-uri", "http://app.example/").code == 2
    assert installation.tocsin("client", "set", "nobody", "--name", "x").code == 1
    assert installation.tocsin("client", "rotate-secret", "app").code == 1

    for what in ("disable", "enable", "delete"):
        ran = installation.tocsin("client", what, "app", "--reason", "a test", "--json").json()
        assert ran["client_id"] == "app"
        assert ("revocation" in ran) == (what != "enable")
    listed = installation.tocsin("client", "list", "--json").json()["clients"]
    assert "app" not in {client["client_id"] for client in listed}
    assert installation.tocsin("client", "disable", "app", "--reason", "x").code == 2


async def test_a_person_logs_in_through_a_browser_to_a_program_on_the_same_machine(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / ".tocsin")
    await workspace.set_up(port=free_ports(1)[0])
    program = [sys.executable, "-m", "tocsin", "--config", str(workspace.config)]
    async with Program("issuer", ["tocsin", *program[3:], "issuer", "--json"], tmp_path) as issuer:
        process = await asyncio.create_subprocess_exec(
            *(*program, "login", "--scope", "demo:read", "--json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stderr is not None
            async with asyncio.timeout(60):
                while "/oauth2/authorize?" not in (line := (await process.stderr.readline()).decode()):
                    assert line, "it has ended"
            await comes_back(f"http://127.0.0.1:{issuer.announcement['port']}", line.strip(), workspace)
            async with asyncio.timeout(60):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0, err
    answer = json.loads(out)
    assert answer["scope"] == "demo:read"
    assert answer.keys() >= {"access_token", "refresh_token", "expires_in"}


async def comes_back(issuer: str, address: str, workspace: Workspace) -> None:
    """What the browser does; the program takes no answer but to its own question."""
    login = read_login(workspace.demo_user)
    async with http_browser(issuer) as browser:
        page = await browser.log_in(await browser.get(address), login.username, login.password)
        page = await browser.send(page, decision="allow")
        assert page.sent_to is not None
        async with aiohttp.ClientSession() as session:
            async with session.get(page.sent_to.replace("state=", "state=x")) as refused:
                assert refused.status == 400
            async with session.get(page.sent_to) as shown:
                assert "You can close this page" in await shown.text()
