"""What forgeries are made of."""

import jwt
from msgspec import UNSET

from tests.simulator import IssuerSimulator, Listener, b64, signing_key
from verifier_agent import Claims, VerificationPolicy
from verifier_agent.hot_path import hot_path
from verifier_agent.policy import Audience


def issuer_signing_with(alg: str) -> IssuerSimulator:
    """An issuer whose tokens have this algorithm; its events are cheap to sign whatever that is."""
    issuer = IssuerSimulator()
    issuer.key = signing_key(alg, f"{alg}-key")
    issuer.publish_key(issuer.key)
    return issuer


def signed_with(token: str, signature: bytes) -> str:
    """The same header and payload under another signature."""
    return f"{token.rpartition('.')[0]}.{b64(signature)}"


def signed_text(issuer: IssuerSimulator, *, header: bytes | None = None, payload: bytes | None = None) -> str:
    """A well signed token whose header and payload are exactly this text, whatever it is; good ones by default."""
    good_header, good_payload, _ = issuer.token().split(".")
    parts = (
        good_header if header is None else b64(header),
        good_payload if payload is None else b64(payload),
    )
    unsigned = ".".join(parts)
    signature = jwt.get_algorithm_by_name(issuer.key.alg).sign(unsigned.encode(), issuer.key.private)
    return f"{unsigned}.{b64(signature)}"


class AgentsListener(Listener):
    """A listener that is asked in the way of ``Agent.verify``, which is another one for a token seen before."""

    def __init__(self, issuer: IssuerSimulator, policy: VerificationPolicy | None = None) -> None:
        super().__init__(issuer, policy)
        self._verify = hot_path(self.verifier, self.clock)

    def verify(
        self,
        token: str,
        *,
        audience: Audience = UNSET,
        scope: str | None = None,
        max_staleness: float | None = None,
    ) -> Claims:
        """As ``Agent.verify``, at this moment."""
        return self._verify(token, audience=audience, scope=scope, max_staleness=max_staleness)
