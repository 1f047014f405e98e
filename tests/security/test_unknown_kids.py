"""Keys that do not exist, named by somebody on purpose; and what other verifiers got wrong about foreign keys.

Where a bug was found in another project, its name and number stand in the docstring.
"""

import asyncio

import pytest

from tests.simulator import b64
from tests.unit.jwks.foreign_issuer import (
    ISSUER,
    JWKS_URI,
    FakeFetcher,
    KeysOverTime,
    document,
    found,
    jwk,
    jwks,
    refreshing,
    until,
)
from verifier_agent import SettingInvalid
from verifier_agent.jwks import (
    FailureCode,
    ForeignIssuer,
    ForeignKeys,
    JwksFailed,
    Missing,
    refuse_own_issuer,
)
from verifier_agent.jwks.unknown_kids import MAX_ABSENT, MAX_CALLERS, MAX_WANTED

AWAY = JwksFailed(FailureCode.UNREACHABLE, "away")
COOL_DOWN, SPACING = 30.0, 2.0
HOUR = 3600.0


# -- amplification: requests to us must not become requests to the issuer


def test_a_flood_of_random_kids_from_one_caller_costs_one_refresh_a_cool_down() -> None:
    over_time = KeysOverTime(min_refresh=HOUR, max_refresh=HOUR)
    refreshes = 0
    for second in range(1800):
        for number in range(20):
            over_time.find(f"random {second} {number}", "attacker")
        refreshes += over_time.serve(1.0, "one", "two")

    assert 1 < refreshes <= 1800 / COOL_DOWN


def test_a_flood_from_callers_without_number_costs_one_refresh_a_spacing() -> None:
    over_time = KeysOverTime(min_refresh=HOUR, max_refresh=HOUR)
    refreshes = 0
    for second in range(300):
        for number in range(50):
            over_time.find(f"random {second} {number}", f"address {second} {number}")
        refreshes += over_time.serve(1.0, "one", "two")

    assert refreshes <= 300 / SPACING


def test_a_flood_while_the_issuer_is_away_costs_no_more_than_no_flood() -> None:
    """jose, PyJWT 2.15, fragno 458: the cool-down began with a *successful* fetch; in an outage each token fetched."""

    def loads(flood: bool) -> int:
        over_time = KeysOverTime()
        over_time.now += 900
        for second in range(600):
            if flood:
                over_time.find(f"random {second}", f"address {second}")
            over_time.now += 1
            if over_time.keys.wants_refresh(over_time.now):
                over_time.fail(AWAY)
        return over_time.loads

    assert loads(flood=True) == loads(flood=False)


def test_a_known_bad_kid_costs_nothing_while_it_is_known() -> None:
    over_time = KeysOverTime()
    over_time.find("bad", "attacker")
    over_time.load("one", "two")
    answers = {over_time.find("bad", f"address {number}") for number in range(1000)}

    assert answers == {Missing.UNKNOWN}
    assert not over_time.keys.wants_refresh(over_time.now + SPACING)


async def test_refresh_stampede() -> None:
    """All who miss the same key at once, and those who come while it is on its way, share one load."""
    fetcher = FakeFetcher()
    fetcher.put(JWKS_URI, jwks("one"))
    keys = ForeignKeys(ForeignIssuer(issuer=ISSUER, jwks_uri=JWKS_URI, spacing=0.001))
    async with refreshing(keys, fetcher) as refresher:
        await until(lambda: keys.refreshes)
        fetcher.put(JWKS_URI, jwks("one", "two"))
        fetcher.gate.clear()
        first = [asyncio.create_task(refresher.wait_for("two", 30, f"caller {number}")) for number in range(300)]
        await until(lambda: keys.in_flight)
        later = [asyncio.create_task(refresher.wait_for("two", 30, f"later {number}")) for number in range(300)]
        await asyncio.sleep(0)
        fetcher.gate.set()

        assert all(map(found, await asyncio.gather(*first, *later)))
    assert len(fetcher.asked) == 2


