"""The sidecar: an agent behind HTTP, for a service in another language on the same host."""

from verifier_agent.sidecar.settings import SidecarSettings

__all__ = ["SidecarSettings"]
