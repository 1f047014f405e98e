"""A port that several processes will share, kept for them."""

import socket

from tocsin.errors import CommandFailed
from tocsin.serving import cannot_listen


def reserved(host: str, port: int) -> socket.socket:
    """A socket that holds the port, without listening, until it is closed; its workers may listen on it meanwhile.

    Others of this user could share the port too, unnoticed. So it is first asked for as if for nobody else.

    Raises:
        CommandFailed: it is taken or not ours, or this system shares no ports.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise CommandFailed("this system does not let processes share a port: set workers to 1")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with _bound(family, (host, port), socket.SO_REUSEADDR) as alone:
            port = int(alone.getsockname()[1])
        return _bound(family, (address[0], port), socket.SO_REUSEPORT)
    except OSError as error:
        raise cannot_listen(host, port, error) from error


def _bound(family: int, address: tuple[str | int, int], option: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, option, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made
