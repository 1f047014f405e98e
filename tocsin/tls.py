"""TLS of a server: a certificate and its key in files, read anew when they have changed."""

import logging
import ssl
from pathlib import Path

from verifier_agent import SettingInvalid

log = logging.getLogger(__name__)


class ServerTls:
    """The certificate that is shown to who connects.

    Attributes:
        context: for the server; a certificate that is read anew is shown from the next connection on.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read them.

        Raises:
            SettingInvalid: they cannot be read, or do not belong together.
        """
        self._certificate, self._key = certificate, key
        self.context = self._read()

    def reload(self) -> None:
        """Read the files anew; when that fails the old ones stay, and the log says why."""
        try:
            self._read()  # into another context first: the one in use must not be left with one half of a pair
            self._load(self.context)
        except (SettingInvalid, OSError) as error:
            log.error("tls_not_reloaded", extra={"error": str(error)})  # noqa: TRY400 - the message says it all
        else:
            log.info("tls_reloaded")

    def _read(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 9325 section 3.1.1
        context.set_alpn_protocols(["http/1.1"])
        try:
            self._load(context)
        except OSError as error:  # of SSL too; neither has anything of the key in its words
            raise SettingInvalid(
                f"settings 'tls_cert' and 'tls_key': {self._certificate} and {self._key}: {error.strerror or error}"
            ) from error
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        # A key that takes a passphrase is refused: without one here OpenSSL would ask at the terminal, and wait.
        context.load_cert_chain(self._certificate, self._key, password="")
