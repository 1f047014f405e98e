"""Private keys at rest."""

import base64
from pathlib import Path

import pytest

from issuer.errors import SealBroken
from issuer.keys.sealing import KEK_BYTES, KeyEncryptionKey
from verifier_agent import SettingInvalid

PLAIN = b"a private key"


@pytest.fixture
def kek() -> KeyEncryptionKey:
    return KeyEncryptionKey(b"k" * KEK_BYTES)


async def test_what_was_sealed_is_unsealed_again(kek: KeyEncryptionKey) -> None:
    assert await kek.unwrap(await kek.wrap(PLAIN, kid="k1", use="token"), kid="k1", use="token") == PLAIN


async def test_sealing_twice_gives_two_different_texts_and_neither_holds_the_plain_one(kek: KeyEncryptionKey) -> None:
    first, second = [await kek.wrap(PLAIN, kid="k1", use="token") for _ in range(2)]

    assert first != second
    assert PLAIN not in first + second


@pytest.mark.parametrize(("kid", "use"), [("k2", "token"), ("k1", "event"), ("token|k1", "")])
async def test_a_sealed_key_cannot_be_put_in_the_place_of_another(kek: KeyEncryptionKey, kid: str, use: str) -> None:
    sealed = await kek.wrap(PLAIN, kid="k1", use="token")

    with pytest.raises(SealBroken, match="cannot be unsealed"):
        await kek.unwrap(sealed, kid=kid, use=use)


async def test_another_key_encryption_key_does_not_unseal_and_the_message_names_which_was_tried(
    kek: KeyEncryptionKey,
) -> None:
    other = KeyEncryptionKey(b"o" * KEK_BYTES)

    with pytest.raises(SealBroken, match=other.kek_id):
        await other.unwrap(await kek.wrap(PLAIN, kid="k1", use="token"), kid="k1", use="token")


@pytest.mark.parametrize("kept", [0, 1, 12, 27, -1])
async def test_a_truncated_seal_is_noticed(kek: KeyEncryptionKey, kept: int) -> None:
    sealed = await kek.wrap(PLAIN, kid="k1", use="token")

    with pytest.raises(SealBroken):
        await kek.unwrap(sealed[:kept], kid="k1", use="token")


@pytest.mark.parametrize("position", [0, 11, 12, 20, -1])
async def test_a_flipped_bit_is_noticed(kek: KeyEncryptionKey, position: int) -> None:
    sealed = bytearray(await kek.wrap(PLAIN, kid="k1", use="token"))
    sealed[position] ^= 1

    with pytest.raises(SealBroken):
        await kek.unwrap(bytes(sealed), kid="k1", use="token")


def test_the_id_and_the_repr_of_a_key_encryption_key_do_not_show_it() -> None:
    key = bytes(range(KEK_BYTES))

    shown = repr(KeyEncryptionKey(key)) + str(KeyEncryptionKey(key))

    assert key.hex()[:8] not in shown
    assert base64.b64encode(key).decode()[:8] not in shown


def test_the_id_tells_one_key_encryption_key_from_another() -> None:
    assert KeyEncryptionKey(b"a" * KEK_BYTES).kek_id == KeyEncryptionKey(b"a" * KEK_BYTES).kek_id
    assert KeyEncryptionKey(b"a" * KEK_BYTES).kek_id != KeyEncryptionKey(b"b" * KEK_BYTES).kek_id


def test_a_created_file_is_its_owners_alone_and_loads_as_the_same_key(tmp_path: Path) -> None:
    created = KeyEncryptionKey.create(tmp_path / "kek")

    assert (tmp_path / "kek").stat().st_mode & 0o777 == 0o600
    assert KeyEncryptionKey.load(tmp_path / "kek").kek_id == created.kek_id


def test_creating_never_overwrites_a_file(tmp_path: Path) -> None:
    created = KeyEncryptionKey.create(tmp_path / "kek")

    with pytest.raises(FileExistsError):
        KeyEncryptionKey.create(tmp_path / "kek")

    assert KeyEncryptionKey.load(tmp_path / "kek").kek_id == created.kek_id


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o777, 0o700, 0o200, 0o4600])
def test_a_file_that_others_may_touch_is_refused_and_the_message_says_what_to_do(tmp_path: Path, mode: int) -> None:
    KeyEncryptionKey.create(tmp_path / "kek")
    (tmp_path / "kek").chmod(mode)

    with pytest.raises(SettingInvalid, match=rf"setting 'kek_file'.* has mode {mode:04o}.*chmod 600"):
        KeyEncryptionKey.load(tmp_path / "kek")


def test_a_file_that_its_owner_may_only_read_is_read(tmp_path: Path) -> None:
    created = KeyEncryptionKey.create(tmp_path / "kek")
    (tmp_path / "kek").chmod(0o400)

    assert KeyEncryptionKey.load(tmp_path / "kek").kek_id == created.kek_id


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"not base64!", "schlüssel".encode(), base64.b64encode(b"short"), base64.b64encode(b"k" * 33)],
)
def test_a_file_that_holds_no_key_is_refused_by_the_name_of_the_setting(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kek"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(SettingInvalid, match="setting 'kek_file'"):
        KeyEncryptionKey.load(path)


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_file_that_cannot_be_read_is_refused_by_the_name_of_the_setting(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingInvalid, match="setting 'kek_file'"):
        KeyEncryptionKey.load(tmp_path / name)


def test_a_key_from_the_environment_is_the_key_of_the_file(tmp_path: Path) -> None:
    created = KeyEncryptionKey.create(tmp_path / "kek")

    given = KeyEncryptionKey.decode((tmp_path / "kek").read_text(), "setting 'kek'")

    assert given.kek_id == created.kek_id


def test_a_key_from_the_environment_that_is_none_is_refused_without_being_shown() -> None:
    with pytest.raises(SettingInvalid, match="setting 'kek'") as refused:
        KeyEncryptionKey.decode("c2hvcnQta2V5", "setting 'kek'")

    assert "c2hvcnQta2V5" not in str(refused.value)
