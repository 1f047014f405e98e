"""What Consul did not do."""


class ConsulUnavailable(Exception):
    """Consul did not answer, or not in time, or refused. Everything goes on with what was known last.

    Attributes:
        denied: whether it was the ACL token that did not suffice; asking again does not help then.
    """

    retryable = True

    def __init__(self, detail: str, *, denied: bool = False) -> None:
        super().__init__(detail)
        self.denied = denied
