"""Configuration that changes while a program runs: what may, by which rule, and from where."""

from verifier_agent.hot.configuration import HotConfiguration
from verifier_agent.hot.live import Live
from verifier_agent.hot.report import ConfigurationReport

__all__ = ["ConfigurationReport", "HotConfiguration", "Live"]
