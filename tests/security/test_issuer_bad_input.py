"""What nobody honest sends to the issuer: the RFC's error as JSON, never kept by anybody on the way."""

import asyncio
import base64
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from tests.issuer_under_test import Answer, Credentials, Installation, Replica

TOKEN = "/oauth2/token"
FORM_ENDPOINTS = [TOKEN, "/oauth2/introspect", "/oauth2/revoke"]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GRANT = "grant_type=client_credentials"


pytestmark = pytest.mark.asyncio(loop_scope="module")  # one issuer for all: nothing here changes anything


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return await Installation.create(tmp_path_factory.mktemp("issuer"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def issuer(installation: Installation) -> AsyncIterator[Replica]:
    async with installation.running() as replica:
        yield replica


def is_the_error(answer: Answer, status: int, error: str) -> bool:
    """Whether the answer is what RFC 6749 section 5.2 wants."""
    said = answer.json()
    assert (answer.status, said["error"]) == (status, error), answer
    assert set(said) == {"error", "error_description"}
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    return True


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("grant_type=password&username=a&password=b", "unsupported_grant_type"),
        ("grant_type=urn:ietf:params:oauth:grant-type:saml2-bearer", "unsupported_grant_type"),
        ("grant_type=CLIENT_CREDENTIALS", "unsupported_grant_type"),
        ("grant_type=client_credentials%00", "unsupported_grant_type"),
        ("grant_type=", "invalid_request"),
        ("", "invalid_request"),
        ("scope=orders:read", "invalid_request"),
        (f"{GRANT}&{GRANT}", "invalid_request"),
        (f"{GRANT}&scope=orders:read&scope=orders:write", "invalid_request"),
        (f"{GRANT}&resource=orders&resource=billing", "invalid_request"),
        (f"{GRANT}&client_secret=x", "invalid_request"),
        (f"{GRANT}&client_id=operator", "invalid_request"),
        (f"{GRANT}&scope=tocsin:revoke", "invalid_scope"),
        (f"{GRANT}&scope=%00", "invalid_scope"),
        (f"{GRANT}&scope=orders:read%20admin", "invalid_scope"),
        (f"{GRANT}&resource=payments", "invalid_target"),
        (f"{GRANT}&name=%ff", "invalid_request"),
        ("&".join(f"p{number}=1" for number in range(60)), "invalid_request"),
    ],
)
async def test_a_form_of_an_authenticated_client_that_asks_for_nothing_it_may_have(
    installation: Installation, issuer: Replica, body: str, error: str
) -> None:
    credentials = base64.b64encode(":".join(installation.demo).encode()).decode()

    answer = await issuer.send("POST", TOKEN, data=body, headers={**FORM, "Authorization": f"Basic {credentials}"})

    assert is_the_error(answer, 400, error)


