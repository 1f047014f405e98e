"""The list of token keys as it stands in configuration: what is an entry, what is refused, and what is never shown."""

import asyncio
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from issuer.keys.generation import PrivateJwk, generate
from issuer.keys.key_list import MOST_ENTRIES, ListedKey, SealedEntry, read_list
from issuer.keys.list_opening import ListOpening, refuse_reused
from issuer.keys.sealing import KeyEncryptionKey
from issuer.keys.vault import TOKEN_KEY, seal
from issuer.keys.wrapping import Wrappers
from issuer.settings import IssuerSettings
from verifier_agent import SettingInvalid, Sources
from verifier_agent.hot import HotConfiguration

KEK = KeyEncryptionKey(b"k" * 32)
OTHER_KEK = KeyEncryptionKey(b"o" * 32)


def listed(jwk: dict[str, str], *, kek: KeyEncryptionKey = KEK, use: str = TOKEN_KEY, **changes: Any) -> ListedKey:
    """An entry of this key; ``changes`` are of what it says beside what is sealed."""
    sealed = asyncio.run(seal(kek, jwk, use))
    said = {"kid": jwk["kid"], "alg": jwk["alg"], "kek_id": kek.kek_id, "sealed": sealed.sealed}
    return ListedKey(**said | changes)


def opened(*entries: ListedKey, algorithms: tuple[str, ...] = ("ES256", "RS256", "EdDSA")) -> Any:
    return asyncio.run(ListOpening(Wrappers(KEK), algorithms).open(entries))


@given(st.binary(min_size=1, max_size=200), st.text(min_size=1, max_size=64))
def test_an_entry_is_read_as_it_was_written(sealed: bytes, kek_id: str) -> None:
    key = ListedKey(kid="key-1", alg="ES256", kek_id=kek_id, sealed=sealed)
    text = key.text()

    assert text.parse() == key
    assert not set(text.reveal()) & set(", \n"), "it must fit into a list in the environment"


@given(st.data())
def test_an_entry_that_was_cut_short_or_changed_anywhere_is_refused(data: st.DataObject) -> None:
    text = ListedKey(kid="key-1", alg="ES256", kek_id="k", sealed=b"sealed" * 9).text().reveal()
    place = data.draw(st.integers(0, len(text) - 1))
    changed = (
        text[:place]
        + data.draw(st.sampled_from("abAB09:_-").filter(lambda sign: sign != text[place]))
        + text[place + 1 :]
    )

    for broken in (text[:place], changed):
        with pytest.raises(ValueError, match=r"cut short|kid must be|algorithm is"):
            SealedEntry(broken).check()


def test_a_list_says_its_keys_in_order_nothing_or_none() -> None:
    first, second = listed(generate("ES256")), listed(generate("EdDSA"))

    assert read_list((first.text(), second.text())) == (first, second)
    assert read_list(()) is None
    assert read_list((SealedEntry("none"),)) == ()


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (lambda a, b: (a, b, a), "entry 3: kid .* stands in entry 1 already"),
        (lambda a, b: (a, SealedEntry(b.reveal()[:-20])), r"entry 2: it has 4 of 5 parts|entry 2: its checksum"),
        (lambda a, _: (a, SealedEntry("none")), "entry 2: 'none' stands alone"),
        (lambda a, _: (a,) * (MOST_ENTRIES + 1), f"at most {MOST_ENTRIES} are read"),
        (lambda _a, _b: (SealedEntry("hunter2"),), "entry 1: it has 1 of 5 parts"),
    ],
)
def test_a_list_that_cannot_be_names_the_entry(entries: Any, words: str) -> None:
    a, b = listed(generate("ES256")).text(), listed(generate("ES256")).text()

    with pytest.raises(SettingInvalid, match=words) as refused:
        read_list(entries(a, b))

    assert "hunter2" not in str(refused.value)
    assert a.reveal().split(":")[3] not in str(refused.value)


def test_what_is_sealed_is_what_the_entry_says() -> None:
    jwk = generate("ES256")

    [key] = opened(listed(jwk))

    assert (key.jwk["kid"], key.use, key.kek_id) == (jwk["kid"], TOKEN_KEY, KEK.kek_id)
    assert "d" not in key.jwk


def weak() -> PrivateJwk:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - that is what is refused
    return PrivateJwk(
        msgspec.json.decode(RSAAlgorithm.to_jwk(key))
        | {"kid": "weak", "alg": "RS256", "use": "sig", "key_ops": ["sign"]}
    )


def on_another_curve() -> PrivateJwk:
    key = ec.generate_private_key(ec.SECP384R1())
    return PrivateJwk(msgspec.json.decode(ECAlgorithm.to_jwk(key)) | {"kid": "curve", "alg": "ES256", "use": "sig"})


