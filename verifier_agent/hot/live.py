"""Settings as they are now, for whoever must not keep a copy of them."""

from typing import Generic, TypeVar

SettingsT = TypeVar("SettingsT")


class Live(Generic[SettingsT]):
    """Holds the settings in force. Who reads ``now`` each time has every change from its next use on.

    Attributes:
        now: the settings, replaced as a whole and never altered.
    """

    def __init__(self, settings: SettingsT) -> None:
        self.now = settings
