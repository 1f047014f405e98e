"""What the sidecar is told beside the agent's own settings."""

import msgspec

from verifier_agent.errors import SettingInvalid


class SidecarSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the sidecar's HTTP side.

    Attributes:
        sidecar_host: address to listen on.
        sidecar_port: port to listen on; 0 for any free one.
    """

    sidecar_host: str = "127.0.0.1"
    sidecar_port: int = 8081

    def __post_init__(self) -> None:
        if not 0 <= self.sidecar_port < 65536:
            raise SettingInvalid(f"setting 'sidecar_port' must be 0 to 65535, not {self.sidecar_port}")
