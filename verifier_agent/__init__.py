"""Who hears it: verifies access tokens in memory by what the issuer's event streams have said.

Importing this package loads no web framework, database or broker client; those are extras, loaded by what needs them.
"""

from events import IssuerTrust
from verifier_agent.agent import Agent
from verifier_agent.claims import Claims
from verifier_agent.configuration import Seconds, Secret, Sources, parse_seconds
from verifier_agent.errors import (
    KeyPending,
    RejectionCode,
    SettingInvalid,
    SnapshotInvalid,
    TokenRejected,
    UnavailableCode,
    VerificationUnavailable,
)
from verifier_agent.issuer_state import Outcome
from verifier_agent.jwks import ForeignIssuer
from verifier_agent.policy import OnStale, VerificationPolicy
from verifier_agent.report import AgentReport
from verifier_agent.settings import AgentSettings
from verifier_agent.thread_agent import ThreadAgent
from verifier_agent.verifier import Verifier

__all__ = [
    "Agent",
    "AgentReport",
    "AgentSettings",
    "Claims",
    "ForeignIssuer",
    "IssuerTrust",
    "KeyPending",
    "OnStale",
    "Outcome",
    "RejectionCode",
    "Seconds",
    "Secret",
    "SettingInvalid",
    "SnapshotInvalid",
    "Sources",
    "ThreadAgent",
    "TokenRejected",
    "UnavailableCode",
    "VerificationPolicy",
    "VerificationUnavailable",
    "Verifier",
    "parse_seconds",
]
