"""Which wrappers seal and open private keys, as the settings have it."""

from issuer.keys.pkcs11_uri import Pkcs11Uri
from issuer.keys.sealing import KeyEncryptionKey
from issuer.keys.wrapping import KeyWrapper, Wrappers
from issuer.settings import IssuerSettings
from verifier_agent import SettingInvalid


async def key_wrappers(settings: IssuerSettings) -> Wrappers:
    """The key-encryption keys that the settings name: the one that seals, and others that open.

    Raises:
        SettingInvalid: one is not what its setting says, or needs what is not installed.
        WrapperUnavailable: what holds one does not answer.
    """
    others: list[KeyWrapper] = [KeyEncryptionKey.load(path, "other_kek_files") for path in settings.other_kek_files]
    others += [KeyEncryptionKey.decode(kek.reveal(), "setting 'other_keks'") for kek in settings.other_keks]
    others += [await _in_token(uri, "other_kek_uris") for uri in settings.other_kek_uris]
    return Wrappers(await _current(settings), others)


async def _current(settings: IssuerSettings) -> KeyWrapper:
    if settings.kek_uri is not None:
        return await _in_token(settings.kek_uri, "kek_uri")
    if settings.kek is not None:
        return KeyEncryptionKey.decode(settings.kek.reveal(), "setting 'kek'")
    if settings.kek_file is not None:
        return KeyEncryptionKey.load(settings.kek_file)
    raise AssertionError("settings with none cannot be made")


async def _in_token(text: str, setting: str) -> KeyWrapper:
    try:
        from issuer.keys.pkcs11 import Pkcs11Wrapper
    except ImportError as error:
        raise SettingInvalid(f"setting {setting!r} is a PKCS #11 URI: install tocsin[pkcs11]") from error
    wrapper = Pkcs11Wrapper(Pkcs11Uri.parse(text, setting), setting)
    await wrapper.open()
    return wrapper
