"""The list of token keys as an operator has it: wrapped, set in Consul or in the file, of an issuer that runs."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

from issuer.keys.exchange import write_key
from issuer.keys.generation import generate
from issuer.keys.list_opening import listed_key
from issuer.keys.sealing import KeyEncryptionKey
from issuer.keys.vault import TOKEN_KEY, seal
from tests.integration.consul_workspace import say_where, until, workspace_in_consul
from tests.integration.test_command_line import Ran, Shell
from tests.integration.test_vault_commands import private
from tests.services.service import Service
from tocsin.delivery import fetch_token
from tocsin.processes import Program
from tocsin.workspace import Workspace, read_credentials


class Issuer(Shell):
    """An issuer that runs, and the operator beside it."""

    def __init__(self, folder: Path, url: str, consul: str, logs: Path) -> None:
        super().__init__(folder)
        self.url = url
        self.consul = consul
        self.logs = logs

    async def run(self, *arguments: str) -> Ran:
        return await asyncio.to_thread(self.tocsin, *arguments)

    async def entry(self, kid: str) -> dict[str, str]:
        """As ``tocsin keys wrap --alg ES256 --kid`` makes it, and sooner."""
        return await wrapped(KeyEncryptionKey.load(self.folder / ".tocsin" / "kek"), kid)

    async def set_list(self, *entries: dict[str, str]) -> Ran:
        return await self.run(
            "config", "set", "issuer", f"signing_keys={','.join(each['entry'] for each in entries)}", "--json"
        )

    async def put(self, value: str) -> None:
        """Write to Consul as somebody does who checks nothing."""
        async with aiohttp.ClientSession() as session, session.put(self.consul, data=value.encode()) as answer:
            assert answer.status == 200

    async def signing(self) -> str:
        """The kid of a token that is made now."""
        credentials = read_credentials(self.folder / ".tocsin" / "demo-client.json")
        async with aiohttp.ClientSession() as session:
            token = await fetch_token(session, self.url, credentials)
        kid: str = jwt.get_unverified_header(token)["kid"]
        return kid

    async def refused(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.run("config", "show", "--json")).json()["refused"]
        return found


async def wrapped(kek: KeyEncryptionKey, kid: str) -> dict[str, str]:
    sealed = await seal(kek, {**generate("ES256"), "kid": kid}, TOKEN_KEY)
    entry = listed_key(sealed).text()
    return {"kid": kid, "kek_id": kek.kek_id, "entry": entry.reveal()}


@pytest.fixture
async def issuer(tmp_path: Path, consul: Service) -> AsyncIterator[Issuer]:
    """Its folder in Consul is a test's own."""
    workspace = await workspace_in_consul(tmp_path, consul)
    async with Program(
        "issuer", ["tocsin", "--config", str(workspace.config), "issuer", "--json"], tmp_path
    ) as program:
        url = say_where(workspace, program.announcement["port"])
        key = f"{consul.address}/v1/kv/{tmp_path.name}/issuer/signing_keys"
        yield Issuer(tmp_path, url, key, tmp_path / "issuer.log")


async def test_a_list_in_consul_is_in_force_without_a_restart_in_its_order_and_nothing_of_it_is_shown(
    issuer: Issuer,
) -> None:
    pem = private(issuer.folder / "key.pem", write_key(generate("ES256"), "pem"))
    a: dict[str, str] = (await issuer.run("keys", "wrap", pem, "--kid", "first", "--json")).json()
    b: dict[str, str] = (await issuer.run("keys", "wrap", "--alg", "ES256", "--json")).json()
    assert a["kid"] == "first"

    async def signs(kid: str) -> bool:
        return await issuer.signing() == kid

    answers = [await issuer.set_list(a, b)]
    await until(lambda: signs("first"))
    answers.append(await issuer.set_list(b, a))
    await until(lambda: signs(b["kid"]))
    listed = (await issuer.run("keys", "list", "--json")).json()["listed"]
    assert listed == [b["kid"], "first"]

    answers += [
        await issuer.run("config", *which) for which in (("show",), ("show", "--json"), ("check", "issuer", "--json"))
    ]
    for ran in answers:
        assert ran.code == 0, ran.err
        assert f"first (ES256, sealed with {a['kek_id']})" in ran.out
        assert not any(each["entry"].split(":")[3][:40] in ran.out + ran.err for each in (a, b))
    assert a["entry"].split(":")[3][:40] not in issuer.logs.read_text()

    assert (await issuer.run("config", "set", "issuer", "signing_keys=none")).code == 0

    async def vaults_own() -> bool:
        return await issuer.signing() not in ("first", b["kid"])

    await until(vaults_own)


