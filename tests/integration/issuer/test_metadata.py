"""Discovery (RFC 8414) and keys (RFC 7517): they name what works, and nothing else."""

from urllib.parse import urlsplit

from tests.integration.issuer.robot import Robot
from tests.issuer_under_test import Installation, Replica

METADATA = "/.well-known/oauth-authorization-server"


async def test_the_metadata_is_of_this_issuer_and_names_its_grants_and_methods(
    installation: Installation, issuer: Replica
) -> None:
    answer = await issuer.send("GET", METADATA)

    document = answer.json()
    assert answer.status == 200
    assert document["issuer"] == installation.settings.issuer == issuer.url
    ours = "urn:ietf:params:oauth:grant-type:"
    assert document["grant_types_supported"] == [
        *("authorization_code", "client_credentials", "refresh_token"),
        *(f"{ours}device_code", f"{ours}token-exchange"),
    ]
    assert document["response_types_supported"] == ["code"]
    assert document["response_modes_supported"] == ["query"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    for endpoint in ("token", "revocation", "introspection"):
        methods = document[f"{endpoint}_endpoint_auth_methods_supported"]
        public = ["none"] if endpoint != "introspection" else []
        assert methods == ["client_secret_basic", "client_secret_post", "private_key_jwt", *public]
        algs = document[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]
        assert set(algs) == {"ES256", "EdDSA", "RS256"}


async def test_every_advertised_endpoint_answers_there(installation: Installation, issuer: Replica) -> None:
    document = (await issuer.send("GET", METADATA)).json()
    forms = {
        "token_endpoint": {"grant_type": "client_credentials"},
        "revocation_endpoint": {"token": "x"},
        "introspection_endpoint": {"token": "x"},
    }
    endpoints = {name for name in document if name.endswith(("_endpoint", "_uri"))}

    codes = await issuer.form(urlsplit(document["device_authorization_endpoint"]).path, installation.demo)
    assert codes.json()["error"] == "unauthorized_client"
    for_people = {"authorization_endpoint": 400, "end_session_endpoint": 200}
    others = {"device_authorization_endpoint", "jwks_uri", "global_token_revocation_endpoint"}
    assert endpoints == {*forms, *for_people, *others}
    for name, status in for_people.items():
        assert (await issuer.send("GET", urlsplit(document[name]).path)).status == status
    for name, form in forms.items():
        assert document[name].startswith(installation.settings.issuer + "/")
        answer = await issuer.form(urlsplit(document[name]).path, installation.demo, **form)
        assert answer.status == 200, (name, answer)
    keys = (await issuer.send("GET", urlsplit(document["jwks_uri"]).path)).json()["keys"]
    assert len(keys) == 2


async def test_every_advertised_method_and_grant_works(installation: Installation, issuer: Replica) -> None:
    robot = await Robot.register(installation, issuer)
    await installation.client("app", public=True, grants=("refresh_token",))
    document = (await issuer.send("GET", METADATA)).json()
    demo = installation.demo
    in_form = {"client_id": demo.client_id, "client_secret": demo.secret}
    tries = {
        "client_secret_basic": lambda path, **form: issuer.form(path, demo, **form),
        "client_secret_post": lambda path, **form: issuer.form(path, None, **form, **in_form),
        "private_key_jwt": lambda path, **form: issuer.form(path, None, **form, **robot.signed()),
        "none": lambda path, **form: issuer.form(path, None, **form, client_id="app"),
    }

    for method in document["token_endpoint_auth_methods_supported"]:
        answer = await tries[method]("/oauth2/token", grant_type="client_credentials")
        assert answer.status == 200 or (method, answer.json()["error"]) == ("none", "unauthorized_client")
    for grant in document["grant_types_supported"]:
        answer = await issuer.form("/oauth2/token", demo, grant_type=grant)
        assert answer.status == 200 or answer.json()["error"] == "unauthorized_client"
    for method in document["introspection_endpoint_auth_methods_supported"]:
        assert (await tries[method]("/oauth2/introspect", token="x")).status == 200
    for method in document["revocation_endpoint_auth_methods_supported"]:
        assert (await tries[method]("/oauth2/revoke", token="x")).status == 200


async def test_the_published_keys_are_public_and_the_standby_is_among_them(issuer: Replica) -> None:
    answer = await issuer.send("GET", "/.well-known/jwks.json")

    keys = answer.json()["keys"]
    assert len(keys) == len({key["kid"] for key in keys}) == 2
    for key in keys:
        assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
        assert (key["alg"], key["use"]) == ("ES256", "sig")


async def test_the_event_key_is_not_among_the_token_keys(installation: Installation, issuer: Replica) -> None:
    keys = (await issuer.send("GET", "/.well-known/jwks.json")).json()["keys"]

    assert installation.trust.event_keys[0]["kid"] not in {key["kid"] for key in keys}


async def test_what_everybody_may_know_may_be_kept_for_a_while(issuer: Replica) -> None:
    for path in (METADATA, "/.well-known/jwks.json"):
        headers = (await issuer.send("GET", path)).headers
        assert headers["Cache-Control"].startswith("public, max-age=")
        assert "Pragma" not in headers


async def test_a_request_id_is_echoed_and_made_up_where_it_is_missing_or_odd(issuer: Replica) -> None:
    given = await issuer.send("GET", "/livez", headers={"X-Request-Id": "order-7.a_b"})
    assert given.headers["X-Request-Id"] == "order-7.a_b"

    made_up = set()
    for odd in ("", "a b", "x" * 65, "<script>", 'a"b'):
        answer = await issuer.send("GET", "/livez", headers={"X-Request-Id": odd})
        made_up.add(answer.headers["X-Request-Id"])
    assert len(made_up) == 5
    assert all(len(request_id) == 16 for request_id in made_up)


async def test_errors_have_a_request_id_too(issuer: Replica) -> None:
    answer = await issuer.send("GET", "/nothing/here", headers={"X-Request-Id": "lost"})

    assert (answer.status, answer.json()["error"], answer.headers["X-Request-Id"]) == (404, "not_found", "lost")


async def test_the_process_is_alive_and_ready(issuer: Replica) -> None:
    assert (await issuer.send("GET", "/livez")).json() == {"status": "ok"}

    ready = await issuer.send("GET", "/readyz")

    assert ready.status == 200
    assert {name: ready.json()[name] for name in ("status", "store", "keys")} == dict.fromkeys(
        ("status", "store", "keys"), "ok"
    )
