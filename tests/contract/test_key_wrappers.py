"""What every key wrapper must do: with a key from a file, from the environment, and inside a PKCS #11 token."""

import base64
import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest

from issuer.errors import SealBroken
from issuer.keys.choice import key_wrappers
from issuer.keys.wrapping import KeyWrapper, Wrappers
from issuer.settings import IssuerSettings
from tests.softhsm import PIN, SoftHsm
from verifier_agent import Secret

PLAIN = b'{"d":"a private key", "k": "' + b"x" * 2000 + b'"}'
KINDS = ("file", "environment", "pkcs11")


@dataclass
class Kit:
    """Makes wrappers of one kind."""

    kind: str
    folder: Path
    hsm: SoftHsm | None

    async def wrapper(self, name: str) -> KeyWrapper:
        """The one with this name; made anew, it has the same key-encryption key."""
        return (await key_wrappers(self.settings(name))).current

    def settings(self, name: str) -> IssuerSettings:
        """An issuer's that seals with it."""
        place: dict[str, object] = {"kek": Secret(base64.b64encode(name.ljust(32).encode()).decode())}
        if self.kind == "file":
            place = {"kek_file": self.folder / name}
            if not (self.folder / name).exists():
                (self.folder / name).touch(0o600)
                (self.folder / name).write_bytes(base64.b64encode(name.rjust(32).encode()))
        if self.hsm is not None:
            place = {"kek_uri": self.hsm.key(f"contract-{name}")}
        return IssuerSettings(issuer="https://issuer.example", store="sqlite:///x.db", log="memory:", **place)  # type: ignore[arg-type]


@pytest.fixture(params=KINDS)
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Kit:
    hsm = request.getfixturevalue("softhsm") if request.param == "pkcs11" else None
    return Kit(request.param, tmp_path, hsm)


async def test_what_was_wrapped_is_unwrapped_again_by_a_wrapper_made_anew(kit: Kit) -> None:
    sealed = await (await kit.wrapper("one")).wrap(PLAIN, kid="k1", use="token")

    assert await (await kit.wrapper("one")).unwrap(sealed, kid="k1", use="token") == PLAIN


async def test_wrapping_twice_gives_two_texts_and_neither_holds_the_plain_one(kit: Kit) -> None:
    wrapper = await kit.wrapper("one")

    first, second = [await wrapper.wrap(PLAIN, kid="k1", use="token") for _ in range(2)]

    assert first != second
    assert b"a private key" not in first + second


@pytest.mark.parametrize(("kid", "use"), [("k2", "token"), ("k1", "event"), ("token|k1", ""), ("", "token|k1")])
async def test_what_is_wrapped_for_one_key_opens_in_the_place_of_no_other(kit: Kit, kid: str, use: str) -> None:
    wrapper = await kit.wrapper("one")
    sealed = await wrapper.wrap(PLAIN, kid="k1", use="token")

    with pytest.raises(SealBroken) as refused:
        await wrapper.unwrap(sealed, kid=kid, use=use)

    assert wrapper.kek_id in str(refused.value)


async def test_another_key_encryption_key_opens_nothing_and_the_message_names_key_and_both(kit: Kit) -> None:
    one, other = await kit.wrapper("one"), await kit.wrapper("other")
    sealed = await one.wrap(PLAIN, kid="k1", use="token")

    assert one.kek_id != other.kek_id
    with pytest.raises(SealBroken) as refused:
        await other.unwrap(sealed, kid="k1", use="token")
    assert "k1" in str(refused.value)
    assert other.kek_id in str(refused.value)
    with pytest.raises(SealBroken, match=f"key k1 was sealed with key-encryption key {one.kek_id}, not with"):
        await Wrappers(other).unwrap(sealed, kid="k1", use="token", kek_id=one.kek_id)


@pytest.mark.parametrize("kept", [0, 1, 11, 12, 27, 28])
async def test_a_row_cut_short_is_named_as_that(kit: Kit, kept: int) -> None:
    wrapper = await kit.wrapper("one")
    sealed = await wrapper.wrap(PLAIN, kid="k1", use="token")

    with pytest.raises(SealBroken, match=f"private key k1 .token. is cut short: {kept} bytes") as refused:
        await wrapper.unwrap(sealed[:kept], kid="k1", use="token")

    assert wrapper.kek_id in str(refused.value)


@pytest.mark.parametrize("position", [0, 11, 12, 20, -17, -1])
async def test_a_flipped_bit_is_noticed_and_the_wrapper_goes_on(kit: Kit, position: int) -> None:
    wrapper = await kit.wrapper("one")
    sealed = bytearray(await wrapper.wrap(PLAIN, kid="k1", use="token"))
    sealed[position] ^= 1

    with pytest.raises(SealBroken, match="private key k1"):
        await wrapper.unwrap(bytes(sealed), kid="k1", use="token")

    sealed[position] ^= 1
    assert await wrapper.unwrap(bytes(sealed), kid="k1", use="token") == PLAIN


async def test_the_id_fits_into_a_row_and_neither_it_nor_the_repr_shows_a_secret(kit: Kit) -> None:
    wrapper = await kit.wrapper("one")

    shown = f"{wrapper!r} {wrapper} {wrapper.kek_id} {Wrappers(wrapper)!r} {kit.settings('one')!r}"

    assert 0 < len(wrapper.kek_id) <= 64
    for secret in (PIN, *(base64.b64encode(text.encode()).decode() for text in ("one".ljust(32), "one".rjust(32)))):
        assert secret not in shown


async def test_a_wrapper_cannot_be_pickled_away(kit: Kit) -> None:
    with pytest.raises((TypeError, pickle.PicklingError)):
        pickle.dumps(await kit.wrapper("one"))


async def test_a_row_of_the_key_before_opens_while_the_new_one_seals(kit: Kit) -> None:
    before, now = await kit.wrapper("before"), await kit.wrapper("now")
    old = await before.wrap(PLAIN, kid="k1", use="token")
    ring = Wrappers(now, [before, now])

    assert await ring.unwrap(old, kid="k1", use="token", kek_id=before.kek_id) == PLAIN
    assert ring.current is now
    assert ring.kek_ids == (now.kek_id, before.kek_id)
