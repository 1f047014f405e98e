"""Forms, headers and redirect URIs that nobody meant: an error of the right kind, never a fault or somewhere else."""

from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http_browser import CALLBACK, PASSWORD, WebClient, hash_quickly
from tests.issuer_under_test import Answer, Credentials, Installation, Replica

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON_FORMS: Final = (
    *("/oauth2/token", "/oauth2/revoke", "/oauth2/introspect", "/oauth2/device_authorization", "/oauth2/userinfo"),
)
PAGE_FORMS: Final = (
    *("/oauth2/authorize", "/oauth2/login", "/oauth2/consent", "/oauth2/logout", "/oauth2/device"),
    "/oauth2/device/decision",
)
NAMES: Final = (
    *("grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "scope", "resource"),
    *("token", "token_type_hint", "refresh_token", "code", "code_verifier", "redirect_uri", "device_code", "username"),
    *(
        "password",
        "subject_token",
        "subject_token_type",
        "actor_token",
        "access_token",
        "form",
        "decision",
        "user_code",
    ),
    *(
        "state",
        "nonce",
        "prompt",
        "max_age",
        "response_type",
        "code_challenge",
        "code_challenge_method",
        "id_token_hint",
    ),
)
WORDS: Final = (
    *("", "web", "code", "S256", "allow", CALLBACK, "read", "orders", "none", "0", "-1", "9" * 400, "a" * 5000),
    *(
        "authorization_code",
        "refresh_token",
        "client_credentials",
        "password",
        "tocsin_rt_x",
        "a.b.c",
        "..",
        "eyJ9.e30.",
    ),
    *("urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:grant-type:device_code", "\0", "%00"),
    *("urn:ietf:params:oauth:token-type:access_token", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
)
HEADERS: Final = (
    *("Authorization", "Cookie", "Accept", "Content-Type", "Origin", "Referer", "X-Request-Id", "Forwarded"),
    *("X-Forwarded-For", "X-Forwarded-Proto", "Sec-Fetch-Site", "If-None-Match", "Prefer", "Idempotency-Key"),
    *("Last-Event-ID", "DPoP", "Range", "traceparent"),
)
OF_HEADERS: Final = (
    *("", "Basic", "Basic Og==", "Basic !", "Bearer", "Bearer a.b.c", "bearer " + "x" * 3000, "wait=999999", '"', "*"),
    *("for=unknown;proto=https", "127.0.0.1", "application/json", "text/html;q=0", "bytes=0-", "k1.1_r1.1", "\xff\xfe"),
    *("__Host-tocsin_session=x", "application/x-www-form-urlencoded; charset=utf-16", "multipart/form-data"),
)
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
READ: Final = {
    "/oauth2/authorize": "text/html",
    "/oauth2/logout": "text/html",
    "/oauth2/device": "text/html",
    "/oauth2/userinfo": "application/json",
    "/.well-known/openid-configuration": "application/json",
    "/admin/v1/revocations": "application/json",
    "/events": "application/json",
    "/snapshot": "application/json",
    "/livez": "application/json",
}
text = st.sampled_from(WORDS) | st.text(max_size=40)
fields = st.lists(st.tuples(st.sampled_from(NAMES) | st.text(max_size=12), text), max_size=12)
printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=60)
headers = st.dictionaries(st.sampled_from(HEADERS), st.sampled_from(OF_HEADERS) | printable, max_size=5)
bounded = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    # Nothing is refused for coming too often, which would hide what the endpoints do.
    rates = dict.fromkeys(("client_token_rate", "client_revocation_rate", "client_introspection_rate"), "off")
    return await Installation.create(tmp_path_factory.mktemp("fuzzed"), address_rate="off", **rates)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def issuer(installation: Installation) -> AsyncIterator[Replica]:
    async with installation.running() as replica:
        hash_quickly(replica)
        await replica.services.users.add("alice", PASSWORD)
        yield replica


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(installation: Installation, issuer: Replica) -> Credentials:
    return await installation.client(
        "web", grants=tuple(issuer.services.grants), scopes=("read",), redirect_uris=(CALLBACK,)
    )


def is_an_answer_of(answer: Answer, *media: str) -> bool:
    """Whether it is no fault, and of one of these content types if it says anything."""
    assert answer.status < 500, answer
    if answer.body:
        assert answer.headers["Content-Type"].split(";")[0] in media, answer
    return True


def leads_home(answer: Answer, issuer: str) -> bool:
    """Whether a redirect goes to a page of ours, or to what the client has registered."""
    location = answer.headers.get("Location")
    return location is None or location.startswith(("/oauth2/", issuer + "/oauth2/", CALLBACK + "?"))


async def test_an_expectation_that_nobody_meets(issuer: Replica) -> None:
    """The HTTP library answers it before anything of ours runs (RFC 9110 section 10.1.1), without an echo in HTML."""
    answer = await issuer.send("POST", "/oauth2/token", data="a=b", headers=FORM | {"Expect": "<b>lunch</b>"})

    assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (417, "text/plain")


@bounded
@given(path=st.sampled_from(JSON_FORMS), sent=fields, with_client=st.booleans())
async def test_fuzzed_forms_of_clients(
    issuer: Replica, client: Credentials, path: str, sent: list[tuple[str, str]], with_client: bool
) -> None:
    proof = list(zip(("client_id", "client_secret"), client, strict=True)) if with_client else []
    names = {name for name, _ in proof}
    form = [*proof, *((name, value) for name, value in sent if name not in names)]

    answer = await issuer.send("POST", path, data=urlencode(form, errors="surrogatepass"), headers=FORM)

    assert is_an_answer_of(answer, "application/json")


@bounded
@given(path=st.sampled_from(PAGE_FORMS), sent=fields)
async def test_fuzzed_forms_of_browsers(issuer: Replica, path: str, sent: list[tuple[str, str]]) -> None:
    body = urlencode(sent, errors="surrogatepass")

    answer = await issuer.send("POST", path, data=body, headers=FORM, allow_redirects=False)

    assert is_an_answer_of(answer, "text/html")
    assert leads_home(answer, issuer.url)


@bounded
@given(path=st.sampled_from((*JSON_FORMS, *PAGE_FORMS)), body=st.binary(max_size=200), sent=headers)
async def test_fuzzed_bodies_and_headers(issuer: Replica, path: str, body: bytes, sent: dict[str, str]) -> None:
    answer = await issuer.send("POST", path, data=body, headers=FORM | sent, allow_redirects=False)

    assert is_an_answer_of(answer, "application/json" if path in JSON_FORMS else "text/html")
    assert leads_home(answer, issuer.url)


@bounded
@given(sent=headers)
async def test_fuzzed_headers_of_who_reads(issuer: Replica, sent: dict[str, str]) -> None:
    for path, media in READ.items():
        answer = await issuer.send("GET", path, headers={"Accept": "application/json"} | sent, allow_redirects=False)

        assert is_an_answer_of(answer, media, "application/json")
        assert leads_home(answer, issuer.url)


schemes = st.sampled_from(("https", "http", "javascript", "data", "HTTPS", "https:", "//", "\\\\", ""))
hosts = st.sampled_from(
    ("app.example", "app.example.evil.example", "evil@app.example", "127.0.0.1:1", "[::1]", "", "app。example")
)
paths = st.sampled_from(
    ("/callback", "/callback/", "/callback/../x", "/callback?x=1", "/callback#x", "/CALLBACK", "/%63allback")
)
made_up = st.one_of(
    st.builds("{}://{}{}".format, schemes, hosts, paths),
    st.builds(
        "{}{}{}".format, st.just(CALLBACK), st.sampled_from(("", "?", "#", "\\", "@", ".", ";", "%0d%0a", "\t")), text
    ),
    st.text(max_size=60),
)


@bounded
@given(uri=made_up, more=st.dictionaries(st.sampled_from(("state", "scope", "prompt", "response_mode", "iss")), text))
async def test_fuzzed_redirect_uris(issuer: Replica, client: Credentials, uri: str, more: dict[str, str]) -> None:
    web = WebClient(issuer, *client)
    usual = web.request(redirect_uri=None).partition("?")[2]
    added = urlencode({"redirect_uri": uri, **more}, errors="surrogatepass")

    answer = await issuer.send("GET", f"/oauth2/authorize?{usual}&{added}", allow_redirects=False)

    assert is_an_answer_of(answer, "text/html")
    location = answer.headers.get("Location")
    if uri == CALLBACK and location is not None:
        assert urlsplit(location)._replace(query="").geturl() == CALLBACK
    elif uri != CALLBACK:
        assert (answer.status, location) == (400, None)
    assert quote(uri) not in answer.headers.get("Content-Security-Policy", "") or uri in ("", CALLBACK)
