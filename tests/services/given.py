"""A service that somebody else runs and whose address the environment names."""

from collections.abc import Callable
from typing import NoReturn

from tests.services.readiness import NotReady
from tests.services.service import NotControlled, ServiceFailed


class GivenService:
    """It can be used but not stopped: it is not ours."""

    def __init__(self, variable: str, address: str, probe: Callable[[str], None]) -> None:
        self._variable = variable
        self._address = address
        self._probe = probe

    @property
    def origin(self) -> str:
        return f"given by {self._variable}"

    @property
    def address(self) -> str:
        return self._address

    def start(self) -> None:
        try:
            self._probe(self._address)
        except (NotReady, OSError) as error:
            raise ServiceFailed(f"{self._variable}: {type(error).__name__}: {error}") from None

    def stop(self) -> NoReturn:
        self._refuse("stop")

    def kill(self) -> NoReturn:
        self._refuse("kill")

    def pause(self) -> NoReturn:
        self._refuse("pause")

    def resume(self) -> NoReturn:
        self._refuse("resume")

    def restart_empty(self) -> NoReturn:
        self._refuse("empty")

    def close(self) -> None:
        pass

    def _refuse(self, what: str) -> NoReturn:
        raise NotControlled(f"will not {what} the service that {self._variable} names: it is not of the tests' making")
