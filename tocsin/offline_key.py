"""The private half of the next event key: a file for its owner alone, to be kept where no issuer is."""

from pathlib import Path
from typing import Final

from events.thumbprint import thumbprint
from issuer.keys.exchange import KeyUnusable, read_key, write_key
from issuer.keys.generation import PrivateJwk, generate
from issuer.keys.private_file import read_private, write_private
from tocsin.errors import WRONG_USE, CommandFailed

ALG: Final = "ES256"


def make_successor(path: Path, made: list[Path] | None = None) -> str:
    """Make the key and its file, with mode 0600; its thumbprint (RFC 7638).

    It is written before anything pins it: a key that is pinned and lost could never succeed. A file that is there
    already, as of an attempt that was cut off, is used as it is.

    Args:
        path: of the file.
        made: is told the path, if the file was not there.

    Raises:
        CommandFailed: it cannot be written.
        SettingInvalid: there is one that others may read, or that holds no private key.
    """
    if path.exists():
        return thumbprint(read_offline(path))
    jwk = generate(ALG)
    try:
        write_private(path, write_key(jwk, "jwk"))
    except OSError as error:
        raise CommandFailed(f"cannot write {path}: {error}") from error
    if made is not None:
        made.append(path)
    return jwk["kid"]


def read_offline(path: Path) -> PrivateJwk:
    """The key in a file that ``make_successor`` has made, or in any of its kind.

    Raises:
        CommandFailed: it holds no private key of use here; the message shows nothing of it.
        SettingInvalid: it cannot be read, or others may.
    """
    try:
        return read_key(read_private(path, "the event key"))
    except KeyUnusable as error:
        raise CommandFailed(f"{path} holds no event key: {error}", exit_code=WRONG_USE) from error
