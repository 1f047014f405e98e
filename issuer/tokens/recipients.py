"""Whom a token has been sent to by those who use it as it is meant."""

from issuer.clients import Client
from verifier_agent import Claims


def was_sent_to(client: Client, token: Claims, default: str) -> bool:
    """Whether the client may have the token: it is its own, or is meant for a service of its.

    Args:
        client: that has shown it.
        token: that has been verified.
        default: the audience of clients that have none of their own.
    """
    services = {client.client_id, *(client.audiences or (default,))}
    return token.client_id == client.client_id or not services.isdisjoint(token.aud)
