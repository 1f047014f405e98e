"""Authlib, used as its documentation has it.

Reads its order from a file. Says ``go ADDRESS`` where it would send a browser, and reads where that came back to; says
``device ADDRESS`` where a person is to go, and reads a line when they are back; says ``done STEP`` after each step.
Anything that is not right ends it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session, OAuthError
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from joserfc import jwt
from joserfc.jwk import KeySet


def done(step: str) -> None:
    """Say how far it has come."""
    print("done", step, flush=True)


def verified(keys: KeySet, token: str, **expected: str) -> dict[str, Any]:
    """The claims of a token that one of the keys has signed."""
    claims = jwt.decode(token, keys, algorithms=["ES256"]).claims
    jwt.JWTClaimsRegistry().validate(claims)
    assert {name: claims[name] for name in expected} == expected
    return claims


def refusal(web: OAuth2Session, token_endpoint: str, refresh_token: str) -> str | None:
    """Why a refresh token is not taken."""
    try:
        web.refresh_token(token_endpoint, refresh_token=refresh_token)
    except OAuthError as error:
        return str(error.error)
    return None


def main() -> None:
    """Go through everything."""
    order = json.loads(Path(sys.argv[1]).read_text())
    address = get_well_known_url(order["issuer"], external=True)
    metadata = AuthorizationServerMetadata(requests.get(address, timeout=30).json())
    assert metadata["issuer"] == order["issuer"]
    for name in ("token_endpoint_auth_methods_supported", "grant_types_supported", "jwks_uri"):
        assert metadata[name]
    metadata.update(requests.get(order["issuer"] + "/.well-known/openid-configuration", timeout=30).json())
    done("discovery")

    robot = OAuth2Session(order["robot"]["client_id"], order["robot"]["client_secret"], scope="orders:read")
    own = robot.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")
    done("client_credentials")
    keys = KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=30).json())
    claims = verified(keys, own["access_token"], iss=order["issuer"], aud=order["audience"])
    assert claims["client_id"] == order["robot"]["client_id"]
    done("verification")

    exchanged = robot.fetch_token(
        metadata["token_endpoint"],
        grant_type="urn:ietf:params:oauth:grant-type:token-exchange",
        subject_token=own["access_token"],
        subject_token_type="urn:ietf:params:oauth:token-type:access_token",
    )
    assert verified(keys, exchanged["access_token"])["act"] == {"sub": order["robot"]["client_id"]}
    done("token_exchange")

    web = OAuth2Session(
        order["web"]["client_id"],
        order["web"]["client_secret"],
        scope="openid profile orders:read",
        redirect_uri=order["web"]["redirect_uri"],
        code_challenge_method="S256",
    )
    verifier, nonce = generate_token(48), generate_token()
    address, state = web.create_authorization_url(
        metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce
    )
    print("go", address, flush=True)
    back = sys.stdin.readline().strip()
    token = web.fetch_token(
        metadata["token_endpoint"], authorization_response=back, state=state, code_verifier=verifier
    )
    verified(keys, token["access_token"], iss=order["issuer"], aud=order["audience"])
    verified(keys, token["id_token"], iss=order["issuer"], aud=order["web"]["client_id"], nonce=nonce)
    done("authorization_code")

    assert web.get(metadata["userinfo_endpoint"]).json()["name"] == order["name"]
    done("userinfo")

    renewed = web.refresh_token(metadata["token_endpoint"], refresh_token=token["refresh_token"])
    assert renewed["refresh_token"] != token["refresh_token"]
    done("refresh_token")

    def active() -> bool:
        return bool(web.introspect_token(metadata["introspection_endpoint"], renewed["access_token"]).json()["active"])

    assert active()
    done("introspection")

    assert web.revoke_token(metadata["revocation_endpoint"], renewed["refresh_token"]).status_code == 200
    assert not active()
    assert refusal(web, metadata["token_endpoint"], renewed["refresh_token"]) == "invalid_grant"
    done("revocation")

    form = {"client_id": order["device"]["client_id"], "scope": "orders:read"}
    codes = requests.post(metadata["device_authorization_endpoint"], data=form, timeout=30).json()
    print("device", codes["verification_uri_complete"], flush=True)
    sys.stdin.readline()
    device = OAuth2Session(order["device"]["client_id"], token_endpoint_auth_method="none")
    grant_type = "urn:ietf:params:oauth:grant-type:device_code"
    let_in = device.fetch_token(metadata["token_endpoint"], grant_type=grant_type, device_code=codes["device_code"])
    verified(keys, let_in["access_token"], iss=order["issuer"])
    done("device_code")


if __name__ == "__main__":
    main()
