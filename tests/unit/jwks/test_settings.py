"""What may be said of a foreign issuer."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.jwks.foreign_issuer import ISSUER, JWKS_URI
from verifier_agent import SettingInvalid
from verifier_agent.jwks import ForeignIssuer, read_foreign_issuers, refuse_own_issuer

FILE = Path("agent.toml")


def _issuer(issuer: str = ISSUER, **settings: Any) -> ForeignIssuer:
    return ForeignIssuer(issuer=issuer, **settings)


def test_an_issuer_alone_is_enough() -> None:
    assert ForeignIssuer(issuer=ISSUER).jwks_uri is None


def test_an_issuer_that_is_no_url_needs_a_jwks_uri() -> None:
    assert ForeignIssuer(issuer="shop", jwks_uri=JWKS_URI).issuer == "shop"
    with pytest.raises(SettingInvalid, match="'jwks_uri' of foreign issuer 'shop'"):
        ForeignIssuer(issuer="shop")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"issuer": ""}, "'issuer'"),
        ({"jwks_uri": ""}, "'jwks_uri'"),
        ({"jwks_uri": "http://login.example/certs"}, "'jwks_uri'.*https"),
        ({"algorithms": ()}, "'algorithms'"),
        ({"algorithms": ("HS256",)}, "'algorithms'.*ES256"),
        ({"types": ()}, "'types'"),
        ({"min_refresh": 0}, "'min_refresh'"),
        ({"cool_down": 0}, "'cool_down'"),
        ({"spacing": 0}, "'spacing'"),
        ({"timeout": 0}, "'timeout'"),
        ({"timeout": float("nan")}, "'timeout'"),
        ({"max_stale": float("nan")}, "'max_stale'"),
        ({"min_refresh": 1000}, r"'max_refresh'.*1000 s \(min_refresh\) or more, not 900 s"),
        ({"max_stale": 100}, "'max_stale'.*900 s"),
        ({"spacing": 31}, "'cool_down'.*31 s"),
    ],
)
def test_a_bad_setting_is_named_with_its_issuer(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingInvalid, match=named):
        _issuer(**settings)


@pytest.mark.parametrize("typ", ["", "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/JWT"])
def test_tokens_of_common_types_or_none_are_taken(typ: str) -> None:
    assert ForeignIssuer(issuer=ISSUER).accepts_type(typ)


@pytest.mark.parametrize("typ", ["secevent+jwt", "logout+jwt", "dpop+jwt", "id+jwt", "JWT ", "application/", "JOSE"])
def test_tokens_of_other_types_are_not(typ: str) -> None:
    assert ForeignIssuer(issuer=ISSUER, types=("JWT",)).accepts_type(typ) is False


def test_issuers_are_read_from_tables_with_their_units() -> None:
    tables: list[dict[str, Any]] = [
        {"issuer": ISSUER, "cool_down": "1m", "algorithms": ["RS256"]},
        {"issuer": "https://tenant.example/"},
    ]

    shop, tenant = read_foreign_issuers(tables, FILE)

    assert (shop.cool_down, shop.algorithms) == (60.0, ("RS256",))
    assert tenant.issuer == "https://tenant.example/"


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ([{}], "'issuer' is missing"),
        ([{"issuer": 5}], "'issuer' from agent.toml"),
        ([{"issuer": ISSUER, "cooldown": 5}], "no setting 'cooldown'.*agent.toml.*did you mean 'cool_down'"),
        ([{"issuer": ISSUER, "cool_down": "soon"}], "'cool_down' from agent.toml"),
        ([{"issuer": ISSUER, "timeout": -1}], "'timeout' from agent.toml"),
        ([{"issuer": ISSUER}, {"issuer": ISSUER}], "twice|2 times"),
        ([{"issuer": f"https://{number}.example"} for number in range(65)], "65 foreign issuers"),
    ],
)
def test_a_bad_table_is_refused_with_its_file(tables: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(SettingInvalid, match=said):
        read_foreign_issuers(tables, FILE)


@pytest.mark.parametrize("own", [ISSUER, ISSUER + "/"])
def test_the_agents_own_issuer_is_never_a_foreign_one(own: str) -> None:
    with pytest.raises(SettingInvalid, match="its keys come from signed events"):
        refuse_own_issuer(own, [ForeignIssuer(issuer="https://tenant.example"), ForeignIssuer(issuer=ISSUER)])


def test_other_issuers_are_foreign() -> None:
    refuse_own_issuer("https://issuer.example", [ForeignIssuer(issuer=ISSUER)])
