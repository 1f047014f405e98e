"""Private keys in a real store: sealed anew while issuers run, taken in from elsewhere, given out."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from sqlalchemy import select, update

from events import KeySet, KeyState, Stream
from issuer.endpoints.services import Services
from issuer.errors import Conflict, NotFound, SealBroken, StoreUnavailable
from issuer.keys.exchange import same_key
from issuer.keys.generation import generate, public
from issuer.keys.holders import SILENT_SECONDS
from issuer.keys.rewrapping import Rewrapped, Rewrapping
from issuer.keys.sealing import KeyEncryptionKey
from issuer.keys.signing import SigningKey
from issuer.offline import keys_of, rewrapping_of
from issuer.store.database import Database
from issuer.store.schema import kek_holders, keys
from tests.issuer_under_test import AUDIENCE, Installation, Replica, on_every_store, rejection, until, unverified
from tests.softhsm import SoftHsm
from verifier_agent import RejectionCode


def with_settings(installation: Installation, **changes: Any) -> Installation:
    return replace(installation, settings=msgspec.structs.replace(installation.settings, **changes))


def with_new_kek(installation: Installation, tmp_path: Path) -> tuple[Installation, Installation, str]:
    """As it is configured first, with the key to come as a further one; then, with the old one so; and the new id."""
    new = KeyEncryptionKey.create(tmp_path / "new-kek").kek_id
    first = with_settings(installation, other_kek_files=(tmp_path / "new-kek",))
    then = with_settings(installation, kek_file=tmp_path / "new-kek", other_kek_files=(tmp_path / "kek",))
    return first, then, new


async def rewrap(installation: Installation) -> Rewrapped:
    async with rewrapping_of(installation.settings) as rewrapping:
        return await rewrapping.run()


async def sealed_under(installation: Installation) -> dict[str, str]:
    database = Database(installation.settings.store)
    try:
        async with database.read() as connection:
            return {row.kid: row.kek_id for row in await connection.execute(select(keys.c.kid, keys.c.kek_id))}
    finally:
        await database.close()


async def change_row(services: Services, kid: str, **values: Any) -> None:
    async with services.database.write() as connection:
        await connection.execute(update(keys).where(keys.c.kid == kid).values(**values))


@on_every_store
async def test_every_key_is_sealed_anew_while_issuers_sign_and_rotate_and_the_old_key_is_needed_no_more(
    installation: Installation, tmp_path: Path
) -> None:
    first, then, new = with_new_kek(installation, tmp_path)
    async with installation.running() as before:  # keys there are, under the old one
        old_token = await before.token(installation.demo)

    async with first.running() as one, then.running(port=0) as two:
        done = await rewrap(then)
        assert (done.rewrapped, done.already, done.overtaken, done.broken) == (4, 0, 0, {})
        assert done.still_sealing != ()  # the first one would seal the next key with the old one
        assert not done.is_complete
        for replica in (one, two):
            assert (await replica.admin("POST", "/keys/rotate", {"reason": "x", "force": True})).status == 200
        tokens = [await one.token(installation.demo), await two.token(installation.demo)]

    async with then.running() as issuer, installation.agent() as agent:
        done = await rewrap(then)
        assert done.is_complete
        assert done.rewrapped == 1  # the standby that the first one made
        assert set((await sealed_under(installation)).values()) == {new}
        for token in (old_token, *tokens):
            await until(lambda token=token: rejection(agent, token) is None, "what any of them signed verifies")  # type: ignore[misc]
        assert (await rewrap(then)).rewrapped == 0
        assert await issuer.token(installation.demo)

    only_new = with_settings(installation, kek_file=tmp_path / "new-kek")
    async with only_new.running() as issuer:
        assert await issuer.token(installation.demo)


@on_every_store
async def test_it_is_refused_while_an_issuer_runs_that_could_not_open_the_rows_then(
    installation: Installation, tmp_path: Path
) -> None:
    _, then, new = with_new_kek(installation, tmp_path)
    async with installation.running() as issuer:
        with pytest.raises(Conflict, match=f"key-encryption key {new} is not known to the running issuers .*:"):
            await rewrap(then)
        assert new not in (await sealed_under(installation)).values()

        async with issuer.services.database.write() as connection:  # it was killed, and has been silent for so long
            silent = kek_holders.c.said_at - SILENT_SECONDS - 1
            await connection.execute(update(kek_holders).values(said_at=silent))
        assert (await rewrap(then)).rewrapped == 4

    assert (await rewrap(then)).is_complete  # and one that stopped takes its word back


async def test_it_is_refused_without_the_key_of_a_row_and_nothing_is_done(
    installation: Installation, tmp_path: Path
) -> None:
    async with installation.running():
        pass
    old = set((await sealed_under(installation)).values())
    new = KeyEncryptionKey.create(tmp_path / "new-kek").kek_id

    with pytest.raises(SealBroken, match=f"was sealed with key-encryption key {next(iter(old))}, not with {new}"):
        await rewrap(with_settings(installation, kek_file=tmp_path / "new-kek"))

    assert set((await sealed_under(installation)).values()) == old


async def test_it_goes_on_where_it_was_interrupted(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, then, _ = with_new_kek(installation, tmp_path)
    async with installation.running():
        pass
    original, calls = Rewrapping._rewrap, 0

    async def dies(self: Rewrapping, row: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise StoreUnavailable("away")
        return await original(self, row)

    monkeypatch.setattr(Rewrapping, "_rewrap", dies)
    with pytest.raises(StoreUnavailable):
        await rewrap(then)
    monkeypatch.setattr(Rewrapping, "_rewrap", original)

    done = await rewrap(then)

    assert (done.rewrapped, done.already) == (3, 1)


async def test_two_at_once_replace_each_row_once(installation: Installation, tmp_path: Path) -> None:
    _, then, new = with_new_kek(installation, tmp_path)
    async with installation.running():
        pass

    both = await asyncio.gather(rewrap(then), rewrap(then))

    assert sum(done.rewrapped for done in both) == 4
    assert set((await sealed_under(installation)).values()) == {new}


async def test_a_row_that_somebody_mends_meanwhile_is_left_as_it_is_for_the_next_run(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, then, new = with_new_kek(installation, tmp_path)
    async with installation.running():
        pass
    old, original = KeyEncryptionKey.load(tmp_path / "kek"), KeyEncryptionKey.wrap
    mended = b""

    async def meanwhile(self: KeyEncryptionKey, secret: bytes, *, kid: str, use: str) -> bytes:
        nonlocal mended
        if not mended:
            mended = await original(old, secret, kid=kid, use=use)
            async with rewrapping._database.write() as connection:
                await connection.execute(update(keys).where(keys.c.kid == kid).values(sealed=mended))
        return await original(self, secret, kid=kid, use=use)

    async with rewrapping_of(then.settings) as rewrapping:
        monkeypatch.setattr(KeyEncryptionKey, "wrap", meanwhile)
        done = await rewrapping.run()

    assert (done.rewrapped, done.overtaken) == (3, 1)
    assert not done.is_complete
    assert (await rewrap(then)).is_complete
    assert set((await sealed_under(installation)).values()) == {new}


@pytest.mark.parametrize(
    ("damage", "why"), [(b"", "cut short: 0 bytes"), (b"x" * 12, "cut short: 12 bytes"), (b"x" * 300, "damaged")]
)
async def test_a_damaged_row_is_named_and_the_others_are_sealed_anew(
    installation: Installation, tmp_path: Path, damage: bytes, why: str
) -> None:
    _, then, _ = with_new_kek(installation, tmp_path)
    async with installation.running() as issuer:
        [standby] = [
            key["kid"] for key in (await issuer.admin("GET", "/keys")).json()["keys"] if key["state"] == "pending"
        ]
        await change_row(issuer.services, standby, sealed=damage)

    done = await rewrap(then)

    old = KeyEncryptionKey.load(tmp_path / "kek").kek_id
    assert done.rewrapped == 3
    assert not done.is_complete
    assert list(done.broken) == [standby]
    assert why in done.broken[standby]
    assert standby in done.broken[standby]
    assert old in done.broken[standby]


async def test_a_damaged_key_answers_500_without_a_word_of_it_and_the_log_names_it(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    async with installation.running() as issuer:
        [active] = [
            key["kid"] for key in (await issuer.admin("GET", "/keys")).json()["keys"] if key["state"] == "active"
        ]
        issuer.services.keys.signing._opened.clear()
        await change_row(issuer.services, active, sealed=b"x" * 200)

        answer = await issuer.form("/oauth2/token", installation.demo, grant_type="client_credentials")

    assert (answer.status, answer.json()["error"]) == (500, "server_error")
    assert active not in answer.body.decode()
    assert f"private key {active} (token) cannot be unsealed with key-encryption key" in caplog.text


@on_every_store
async def test_an_imported_key_is_a_standby_published_like_any_other_and_signs_in_its_turn(
    installation: Installation,
) -> None:
    jwk = generate("ES256")
    jwk["kid"] = "made-elsewhere"
    async with installation.running() as issuer, installation.agent() as agent:
        async with keys_of(installation.settings) as keys_:
            await keys_.take_in(jwk, reason="from the old system", actor="test")
        await until(lambda: "made-elsewhere" in agent.status().keys, "the agent hears of it")
        jwks = (await issuer.send("GET", "/.well-known/jwks.json")).json()["keys"]
        assert any(same_key(key, jwk) for key in jwks if key["kid"] == "made-elsewhere")
        foreign = SigningKey(jwk).sign(good_claims(await issuer.token(installation.demo)), "at+jwt")
        assert rejection(agent, foreign) is None

        for _ in range(2):  # the standby that was there, then this one
            assert (await issuer.admin("POST", "/keys/rotate", {"reason": "x"})).status == 200
        token = await issuer.token(installation.demo)

        assert SigningKey(jwk).kid == kid_of(token)
        await until(lambda: rejection(agent, token) is None, "what it signs verifies")
        assert (await issuer.admin("POST", "/keys/made-elsewhere/revoke", {"reason": "x"})).status == 200
        await until(lambda: rejection(agent, token) is RejectionCode.KEY_REVOKED, "it is revoked like any other")


@on_every_store
async def test_a_key_to_verify_alone_never_signs_and_retires(installation: Installation) -> None:
    jwk = generate("RS256")  # an algorithm that nobody signs with here
    async with installation.running() as issuer, installation.agent() as agent:
        async with keys_of(installation.settings) as keys_:
            await keys_.take_in(jwk, reason="from the old system", actor="test", verify_only=True)
        old = SigningKey(jwk).sign(good_claims(await issuer.token(installation.demo)), "at+jwt")
        await until(lambda: rejection(agent, old) is None, "tokens of the old system verify")
        assert (await issuer.admin("POST", "/keys/rotate", {"reason": "x"})).status == 200
        assert kid_of(await issuer.token(installation.demo)) != jwk["kid"]

    both = with_settings(installation, signing_algorithms=("ES256", "RS256"))
    async with both.running() as issuer:  # a key that verifies alone does not count as one that signs
        states = [(key["alg"], key["state"]) for key in (await issuer.admin("GET", "/keys")).json()["keys"]]
        assert ("RS256", "active") in states
        assert ("RS256", "pending") in states


@on_every_store
async def test_neither_a_kid_nor_a_key_is_used_twice_whatever_has_become_of_the_first(
    installation: Installation,
) -> None:
    async with installation.running() as issuer:
        token = await issuer.token(installation.demo)
        async with keys_of(installation.settings) as keys_:
            stolen = await keys_.give_out(kid_of(token), reason="a test", actor="test")
        assert (await issuer.admin("POST", f"/keys/{kid_of(token)}/revoke", {"reason": "x"})).status == 200

    other = generate("ES256")
    other["kid"] = kid_of(token)
    async with keys_of(installation.settings) as keys_:
        with pytest.raises(Conflict, match=r"there is a key .* already \(token, revoked\): a kid is used once"):
            await keys_.take_in(other, reason="x", actor="test")
        stolen["kid"] = "fresh-name"
        with pytest.raises(Conflict, match=rf"it is the key {kid_of(token)} \(token, revoked\)"):
            await keys_.take_in(stolen, reason="x", actor="test")
        event_kid = installation.trust.event_keys[0]["kid"]
        other["kid"] = event_kid
        with pytest.raises(Conflict, match=r"\(event, active\)"):
            await keys_.take_in(other, reason="x", actor="test", verify_only=True)
        with pytest.raises(NotFound, match="there are no keys for EdDSA"):
            await keys_.take_in(generate("EdDSA"), reason="x", actor="test")


async def test_what_is_given_out_is_the_key_and_the_audit_trail_says_so(installation: Installation) -> None:
    async with installation.running() as issuer:
        kid = kid_of(await issuer.token(installation.demo))
        async with keys_of(installation.settings) as keys_:
            jwk = await keys_.give_out(kid, reason="for the vendor", actor="someone")
            with pytest.raises(NotFound, match="no key has the kid 'nobody'"):
                await keys_.give_out("nobody", reason="x", actor="x")
        published = (await issuer.send("GET", "/.well-known/jwks.json")).json()["keys"]
        assert public(jwk) in published

        async def told() -> bool:
            records = [event.record for event in await installation.said(Stream.KEYS)]
            reasons = [record.reason for record in records if isinstance(record, KeySet)]
            return reasons[-1:] == [f"private key {kid} exported: for the vendor"]

        await until(told, "the audit trail is published")


async def test_of_a_key_that_was_recovered_from_the_log_there_is_no_private_half_to_give_out(
    installation: Installation,
) -> None:
    async with keys_of(installation.settings) as keys_:
        jwk = generate("ES256")
        vault = keys_._vault
        async with keys_._database.write() as connection:
            await vault.add(connection, await vault.seal(public(jwk), "token"), KeyState.RETIRING)
        with pytest.raises(NotFound, match="the public half alone"):
            await keys_.give_out(jwk["kid"], reason="x", actor="x")


@on_every_store
async def test_keys_move_from_a_file_into_an_hsm_while_an_issuer_signs_and_the_file_is_needed_no_more(
    installation: Installation, tmp_path: Path, softhsm: SoftHsm
) -> None:
    uri = softhsm.key("vault-move")
    async with with_settings(installation, other_kek_uris=(uri,)).running() as issuer:
        moved = with_settings(installation, kek_file=None, kek_uri=uri, other_kek_files=(tmp_path / "kek",))
        assert (await rewrap(moved)).rewrapped == 4
        issuer.services.keys.signing._opened.clear()
        assert await issuer.token(installation.demo)
    (tmp_path / "kek").unlink()

    hardware = with_settings(installation, kek_file=None, kek_uri=uri)
    async with hardware.running() as issuer:
        assert set((await sealed_under(installation)).values()) == {"pkcs11:tocsin-tests/vault-move"}
        before = await issuer.token(installation.demo)
        assert (await issuer.admin("POST", "/keys/rotate", {"reason": "x"})).status == 200
        assert kid_of(await issuer.token(installation.demo)) != kid_of(before)


async def test_an_issuer_does_not_start_without_the_key_of_its_standby_and_names_it(
    installation: Installation,
) -> None:
    async with installation.running() as issuer:
        [standby] = [
            key["kid"] for key in (await issuer.admin("GET", "/keys")).json()["keys"] if key["state"] == "pending"
        ]
        await change_row(issuer.services, standby, kek_id="another")

    with pytest.raises(SealBroken, match=f"key {standby} was sealed with key-encryption key another, not with"):
        async with installation.running():
            pass


async def the_one(issuer: Replica, state: str) -> str:
    """The kid of the one key in a state."""
    [kid] = [key["kid"] for key in (await issuer.admin("GET", "/keys")).json()["keys"] if key["state"] == state]
    return str(kid)


def kid_of(token: str) -> str:
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


def good_claims(token: str) -> dict[str, Any]:
    """Those of a good token, for one that another signs."""
    claims = unverified(token)
    return {**claims, "aud": AUDIENCE, "jti": "another"}
