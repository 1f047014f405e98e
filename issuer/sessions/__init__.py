"""Login sessions: a user who has authenticated in a browser, until logout, time or a revocation ends it."""

from issuer.sessions.cookies import Cookies
from issuer.sessions.session import Session, login_claims
from issuer.sessions.session_store import SessionStore

__all__ = ["Cookies", "Session", "SessionStore", "login_claims"]
