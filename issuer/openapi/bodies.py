"""Forms and answers that the endpoints read and write member by member, as types for the document alone.

Tests hold every answer against them. What an endpoint has a type for itself stands there, not here.
"""

from typing import Any, Literal

import msgspec

from issuer.fleet.member import Receipt, Standing
from issuer.revocations import Revocation


class Error(msgspec.Struct, frozen=True):
    """An error (RFC 6749 section 5.2)."""

    error: str
    error_description: str


class PositionLost(msgspec.Struct, frozen=True):
    """The position is not in the store any more; ``stream`` has to be read from its start."""

    error: Literal["position_lost"]
    error_description: str
    stream: str


class ClientForm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What authenticates a client that does so in the form (RFC 6749 section 2.3.1, RFC 7523 section 2.2)."""

    client_id: str | msgspec.UnsetType = msgspec.UNSET
    client_secret: str | msgspec.UnsetType = msgspec.UNSET
    client_assertion: str | msgspec.UnsetType = msgspec.UNSET
    client_assertion_type: str | msgspec.UnsetType = msgspec.UNSET


class TokenForm(ClientForm, frozen=True, kw_only=True, omit_defaults=True):
    """A request for a token (RFC 6749 section 4, RFC 8693 section 2.1, RFC 8707 section 2)."""

    grant_type: str
    scope: str | msgspec.UnsetType = msgspec.UNSET
    resource: str | msgspec.UnsetType = msgspec.UNSET
    code: str | msgspec.UnsetType = msgspec.UNSET
    redirect_uri: str | msgspec.UnsetType = msgspec.UNSET
    code_verifier: str | msgspec.UnsetType = msgspec.UNSET
    device_code: str | msgspec.UnsetType = msgspec.UNSET
    refresh_token: str | msgspec.UnsetType = msgspec.UNSET
    audience: str | msgspec.UnsetType = msgspec.UNSET
    subject_token: str | msgspec.UnsetType = msgspec.UNSET
    subject_token_type: str | msgspec.UnsetType = msgspec.UNSET
    requested_token_type: str | msgspec.UnsetType = msgspec.UNSET
    username: str | msgspec.UnsetType = msgspec.UNSET
    password: str | msgspec.UnsetType = msgspec.UNSET


class AboutToken(ClientForm, frozen=True, kw_only=True, omit_defaults=True):
    """A token that is given back (RFC 7009 section 2.1) or asked about (RFC 7662 section 2.1)."""

    token: str
    token_type_hint: str | msgspec.UnsetType = msgspec.UNSET


class AuthorizationForm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request for a code (RFC 6749 section 4.1.1, RFC 7636 section 4.3, OpenID Connect Core section 3.1.2.1)."""

    response_type: str
    client_id: str
    redirect_uri: str
    state: str | msgspec.UnsetType = msgspec.UNSET
    scope: str | msgspec.UnsetType = msgspec.UNSET
    resource: str | msgspec.UnsetType = msgspec.UNSET
    code_challenge: str | msgspec.UnsetType = msgspec.UNSET
    code_challenge_method: str | msgspec.UnsetType = msgspec.UNSET
    nonce: str | msgspec.UnsetType = msgspec.UNSET
    prompt: str | msgspec.UnsetType = msgspec.UNSET
    max_age: str | msgspec.UnsetType = msgspec.UNSET
    login_hint: str | msgspec.UnsetType = msgspec.UNSET


class LoginForm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person fills in; ``form`` is what our page carries."""

    form: str
    username: str | msgspec.UnsetType = msgspec.UNSET
    password: str | msgspec.UnsetType = msgspec.UNSET


class ConsentForm(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decides; ``form`` is what our page carries."""

    form: str
    decision: Literal["allow", "deny"]


class LogoutRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request to log out (RP-Initiated Logout section 2)."""

    id_token_hint: str | msgspec.UnsetType = msgspec.UNSET
    client_id: str | msgspec.UnsetType = msgspec.UNSET
    post_logout_redirect_uri: str | msgspec.UnsetType = msgspec.UNSET
    state: str | msgspec.UnsetType = msgspec.UNSET


class LogoutForm(LogoutRequest, frozen=True, kw_only=True, omit_defaults=True):
    """The same; or what a person decides, with ``form`` as our page carries it."""

    form: str | msgspec.UnsetType = msgspec.UNSET
    decision: Literal["logout", "stay"] | msgspec.UnsetType = msgspec.UNSET


class DeviceForm(ClientForm, frozen=True, kw_only=True, omit_defaults=True):
    """A device asks to be let in (RFC 8628 section 3.1)."""

    scope: str | msgspec.UnsetType = msgspec.UNSET
    resource: str | msgspec.UnsetType = msgspec.UNSET


class DeviceCodes(msgspec.Struct, frozen=True, kw_only=True):
    """What a device shows and asks with (RFC 8628 section 3.2)."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


