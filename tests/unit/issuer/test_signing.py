"""Tokens as they are signed: what any library reads out of them, and where the work is done."""

import threading
from typing import Any

import jwt
import pytest

from issuer.keys.generation import generate, public
from issuer.keys.signing import SigningKey, SigningThreads

CLAIMS: dict[str, Any] = {"sub": "alice", "name": "Zo\u00eb \u2713", "roles": ["a", "b"], "exp": 4_000_000_000}


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256"])
async def test_every_token_is_what_pyjwt_reads_and_verifies_and_none_has_a_short_signature(alg: str) -> None:
    jwk, threads = generate(alg), SigningThreads()
    key, verifies = SigningKey(jwk), jwt.PyJWK(public(jwk))

    for typ in ("at+jwt", "JWT", "at+jwt"):
        # So many that r or s of some signature begins with a zero byte (RFC 7518 section 3.4).
        for number in range(300 if alg == "ES256" else 3):
            token = await threads.sign(key, {**CLAIMS, "n": number}, typ)
            assert jwt.get_unverified_header(token) == {"typ": typ, "alg": alg, "kid": jwk["kid"]}
            assert jwt.decode(token, verifies, algorithms=[alg]) == {**CLAIMS, "n": number}
    threads.close()


@pytest.mark.parametrize(("alg", "elsewhere"), [("ES256", False), ("EdDSA", False), ("RS256", True)])
async def test_what_takes_long_is_done_in_another_thread(
    alg: str, elsewhere: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, seen = SigningThreads(), list[threading.Thread]()
    jws = SigningKey.jws

    def watched(key: SigningKey, claims: dict[str, Any], typ: str) -> str:
        seen.append(threading.current_thread())
        return jws(key, claims, typ)

    monkeypatch.setattr(SigningKey, "jws", watched)
    await threads.sign(SigningKey(generate(alg)), CLAIMS, "at+jwt")
    threads.close()

    assert [thread is not threading.current_thread() for thread in seen] == [elsewhere]
