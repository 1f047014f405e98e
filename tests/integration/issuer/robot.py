"""A client with keys in place of a secret."""

import json
import time
from dataclasses import dataclass
from typing import Any, Self

from events import jose
from issuer.clients import Client, ClientStore
from issuer.keys.generation import generate, public
from issuer.store.database import Database
from tests.issuer_under_test import Answer, Installation, Replica
from tests.simulator import b64

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KEYS = {alg: generate(alg) for alg in ("ES256", "RS256", "EdDSA")}


@dataclass(frozen=True)
class Robot:
    """The client ``robot`` of an issuer."""

    issuer: Replica

    @classmethod
    async def register(cls, installation: Installation, issuer: Replica) -> Self:
        """Make it known to the issuer."""
        database = Database(installation.settings.store)
        keys = tuple(public(key) for key in KEYS.values())
        await ClientStore(database).add_without_secret(Client(client_id="robot", scopes=("read",), jwks=keys))
        await database.close()
        return cls(issuer)

    def signed(self) -> dict[str, str]:
        """What authenticates it in a form, once."""
        return {"client_assertion_type": TYPE, "client_assertion": self.assertion()}

    def assertion(self, *, alg: str = "ES256", key: Any = None, header: Any = (), **changes: Any) -> str:
        """A signed assertion; ``changes`` to its claims, ``None`` leaves one out."""
        now = int(time.time())
        said = {
            "iss": "robot",
            "sub": "robot",
            "aud": self.issuer.services.settings.issuer,
            "exp": now + 60,
            "iat": now,
            "jti": str(time.time_ns()),
        } | changes
        claims = {name: value for name, value in said.items() if value is not None}
        head = {"alg": alg, "typ": "client-authentication+jwt", **dict(header)}
        signer = jose.parse_key(key or KEYS[alg])
        unsigned = ".".join(b64(json.dumps(part).encode()) for part in (head, claims))
        return f"{unsigned}.{b64(signer.Algorithm.sign(unsigned.encode(), signer.key))}"

    async def ask(self, assertion: str, **form: str) -> Answer:
        """The token answer."""
        usual = {"grant_type": "client_credentials", "client_assertion_type": TYPE, "client_assertion": assertion}
        return await self.issuer.form("/oauth2/token", None, **usual | form)
