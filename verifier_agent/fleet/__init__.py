"""What an agent says of itself to its issuer: who it is, how far it has come, and when it leaves."""

from verifier_agent.fleet.report import FleetReport
from verifier_agent.fleet.reporter import Reporter

__all__ = ["FleetReport", "Reporter"]
