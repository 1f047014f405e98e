"""Consul: hot configuration, registration of the service, and what locks are made of. Needs the extra ``consul``."""

from verifier_agent.consul.errors import ConsulUnavailable
from verifier_agent.consul.settings import ConsulPlace, ConsulSettings

__all__ = ["ConsulPlace", "ConsulSettings", "ConsulUnavailable"]