class UserCodeForm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person types; ``form`` is what our page carries."""

    form: str
    user_code: str | msgspec.UnsetType = msgspec.UNSET


class BearerForm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An access token, where it does not come in the header (RFC 6750 section 2.2)."""

    access_token: str | msgspec.UnsetType = msgspec.UNSET


class Introspection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a token (RFC 7662 section 2.2), and every other claim that it has."""

    active: bool
    token_type: str | msgspec.UnsetType = msgspec.UNSET
    client_id: str | msgspec.UnsetType = msgspec.UNSET
    sub: str | msgspec.UnsetType = msgspec.UNSET
    scope: str | msgspec.UnsetType = msgspec.UNSET
    exp: int | msgspec.UnsetType = msgspec.UNSET


class UserInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who the user is, and every claim that the scopes let through (OpenID Connect Core section 5.3.2)."""

    sub: str


class ServerMetadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What clients configure themselves with (RFC 8414 section 2); further members are those of the standards."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    grant_types_supported: list[str]
    response_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    revocation_endpoint: str
    introspection_endpoint: str


class ProviderMetadata(ServerMetadata, frozen=True, kw_only=True, omit_defaults=True):
    """The same, and what OpenID Connect Discovery (section 3) has beside it."""

    userinfo_endpoint: str
    scopes_supported: list[str]
    subject_types_supported: list[str]
    id_token_signing_alg_values_supported: list[str]


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that verifies (RFC 7517 section 4)."""

    kty: str
    kid: str
    alg: str
    use: Literal["sig"]


class KeySet(msgspec.Struct, frozen=True):
    """The keys that verify (RFC 7517 section 5)."""

    keys: list[PublicKey]


class TokenKey(msgspec.Struct, frozen=True, kw_only=True):
    """A token key with its state."""

    kid: str
    alg: str
    state: Literal["pending", "active", "retiring", "retired", "revoked"]
    changed_at: float


class TokenKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Every token key; ``id`` is that of the key set."""

    id: str
    keys: list[TokenKey]


class ListedTokenKeys(TokenKeys, frozen=True, kw_only=True):
    """With the list of configuration that is in force: ``kid``s in its order, and those that can sign no more."""

    listed: list[str] | None
    passed_over: dict[str, Literal["retired", "revoked"]]


class KeyDecision(TokenKeys, frozen=True, kw_only=True):
    """What was decided about keys; ``published`` says whether the log has it."""

    seq: int
    txn: str
    published: bool


class EventReceipt(Receipt, frozen=True, kw_only=True):
    """Who has applied the event of this ``id``."""

    id: str
    seq: int


class DescribedAgent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent with how it stands, and what it lacks of what has been decided."""

    id: str
    name: str
    client_id: str
    standing: Standing
    counts: bool
    lags: bool
    applied: dict[str, str]
    lag: dict[str, int]
    unusable_keys: list[str]
    freshness: float | None
    max_staleness: float | None
    heard_at: float
    silent_seconds: float
    enrolled_at: float
    version: str


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """Every agent; ``not_understood`` names, by type of event, those that could not apply it."""

    time: float
    decided: dict[str, str]
    counted: int
    not_understood: dict[str, list[str]]
    agents: list[DescribedAgent]


class AgentNamed(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that is not waited for any more."""

    id: str
    name: str


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    """An agent's identifier, and the ``seq`` after which its statuses go on."""

    agent: str
    after: int


class Nothing(msgspec.Struct, frozen=True):
    """There is nothing to say."""


class UserDecision(msgspec.Struct, frozen=True, kw_only=True):
    """A user whose record has changed."""

    sub: str
    username: str


class UserEnd(UserDecision, frozen=True, kw_only=True):
    """A user who may do nothing any more; ``revocation`` is the ``id`` of that of everything of theirs."""

    revocation: str


class ClientNamed(msgspec.Struct, frozen=True, kw_only=True):
    """A client whose record has changed."""

    client_id: str


class ClientEnd(ClientNamed, frozen=True, kw_only=True):
    """A client that may do nothing any more; ``revocation`` is the ``id`` of that of all of its tokens."""

    revocation: str


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the process answers."""

    status: Literal["ok"]


class Readiness(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether it can issue and revoke; ``relay_halted`` says why nothing is published, where that is so."""

    status: Literal["ok", "unavailable", "stopping"]
    relay: str | msgspec.UnsetType = msgspec.UNSET
    relay_halted: str | msgspec.UnsetType = msgspec.UNSET
    store: Literal["ok", "unavailable"] | msgspec.UnsetType = msgspec.UNSET
    keys: Literal["ok", "none"] | msgspec.UnsetType = msgspec.UNSET


class FeedHeads(msgspec.Struct, frozen=True):
    """The position of the newest events."""

    cursor: str


class Revocations(msgspec.Struct, frozen=True):
    """Revocations, the newest first."""

    revocations: list[Revocation]


Document = dict[str, Any]
"""An object of JSON, of whatever members."""