ES256 = generate("ES256")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            lambda: listed(ES256, kek=OTHER_KEK),
            f"sealed with key-encryption key {OTHER_KEK.kek_id}, and here is {KEK.kek_id}",
        ),
        (lambda: listed(ES256, kek=OTHER_KEK, kek_id=KEK.kek_id), "does not open it"),
        (lambda: listed(ES256, sealed=listed(ES256).sealed[:-3]), "does not open it: .* cut short"),
        (lambda: listed(ES256, sealed=b"x"), "does not open it: .* cut short"),
        (lambda: listed(ES256, kid="another"), "sealed for another kid"),
        (lambda: listed(ES256, use="event"), "sealed for another kid or use"),
        (lambda: listed(ES256, alg="EdDSA"), "what is sealed is a key .* for ES256"),
        (lambda: listed(weak()), "RSA key of 1024 bits, and RS256 needs 2048"),
        (lambda: listed(on_another_curve()), "on secp384r1, and ES256 needs one on P-256"),
        (lambda: listed(PrivateJwk({n: v for n, v in ES256.items() if n != "d"})), "no private half"),
    ],
)
def test_a_key_that_cannot_sign_here_is_refused_by_its_entry_and_nothing_of_it_is_shown(entry: Any, words: str) -> None:
    bad = entry()

    with pytest.raises(SettingInvalid, match=f"setting 'signing_keys': entry 2 .kid {bad.kid}.: .*{words}") as refused:
        opened(listed(generate("ES256")), bad)

    assert ES256["d"] not in str(refused.value)


def test_an_algorithm_that_the_issuer_has_no_keys_for_is_refused() -> None:
    with pytest.raises(SettingInvalid, match="a key for EdDSA, and 'signing_algorithms' has ES256"):
        opened(listed(generate("EdDSA")), algorithms=("ES256",))


def test_one_key_under_two_names_is_refused() -> None:
    again = PrivateJwk({**ES256, "kid": "again"})

    with pytest.raises(SettingInvalid, match=r"entry 2 .kid again.: it is the key of entry 1 once more"):
        opened(listed(ES256), listed(again))


def test_a_name_or_a_key_that_was_used_before_is_refused_whatever_became_of_it() -> None:
    entry, other = listed(ES256), generate("ES256")
    [key] = opened(entry)
    row = {"kid": entry.kid, "use": "token", "state": "revoked", "public_jwk": key.jwk}

    refuse_reused([entry], [key], [row, {**row, "kid": other["kid"], "public_jwk": other}])
    for known, words in (
        ({**row, "public_jwk": other}, r"another key of that name .token, revoked.: a kid is used once"),
        ({**row, "kid": "old"}, r"it is the key old .token, revoked., which a new name does not change"),
        ({**row, "use": "event", "state": "active"}, r"another key of that name .event, active."),
    ):
        with pytest.raises(SettingInvalid, match=f"entry 1 .*{words}"):
            refuse_reused([entry], [key], [known])


def test_an_entry_is_opened_once_however_often_the_list_is_put_in_order() -> None:
    class Counting(KeyEncryptionKey):
        calls = 0

        async def unwrap(self, sealed: bytes, *, kid: str, use: str) -> bytes:
            Counting.calls += 1
            return await super().unwrap(sealed, kid=kid, use=use)

    opening = ListOpening(Wrappers(Counting(b"k" * 32)), ("ES256",))
    one, two = listed(generate("ES256")), listed(generate("ES256"))

    async def all_of_it() -> None:
        await opening.open([one, two])
        await opening.open([two, one])

    asyncio.run(all_of_it())
    assert Counting.calls == 2


def test_settings_and_their_report_name_the_keys_and_show_nothing_of_what_is_sealed() -> None:
    entry = listed(ES256)
    least = {"issuer": "https://i.example", "store": "sqlite:///x.db", "log": "memory:", "kek_file": "kek"}
    sources = Sources({"TOCSIN_SIGNING_KEYS": entry.text().reveal()}, least)
    configuration = HotConfiguration([IssuerSettings], sources, frozenset(IssuerSettings.__struct_fields__))
    settings = configuration.live(IssuerSettings).now

    assert read_list(settings.signing_keys) == (entry,)
    [shown] = [each.value for each in configuration.report().settings if each.name == "signing_keys"]
    assert shown == [f"{entry.kid} (ES256, sealed with {KEK.kek_id})"]
    sealed = entry.text().reveal().split(":")[3]
    for text in (
        repr(settings),
        str(settings),
        repr(entry),
        repr(entry.text()),
        str(msgspec.to_builtins(configuration.report())),
    ):
        assert entry.kid in text
        assert sealed not in text


def test_a_bad_entry_is_told_with_where_it_stands_and_without_what_it_holds() -> None:
    text = listed(ES256).text().reveal()
    sources = Sources({"TOCSIN_SIGNING_KEYS": f"{text},{text[:-30]}"}, {})

    with pytest.raises(
        SettingInvalid, match=r"setting 'signing_keys' from TOCSIN_SIGNING_KEYS: entry 2: .* cut short"
    ) as refused:
        sources.read_some(IssuerSettings)

    assert text.split(":")[3][:40] not in str(refused.value)
