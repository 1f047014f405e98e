"""What ``/admin/v1`` refuses: bodies that mean nothing, and callers who may not."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.issuer_under_test import Installation, Replica

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one issuer for all: nothing here changes anything


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return await Installation.create(tmp_path_factory.mktemp("issuer"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def issuer(installation: Installation) -> AsyncIterator[Replica]:
    async with installation.running() as replica:
        yield replica


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a cutoff in the future": ({"selector": {"sub": "a"}, "issued_before": 4_000_000_000}, "future"),
    "nothing named": ({}, "exactly one"),
    "two things named": ({"selector": {}, "jti": "x"}, "exactly one"),
    "a cutoff without a selector": ({"jti": "x", "issued_before": 1}, "go with a selector"),
    "an issuer without a selector": ({"jti": "x", "token_issuer": "https://a.example"}, "go with a selector"),
    "an unknown member": ({"selector": {}, "resaon": "typo"}, "`resaon`"),
    "an unknown cutoff": ({"selector": {"sub": "a"}, "issued_after": 1}, "`issued_after`"),
    "a reason that is no text": ({"selector": {}, "reason": 7}, r"\$.reason"),
    "a reason beyond measure": ({"selector": {}, "reason": "r" * 1025}, "reason has 1025 characters"),
    "a reason with a NUL": ({"selector": {}, "reason": "a\0b"}, "reason"),
    "a selector by issuer": ({"selector": {"iss": "x"}}, "'iss'"),
    "a selector by rsq": ({"selector": {"rsq": 1}}, "'rsq'"),
    "a selector by a list": ({"selector": {"aud": ["a"]}}, r"\$.selector"),
    "a selector by null": ({"selector": {"aud": None}}, r"\$.selector"),
    "a selector with an empty value": ({"selector": {"sub": ""}}, "'sub'"),
    "a selector with too many claims": ({"selector": {f"c{number}": 1 for number in range(9)}}, "at most 8"),
    "a token that is none": ({"token": "garbage"}, "malformed"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_body_that_means_nothing_is_refused_with_the_member_by_name(issuer: Replica, case: str) -> None:
    body, why = REFUSED[case]

    answer = await issuer.admin("POST", "/revocations", {"reason": "a test", **body})

    assert (answer.status, answer.json()["error"]) == (400, "invalid_request"), answer
    answer_says = answer.json()["error_description"]
    assert why.replace("\\", "") in answer_says, answer_says
    assert (await issuer.admin("GET", "/revocations")).json() == {"revocations": []}


async def test_a_reason_is_needed(issuer: Replica) -> None:
    answer = await issuer.admin("POST", "/revocations", {"selector": {}})

    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")
    assert "`reason`" in answer.json()["error_description"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b"{}"),
        ("application/x-www-form-urlencoded", b"reason=x"),
        ("application/json", b""),
        ("application/json", b"{"),
        ("application/json", b"[]"),
        ("application/json", b"null"),
        ("application/json", b'{"reason": "\xff"}'),
        ("application/json", b'{"reason": "\\ud800", "selector": {}}'),
        ("application/json", b'{"reason": "x", "selector": {}, "issued_before": 1e999}'),
        ("application/json", b'{"reason": "x", "selector": {}, "issued_before": NaN}'),
        ("application/json", b"[" * 50_000),
    ],
)
async def test_what_is_no_json_of_this_call_is_refused(
    installation: Installation, issuer: Replica, content_type: str, body: bytes
) -> None:
    token = await issuer.token(installation.operator)

    answer = await issuer.send(
        "POST",
        "/admin/v1/revocations",
        data=body,
        headers={"Authorization": f"Bearer {token}", "Content-Type": content_type},
    )

    assert (answer.status, answer.json()["error"]) == (400, "invalid_request"), answer


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=many", "limit=" + "9" * 5000])
async def test_a_limit_out_of_range_is_refused(issuer: Replica, query: str) -> None:
    answer = await issuer.admin("GET", f"/revocations?{query}")

    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


CALLS = [
    ("GET", "/revocations", "tocsin:read"),
    ("GET", "/revocations/1.2", "tocsin:read"),
    ("POST", "/revocations", "tocsin:revoke"),
    ("POST", "/revocations/1.2/lift", "tocsin:revoke"),
    ("GET", "/keys", "tocsin:read"),
    ("POST", "/keys/rotate", "tocsin:keys"),
    ("POST", "/keys/some-kid/revoke", "tocsin:keys"),
    ("GET", "/keys/receipts/1.2", "tocsin:read"),
    ("GET", "/revocations/1.2/receipts", "tocsin:read"),
    ("GET", "/agents", "tocsin:read"),
    ("POST", "/agents/some-id/remove", "tocsin:keys"),
]


@pytest.mark.parametrize(("method", "path", "scope"), CALLS)
async def test_each_call_needs_a_token_with_its_own_scope(
    installation: Installation, issuer: Replica, method: str, path: str, scope: str
) -> None:
    others = " ".join({"tocsin:read", "tocsin:revoke", "tocsin:keys"} - {scope})
    token = await issuer.token(installation.operator, scope=others)

    without = await issuer.send(method, f"/admin/v1{path}")
    lacking = await issuer.admin(method, path, {}, token=token)

    assert (without.status, without.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert (lacking.status, lacking.json()["error"]) == (403, "insufficient_scope")
    assert 'error="insufficient_scope"' in lacking.headers["WWW-Authenticate"]
    assert f'scope="{scope}"' in lacking.headers["WWW-Authenticate"]


@pytest.mark.parametrize(("method", "path", "scope"), CALLS)
async def test_a_token_for_another_audience_opens_nothing(
    installation: Installation, issuer: Replica, method: str, path: str, scope: str
) -> None:
    client = await installation.client(f"sly-{uuid4()}", audiences=("orders",), scopes=(scope,))

    answer = await issuer.admin(method, path, {}, token=await issuer.token(client))

    assert (answer.status, answer.json()["error"]) == (401, "invalid_token")
    assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic b3A6b3A=", "Bearer garbage", "Bearer a.b.c", "", "x"])
async def test_what_is_no_token_is_answered_401_with_a_challenge(issuer: Replica, header: str) -> None:
    answer = await issuer.send("GET", "/admin/v1/revocations", headers={"Authorization": header})

    assert (answer.status, answer.json()["error"]) == (401, "invalid_token")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["Cache-Control"] == "no-store"


async def test_whether_somebody_may_is_asked_before_what_they_want(issuer: Replica) -> None:
    answer = await issuer.send("POST", "/admin/v1/revocations", data=b"not JSON")

    assert answer.status == 401