def test_no_way_of_asking_gets_around_the_spacing() -> None:
    """tilegroxy 883: the explicit refresh of a library went past the interval that its own periodic one kept."""
    over_time = KeysOverTime(max_refresh=900)
    over_time.now += 900
    over_time.load("one")
    over_time.find("bad", "attacker")

    assert not over_time.keys.wants_refresh(over_time.now + SPACING - 0.01)
    assert over_time.keys.wants_refresh(over_time.now + SPACING)


def test_a_flood_costs_bounded_memory() -> None:
    over_time = KeysOverTime()
    held = over_time.keys._unknown
    for turn in range(20):
        for number in range(1000):
            over_time.find("k" * 200 + f"{turn} {number}", "c" * 5000 + f"{turn} {number}")
        absent, callers, wanted = held.sizes
        assert absent <= MAX_ABSENT
        assert callers <= MAX_CALLERS
        assert wanted == MAX_WANTED
        over_time.serve(SPACING, "one", "two")

    assert held.sizes[:2] == (MAX_ABSENT, MAX_CALLERS)
    assert max(len(name) for name in held._cooling._ends) < 100


# -- starvation: bad kids of one must not hide good kids of another


def test_bad_kids_of_one_caller_do_not_keep_a_new_key_from_another() -> None:
    """Engram 1641, jwks-rsa, aws-jwt-verify: one budget or penalty for all, and an attacker who uses it up."""
    over_time = KeysOverTime(min_refresh=HOUR, max_refresh=HOUR)
    for number in range(1000):
        over_time.find(f"random {number}", "attacker")
    over_time.serve(SPACING, "one", "two")
    assert over_time.find("random 1001", "attacker") is Missing.COOLING_DOWN

    assert over_time.find("new", "somebody") is Missing.PERHAPS
    assert over_time.serve(SPACING, "one", "two", "new") == 1
    assert found(over_time.find("new", "somebody"))


def test_bad_kids_of_many_callers_delay_a_new_key_by_one_spacing() -> None:
    over_time = KeysOverTime(min_refresh=HOUR, max_refresh=HOUR)
    for second in range(60):
        for number in range(400):
            over_time.find(f"random {second} {number}", f"address {second} {number}")
        over_time.serve(1.0, "one", "two")

    over_time.find("new", "somebody")
    over_time.serve(SPACING + 0.5, "one", "two", "new")
    assert found(over_time.find("new", "somebody"))


def test_a_flood_without_callers_told_apart_delays_a_new_key_by_a_cool_down_at_most() -> None:
    over_time = KeysOverTime(min_refresh=HOUR, max_refresh=HOUR)
    over_time.find("random")
    over_time.serve(SPACING, "one", "two")
    for second in range(int(1.5 * COOL_DOWN + SPACING)):
        over_time.find(f"random {second}")
        over_time.serve(1.0, "one", "two", "new")

    assert found(over_time.find("new"))


def test_naming_a_key_before_it_exists_hides_it_for_twice_a_cool_down_at_most() -> None:
    """A negative cache that each question prolongs could be held against a key whose name can be guessed."""
    over_time = KeysOverTime(min_refresh=HOUR, max_refresh=HOUR)
    over_time.find("2027-01", "attacker")
    over_time.serve(SPACING, "one")
    for second in range(int(2 * COOL_DOWN + SPACING)):
        over_time.find("2027-01", f"attacker {second}")
        over_time.serve(1.0, "one", "2027-01")

    assert found(over_time.find("2027-01", "somebody"))


def test_whoever_asks_the_period_is_kept_and_brings_new_keys() -> None:
    over_time = KeysOverTime()
    for second in range(900):
        over_time.find(f"random {second}", "attacker")
        over_time.serve(1.0, "new")

    assert found(over_time.find("new", "somebody"))


# -- good keys lost


def test_a_failed_refresh_clears_no_good_key() -> None:
    """PyJWT 1162: the cache was written in a `finally`, with nothing in it."""
    over_time = KeysOverTime()
    for _ in range(10):
        over_time.fail(AWAY)

    assert found(over_time.find("one"))


