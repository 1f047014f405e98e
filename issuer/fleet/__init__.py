"""The agents that have enrolled: who they are, how far they have come, and which of them count."""

from issuer.fleet.fleet import Fleet
from issuer.fleet.member import Member, Reason, Receipt, receipt

__all__ = ["Fleet", "Member", "Reason", "Receipt", "receipt"]
