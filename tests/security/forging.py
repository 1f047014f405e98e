"""What forgeries are made of."""

from tests.simulator import IssuerSimulator, b64, signing_key


def issuer_signing_with(alg: str) -> IssuerSimulator:
    """An issuer whose tokens have this algorithm; its events are cheap to sign whatever that is."""
    issuer = IssuerSimulator()
    issuer.key = signing_key(alg, f"{alg}-key")
    issuer.publish_key(issuer.key)
    return issuer


def signed_with(token: str, signature: bytes) -> str:
    """The same header and payload under another signature."""
    return f"{token.rpartition('.')[0]}.{b64(signature)}"
