"""Users: who they are, and how they prove it."""

from issuer.users.login_throttle import LoginThrottle
from issuer.users.passwords import Passwords
from issuer.users.user import User
from issuer.users.user_store import UserStore

__all__ = ["LoginThrottle", "Passwords", "User", "UserStore"]