async def test_a_list_that_cannot_be_is_refused_whole_by_entry_and_the_last_good_one_stays(issuer: Issuer) -> None:
    a, b = await issuer.entry("a"), await issuer.entry("b")
    await issuer.put(a["entry"])

    async def signs() -> bool:
        return await issuer.signing() == a["kid"]

    await until(signs)
    foreign = await wrapped(KeyEncryptionKey.create(issuer.folder / "other-kek"), "foreign")

    for bad, words in (
        (
            f"{b['entry']},{foreign['entry']}",
            f"entry 2 (kid {foreign['kid']}): it is sealed with key-encryption key {foreign['kek_id']}",
        ),
        (f"{b['entry']},{a['entry'][:-12]}", "entry 2: "),
        (f"{b['entry']},{a['entry']},{b['entry']}", f"entry 3: kid {b['kid']} stands in entry 1 already"),
    ):
        ran = await issuer.run("config", "set", "issuer", f"signing_keys={bad}", "access_token_lifetime=77s")
        assert (ran.code, words in ran.err) == (2, True), ran.err
        await issuer.put(bad)

        async def told(words: str = words) -> bool:
            return words in (await issuer.refused()).get("consul", {}).get("detail", "")

        await until(told)
        assert await issuer.signing() == a["kid"]
    shown = {each["name"]: each for each in (await issuer.run("config", "show", "--json")).json()["settings"]}
    assert shown["signing_keys"]["value"] == [f"{a['kid']} (ES256, sealed with {a['kek_id']})"]

    await issuer.put(f"{b['entry']},{a['entry']}")

    async def mended() -> bool:
        return await issuer.signing() == b["kid"] and await issuer.refused() == {}

    await until(mended)


async def test_a_key_that_was_revoked_does_not_come_back_with_the_list_nor_its_name_with_another_key(
    issuer: Issuer,
) -> None:
    a, b = await issuer.entry("a"), await issuer.entry("b")
    await issuer.put(f"{a['entry']},{b['entry']}")

    async def signs(kid: str) -> bool:
        return await issuer.signing() == kid

    await until(lambda: signs("a"))
    assert (await issuer.run("keys", "revoke", "a", "--reason", "compromised")).code == 0
    assert await signs("b")

    again = await issuer.entry("a")
    ran = await issuer.set_list(again, b)
    assert (ran.code, "entry 1 (kid a): there is another key of that name (token, revoked)" in ran.err) == (2, True), (
        ran.err
    )
    await issuer.put(f" {a['entry']},\n{b['entry']}\n")
    await asyncio.sleep(1.5)
    assert await signs("b")
    shown = await issuer.run("keys", "list")
    assert "in signing_keys, and passed over as it is revoked: a" in shown.out


async def test_a_list_in_the_file_is_followed_and_one_that_cannot_be_keeps_an_issuer_from_starting(
    issuer: Issuer, tmp_path: Path
) -> None:
    a = await issuer.entry("a")
    config = tmp_path / ".tocsin" / "tocsin.toml"
    with config.open("a") as file:
        file.write(f"signing_keys = [{json.dumps(a['entry'])}]\n")

    async def signs() -> bool:
        return await issuer.signing() == a["kid"]

    await until(signs)

    KeyEncryptionKey.create(tmp_path / "other-kek")
    ran = await asyncio.to_thread(issuer.tocsin, "issuer", "--port", "0", TOCSIN_KEK_FILE=str(tmp_path / "other-kek"))
    assert ran.code == 2
    assert f"entry 1 (kid {a['kid']}): it is sealed with key-encryption key {a['kek_id']}" in ran.err
    assert "setting 'signing_keys' from .tocsin/tocsin.toml: " in ran.err


async def test_an_entry_is_sealed_anew_with_the_key_encryption_key_of_today(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    await Workspace(tmp_path / ".tocsin").set_up(port=0, sidecar_port=0)
    jwk = generate("RS256")
    file = private(tmp_path / "key.jwk", write_key(jwk, "jwk"))
    a = (await asyncio.to_thread(shell.tocsin, "keys", "wrap", file, "--json")).json()
    old = private(tmp_path / "old-entry", a["entry"].encode() + b"\n")
    new = KeyEncryptionKey.create(tmp_path / "new-kek").kek_id
    settings = {
        "TOCSIN_KEK_FILE": str(tmp_path / "new-kek"),
        "TOCSIN_OTHER_KEK_FILES": str(tmp_path / ".tocsin" / "kek"),
    }

    again = (await asyncio.to_thread(shell.tocsin, "keys", "wrap", old, "--json", **settings)).json()
    assert (again["kid"], again["alg"], again["kek_id"]) == (jwk["kid"], "RS256", new)
    assert jwk["d"] not in a["entry"] + again["entry"]

    for arguments, words in (
        ([], "name a FILE, or --alg"),
        (["--alg", "ES256", "--kid", "with space"], "no entry can be made of it"),
    ):
        ran = await asyncio.to_thread(shell.tocsin, "keys", "wrap", *arguments)
        assert (ran.code, words in ran.err) == (2, True), ran.err
    ran = await asyncio.to_thread(shell.tocsin, "keys", "wrap", private(tmp_path / "bad.pem", b"nonsense"))
    assert (ran.code, "bad.pem is of no use here" in ran.err) == (2, True), ran.err
