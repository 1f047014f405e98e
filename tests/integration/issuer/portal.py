"""A client that has its users' passwords: the shortest way to a family."""

import dataclasses
from typing import Any

import msgspec

from tests.issuer_under_test import Answer, Credentials, Installation, Replica

PASSWORD = "correct horse battery staple"


class Portal:
    """A client whose users hand their passwords over."""

    def __init__(self, issuer: Replica, client: Credentials) -> None:
        self.issuer = issuer
        self.client = client

    async def log_in(self, username: str = "alice", password: str = PASSWORD, **more: str) -> Answer:
        """The token answer."""
        return await self.issuer.form(
            "/oauth2/token", self.client, grant_type="password", username=username, password=password, **more
        )

    async def refresh(self, token: str, by: Credentials | None = None, **more: str) -> Answer:
        """The token answer."""
        return await self.issuer.form(
            "/oauth2/token", by or self.client, grant_type="refresh_token", refresh_token=token, **more
        )


def with_passwords(installation: Installation) -> Installation:
    """One that has the password grant."""
    settings = msgspec.structs.replace(installation.settings, password_grant=True)
    return dataclasses.replace(installation, settings=settings)


async def granted(answer: Answer) -> dict[str, Any]:
    """The body of a token answer, which must be good."""
    assert answer.status == 200, answer
    body: dict[str, Any] = answer.json()
    return body


def refused(answer: Answer) -> str:
    """The error of a token answer, which must be one."""
    assert answer.status == 400, answer
    error: str = answer.json()["error"]
    return error
