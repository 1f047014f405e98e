"""One replica leads: it rotates keys by policy. A lock says who, and an epoch in the store makes it so."""

from issuer.leadership.leader_lock import LeaderLock, LockUnavailable
from issuer.leadership.leadership import Leadership, LeadershipLost

__all__ = ["LeaderLock", "Leadership", "LeadershipLost", "LockUnavailable"]
