"""The checks of an authorization request, each named after the parameter that it looks at.

The first two decide whether the client may be told anything: until they have passed, errors are for the person alone.
"""

import re
from typing import Final

import msgspec

from issuer.authorization.pkce import METHOD, is_challenge
from issuer.authorization.request import AuthorizationRequest, Parameters
from issuer.clients import CODE_GRANT, Client
from issuer.errors import OAuthError, invalid_request
from issuer.grants.grant import granted_scope
from issuer.redirect_uris import matches

MAX_NONCE: Final = 512
_PROMPTS: Final = frozenset({"none", "login", "consent"})
_NAME: Final = re.compile(r"[a-z_]{1,64}")
"""Names that may stand in ``error_description`` (RFC 6749 section 4.1.2.1)."""
_MAX_AGE: Final = re.compile(r"[0-9]{1,9}")


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """Whom errors may be told to.

    Attributes:
        client: who asks.
        redirect_uri: one of its own.
        state: goes back with every answer.
    """

    client: Client
    redirect_uri: str
    state: str | None


def client_id(parameters: Parameters, found: Client | None) -> Client:
    """There is such a client, and it says once who it is."""
    if "client_id" in parameters.repeated or parameters.get("client_id") is None:
        raise invalid_request("The application did not say, exactly once, which one it is (client_id).")
    if found is None:
        raise OAuthError("invalid_client", "The application is not known here, or not any more (client_id).")
    return found


def redirect_uri(parameters: Parameters, client: Client) -> str:
    """The answer goes to an address that the client has registered (RFC 9700 section 4.1.3)."""
    given = parameters.get("redirect_uri")
    if "redirect_uri" in parameters.repeated or given is None:
        raise invalid_request("The application did not say, exactly once, where to go back to (redirect_uri).")
    if not any(matches(registered, given) for registered in client.redirect_uris):
        raise invalid_request(
            "The address to go back to is not one that the application has registered (redirect_uri)."
        )
    return given


def recipient(parameters: Parameters, found: Client | None) -> Recipient:
    """Whom everything else may be told to.

    Raises:
        OAuthError: nobody; the person in front of the browser is told.
    """
    client = client_id(parameters, found)
    state = None if "state" in parameters.repeated else parameters.get("state")
    return Recipient(client=client, redirect_uri=redirect_uri(parameters, client), state=state)


def checked(parameters: Parameters, to: Recipient, default_audience: str) -> AuthorizationRequest:
    """The request, when every further parameter is good.

    Raises:
        OAuthError: one is not; the client is told.
    """
    for refuse in (repeated, request, request_uri, registration, response_type, response_mode):
        refuse(parameters)
    grants(to.client)
    return AuthorizationRequest(
        client=to.client,
        redirect_uri=to.redirect_uri,
        state=to.state,
        scope=granted_scope(to.client.scopes, parameters.get("scope")),
        audience=resource(parameters, to.client.audiences or (default_audience,)),
        code_challenge=code_challenge(parameters),
        nonce=nonce(parameters),
        prompt=prompt(parameters),
        max_age=max_age(parameters),
        login_hint=(parameters.get("login_hint") or "")[:128],
    )


def repeated(parameters: Parameters) -> None:
    """No parameter comes twice (RFC 6749 section 3.1), but ``resource``."""
    if parameters.repeated:
        name = min(parameters.repeated)
        shown = f"parameter '{name}'" if _NAME.fullmatch(name) else "a parameter"
        raise invalid_request(f"{shown} is repeated")


def request(parameters: Parameters) -> None:
    """No request objects (OpenID Connect Core section 6.1)."""
    if parameters.get("request") is not None:
        raise OAuthError("request_not_supported", "request objects are not taken here")


def request_uri(parameters: Parameters) -> None:
    """No request objects by reference (OpenID Connect Core section 6.2)."""
    if parameters.get("request_uri") is not None:
        raise OAuthError("request_uri_not_supported", "request objects are not taken here")


def registration(parameters: Parameters) -> None:
    """No self-issued clients (OpenID Connect Core section 7.2.1)."""
    if parameters.get("registration") is not None:
        raise OAuthError("registration_not_supported", "clients are not registered in requests here")


def response_type(parameters: Parameters) -> None:
    """A code, and nothing else through the browser (RFC 9700 section 2.1.2)."""
    given = parameters.get("response_type")
    if given is None:
        raise invalid_request("parameter 'response_type' is missing")
    if given != "code":
        raise OAuthError("unsupported_response_type", "response_type must be 'code'")


def response_mode(parameters: Parameters) -> None:
    """In the query (OAuth 2.0 Multiple Response Type Encoding Practices, section 2.1)."""
    if parameters.get("response_mode") not in (None, "query"):
        raise invalid_request("response_mode must be 'query'")


def grants(client: Client) -> None:
    """The client may redeem what it asks for."""
    if CODE_GRANT not in client.grants:
        raise OAuthError("unauthorized_client", "this client may not use the authorization code grant")


def resource(parameters: Parameters, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """The services that tokens shall be for: those asked for, or all that are allowed (RFC 8707 section 2)."""
    if not set(parameters.resources) <= set(allowed):
        raise OAuthError("invalid_target", "tokens of this client may not be for this resource")
    return parameters.resources or allowed


def code_challenge(parameters: Parameters) -> str:
    """Every client uses PKCE with S256 (RFC 9700 section 2.1.1)."""
    given = parameters.get("code_challenge")
    if given is None:
        raise invalid_request("parameter 'code_challenge' is missing: PKCE is required (RFC 7636)")
    if parameters.get("code_challenge_method") != METHOD:
        raise invalid_request(f"code_challenge_method must be {METHOD!r}")
    if not is_challenge(given):
        raise invalid_request("code_challenge must be 43 characters of base64url (RFC 7636 section 4.2)")
    return given


def nonce(parameters: Parameters) -> str | None:
    """Goes into the ID token, and into a column before that."""
    given = parameters.get("nonce")
    if given is not None and (len(given) > MAX_NONCE or not given.isprintable()):
        raise invalid_request(f"nonce must be at most {MAX_NONCE} printable characters")
    return given


def prompt(parameters: Parameters) -> frozenset[str]:
    """``none`` alone, or any of ``login`` and ``consent`` (OpenID Connect Core section 3.1.2.1)."""
    given = frozenset((parameters.get("prompt") or "").split())
    if "none" in given and len(given) > 1:
        raise invalid_request("prompt 'none' stands alone")
    if "select_account" in given:
        raise OAuthError("account_selection_required", "a browser has one account here; use prompt 'login'")
    if not given <= _PROMPTS:
        raise invalid_request(f"prompt must be of {', '.join(sorted(_PROMPTS))}")
    return given


def max_age(parameters: Parameters) -> int | None:
    """Whole seconds."""
    given = parameters.get("max_age")
    if given is None:
        return None
    if not _MAX_AGE.fullmatch(given):
        raise invalid_request("max_age must be a number of seconds")
    return int(given)
