"""Names of keys in hardware security modules."""

from pathlib import Path

import pytest

from issuer.keys.pkcs11_uri import Pkcs11Uri
from issuer.settings import IssuerSettings
from verifier_agent import Secret, SettingInvalid

GOOD = "pkcs11:token=my%20hsm;object=kek-1?module-path=/usr/lib/p11.so&pin-source=file:/etc/pin"
LEAST = {"issuer": "https://i.example", "store": "sqlite:///x.db", "log": "memory:"}


def test_the_parts_of_a_uri_are_read_and_decoded() -> None:
    uri = Pkcs11Uri.parse(GOOD, "kek_uri")

    assert uri == Pkcs11Uri(token="my hsm", object="kek-1", module=Path("/usr/lib/p11.so"), pin_source=Path("/etc/pin"))
    assert uri.kek_id == "pkcs11:my hsm/kek-1"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("kek", "no PKCS #11 URI"),
        ("pkcs11:", "lacks 'module-path'"),
        (GOOD.replace("object=kek-1", ""), "lacks 'object'"),
        (GOOD.replace("&pin-source=file:/etc/pin", ""), "lacks 'pin-source'"),
        (GOOD.replace("object=kek-1", "object="), "'object' has no value, or two"),
        (GOOD.replace("object=kek-1", "object=a;object=b"), "'object' has no value, or two"),
        (GOOD + "&slot=3", "must not have 'slot'"),
        (GOOD.replace("pin-source=file:/etc/pin", "pin-value=s3cret"), "holds a PIN"),
        (GOOD.replace("kek-1", "k" * 60), "more than 56 characters"),
    ],
)
def test_a_uri_of_no_use_is_refused_by_the_name_of_the_setting(text: str, why: str) -> None:
    with pytest.raises(SettingInvalid, match=why) as refused:
        IssuerSettings(**LEAST, kek_uri=text)  # type: ignore[arg-type]

    assert "setting 'kek_uri'" in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("other", [{"kek": Secret("x")}, {"kek_file": Path("kek")}])
def test_two_keys_that_seal_are_refused_with_where_the_other_one_goes(other: dict[str, object]) -> None:
    with pytest.raises(SettingInvalid, match="'other_kek_uris', 'other_kek_files' or 'other_keks'"):
        IssuerSettings(**LEAST, kek_uri=GOOD, **other)  # type: ignore[arg-type]


def test_a_further_uri_is_checked_too() -> None:
    with pytest.raises(SettingInvalid, match="setting 'other_kek_uris'"):
        IssuerSettings(**LEAST, kek_file=Path("kek"), other_kek_uris=("pkcs11:",))  # type: ignore[arg-type]