@pytest.mark.parametrize("path", FORM_ENDPOINTS)
@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "application/json"}, b'{"grant_type": "client_credentials", "token": "x"}', 400),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x--", 400),
        ({"Content-Type": "text/plain"}, GRANT.encode(), 400),
        ({"Content-Type": ""}, GRANT.encode(), 400),
        ({"Content-Type": "nonsense"}, GRANT.encode(), 400),
        (FORM, b"token=\xff\xfe", 400),
        (FORM, "token=ü".encode(), 400),
        (FORM, b"token=" + b"x" * 1_000_000, 413),
        (FORM, b"&" * 1_000_000, 413),
    ],
    ids=["JSON", "multipart", "text", "no type", "odd type", "not UTF-8", "not ASCII", "1 MB", "1 MB of nothing"],
)
async def test_a_body_that_is_no_small_form(
    issuer: Replica, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    answer = await issuer.send("POST", path, data=body, headers=headers)

    assert is_the_error(answer, status, "invalid_request")


async def test_a_body_without_a_content_type(issuer: Replica) -> None:
    body = GRANT.encode()
    answer = await raw(issuer, b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % len(body), body)

    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"invalid_request"' in answer


async def test_a_body_that_claims_to_be_larger_than_it_is_holds_nobody_up(issuer: Replica) -> None:
    slow = asyncio.create_task(
        raw(issuer, b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n", b"grant_type=")
    )
    await asyncio.sleep(0)

    assert (await issuer.send("GET", "/livez")).status == 200
    slow.cancel()


@pytest.mark.parametrize("path", [*FORM_ENDPOINTS, "/admin/v1/keys/rotate"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_another_method_than_the_one_there_is(issuer: Replica, method: str, path: str) -> None:
    answer = await issuer.send(method, path)

    assert is_the_error(answer, 405, "invalid_request")
    assert answer.headers["Allow"] == "POST"


async def test_an_address_that_is_not_there(issuer: Replica) -> None:
    assert is_the_error(await issuer.send("GET", "/oauth2/nothing"), 404, "not_found")
    assert is_the_error(await issuer.send("GET", "/admin/v1/../../etc/passwd"), 404, "not_found")


WRONG = {
    "another secret": ("demo", "x"),
    "no secret": ("demo", ""),
    "no such client": ("nobody", "x"),
    "no client": ("", ""),
    "a NUL": ("a\0b", "x"),
    "a quote": ("' OR 1=1 --", "x"),
    "a long name": ("x" * 20_000, "x"),
    "a long secret": ("demo", "x" * 20_000),
    "another alphabet": ("d\u0435mo", "\u043f\u0430\u0440\u043e\u043b\u044c"),
    "the secret of another": ("demo", "operator's"),
}


@pytest.mark.parametrize("path", FORM_ENDPOINTS)
@pytest.mark.parametrize("case", WRONG)
async def test_a_client_that_is_not_who_it_says(
    installation: Installation, issuer: Replica, path: str, case: str
) -> None:
    client_id, secret = WRONG[case]
    if secret == "operator's":
        secret = installation.operator.secret
    form = {"grant_type": "client_credentials", "token": "x"}

    by_post = await issuer.form(path, None, **form, client_id=client_id, client_secret=secret)

    assert is_the_error(by_post, 401, "invalid_client")
    if len(client_id + secret) < 8000:  # what a header may have
        by_basic = await issuer.form(path, Credentials(client_id, secret), **form)
        assert is_the_error(by_basic, 401, "invalid_client")
        assert by_basic.headers["WWW-Authenticate"] == 'Basic realm="tocsin", charset="UTF-8"'


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic ZGVtbw==",  # no colon
        "Basic /////w==",  # no UTF-8
        "Basic ZGVtbzolZmY=",  # demo:%ff
        "Bearer abc",
        "Digest username=demo",
        "\u00fc",
        "",
    ],
)
async def test_an_authorization_header_that_is_not_that_of_http_basic(issuer: Replica, header: str) -> None:
    answer = await issuer.send("POST", TOKEN, data=GRANT, headers={**FORM, "Authorization": header})

    assert is_the_error(answer, 401, "invalid_client")
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


async def test_a_secret_in_the_address_does_not_count(installation: Installation, issuer: Replica) -> None:
    query = urlencode({"client_id": "demo", "client_secret": installation.demo.secret})

    answer = await issuer.send("POST", f"{TOKEN}?{query}", data=GRANT, headers=FORM)

    assert is_the_error(answer, 401, "invalid_client")


async def test_the_answer_does_not_tell_an_unknown_client_from_a_wrong_secret(issuer: Replica) -> None:
    form = {"grant_type": "client_credentials"}
    wrong = await issuer.form(TOKEN, Credentials("demo", "x"), **form)
    unknown = await issuer.form(TOKEN, Credentials("nobody", "x"), **form)

    assert wrong.json() == unknown.json()


async def test_nothing_of_what_was_sent_comes_back_in_an_error(issuer: Replica) -> None:
    marker = "S3cret-in-a-bad-place"

    for answer in (
        await issuer.form(TOKEN, Credentials("demo", marker), grant_type=marker),
        await issuer.form(TOKEN, Credentials(marker, marker), grant_type="client_credentials"),
        await issuer.send("GET", "/admin/v1/keys", headers={"Authorization": f"Bearer {marker}"}),
        await issuer.send("GET", f"/{marker}"),
    ):
        assert marker.encode() not in answer.body
        assert marker not in str(answer.headers)


async def raw(issuer: Replica, head: bytes, body: bytes) -> bytes:
    """What the issuer says to exactly these bytes."""
    host, _, port = issuer.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(head + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        async with asyncio.timeout(30):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    "request_line",
    [b"GARBAGE", b"GET", b"GET / HTTP/9.9", b"GET /\x00 HTTP/1.1", b"\x16\x03\x01", b"POST /oauth2/token HTTP/1.1"],
)
async def test_what_is_hardly_http_is_answered_or_cut_off_and_the_issuer_goes_on(
    issuer: Replica, request_line: bytes
) -> None:
    answer = await raw(issuer, request_line + b"\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"hello")

    assert answer == b"" or answer.split()[1] == b"400", answer
    assert (await issuer.send("GET", "/livez")).status == 200