@pytest.mark.parametrize("body", [b"", b"{}", b'{"keys": []}', b"<html>", b'{"error": "temporarily_unavailable"}'])
async def test_an_answer_that_is_no_key_set_clears_no_good_key(body: bytes) -> None:
    """An empty list with status 200 is what an issuer says whose store is not up yet."""
    fetcher = FakeFetcher()
    fetcher.put(JWKS_URI, jwks("one"))
    often = ForeignIssuer(issuer=ISSUER, jwks_uri=JWKS_URI, min_refresh=0.002, max_refresh=0.002, spacing=0.001)
    keys = ForeignKeys(often)
    async with refreshing(keys, fetcher):
        await until(lambda: keys.refreshes)
        fetcher.put(JWKS_URI, body)
        await until(lambda: keys.failures)

    assert set(keys.keys) == {"one"}


def test_an_unknown_kid_clears_no_good_key() -> None:
    """fastapi-zitadel-auth 149: the cache was emptied first, and filled again by a fetch that could fail."""
    over_time = KeysOverTime()
    over_time.find("random", "attacker")
    over_time.begin()

    assert found(over_time.find("one"))


async def test_known_keys_are_found_while_the_issuer_hangs() -> None:
    """PyJWT: the lock for the cache was held during the fetch, so good tokens waited for bad ones."""
    fetcher = FakeFetcher()
    fetcher.put(JWKS_URI, jwks("one"))
    keys = ForeignKeys(ForeignIssuer(issuer=ISSUER, jwks_uri=JWKS_URI, spacing=0.001))
    async with refreshing(keys, fetcher) as refresher:
        await until(lambda: keys.refreshes)
        fetcher.gate.clear()
        assert await refresher.wait_for("random", 0.01, "attacker") is Missing.PERHAPS
        await until(lambda: keys.in_flight)

        assert found(await refresher.wait_for("one", 0, "somebody"))


@pytest.mark.parametrize(
    "odd", [{"kty": "AKP", "alg": "ML-DSA-65", "pub": "AAAA"}, None, {"kty": "RSA"}, jwk("x", x=1)]
)
def test_one_odd_key_does_not_spoil_the_set(odd: object) -> None:
    """joserfc 104, authlib 913, go-jose 276: one key of a new kind cut the whole issuer off."""
    assert set(document(odd, "one").keys) == {"one"}


# -- bad keys kept


def test_a_removed_key_verifies_no_more() -> None:
    """jwks-rsa, PyJWT's per-key cache: each key was kept for its own time, whatever newer documents said."""
    over_time = KeysOverTime()
    assert over_time.load("two") == {"one"}

    assert over_time.find("one") is Missing.UNKNOWN


def test_failures_do_not_prolong_the_life_of_old_keys() -> None:
    """Keycloak's JWKPublicKeyLocator: age was counted from the last request, good or not, so old keys never aged."""
    over_time = KeysOverTime(max_stale=HOUR)
    for _ in range(60):
        over_time.now += 60
        over_time.fail(AWAY)

    assert over_time.find("one") is Missing.UNAVAILABLE


def test_a_removed_key_comes_back_with_no_answer_but_a_good_document() -> None:
    over_time = KeysOverTime()
    over_time.load("two")
    over_time.begin()
    over_time.keys.confirmed(None, over_time.now)
    over_time.fail(AWAY)

    assert over_time.find("one") is Missing.UNKNOWN


# -- keys that are none


@pytest.mark.parametrize("alg", ["HS256", None])
def test_a_secret_published_by_mistake_is_no_key(alg: str | None) -> None:
    published = {"kty": "oct", "kid": "hmac", "k": b64(b"secret" * 8), "alg": alg}

    assert "hmac" not in document("one", published).keys


def test_keys_under_one_kid_cannot_be_put_in_each_others_place() -> None:
    """A second key under a good `kid` could be the one that is found, by its place in the list."""
    for pair in (["one", jwk("attacker", kid="one")], [jwk("attacker", kid="one"), "one"]):
        assert "one" not in document(*pair, "two").keys


def test_the_issuers_own_keys_never_come_from_a_jwks_document() -> None:
    """A JWKS document under our own `iss` would let a key that was revoked by an event verify again."""
    with pytest.raises(SettingInvalid):
        refuse_own_issuer(ISSUER, [ForeignIssuer(issuer=ISSUER, jwks_uri="https://cdn.example/certs")])
