"""From which address a request comes, behind proxies and without."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.proxies import ClientAddress, Proxies

PROXY = "10.0.0.1"
XFF, FORWARDED = "x-forwarded-for", "forwarded"


def named(*values: str, header: str = XFF, peer: str = PROXY) -> str:
    return Proxies(["10.0.0.0/8", "fd00::/8"], header).client(peer, values).text


@pytest.mark.parametrize(
    ("values", "client"),
    [
        (["192.0.2.7"], "192.0.2.7"),
        (["192.0.2.7:4711"], "192.0.2.7"),
        (["2001:db8::1"], "2001:db8::1"),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (["::ffff:192.0.2.7"], "192.0.2.7"),
        (["192.0.2.7, 10.0.0.9"], "192.0.2.7"),  # through two of our proxies
        (["192.0.2.7", "10.0.0.9"], "192.0.2.7"),  # each of which adds a line
        (["198.51.100.1, 192.0.2.7"], "192.0.2.7"),  # the left one the client wrote
        (["10.0.0.5"], "10.0.0.5"),  # our own network calls
        (["garbage, 192.0.2.7"], "192.0.2.7"),
    ],
)
def test_x_forwarded_for_is_read_from_the_right(values: list[str], client: str) -> None:
    assert named(*values) == client


@pytest.mark.parametrize(
    ("values", "client"),
    [
        (["for=192.0.2.7"], "192.0.2.7"),
        (["FOR = 192.0.2.7;proto=https;by=10.0.0.1"], "192.0.2.7"),
        (['by=x;for="[2001:db8::1]:4711"'], "2001:db8::1"),
        (['for="192.0.2.7:_odd"'], "192.0.2.7"),
        (["for=198.51.100.1, for=192.0.2.7;proto=http, for=10.0.0.9"], "192.0.2.7"),
        (['for="198.51.100.1, for=192.0.2.7'], "192.0.2.7"),  # a quote that the client left open
    ],
)
def test_forwarded_is_read_from_the_right(values: list[str], client: str) -> None:
    assert named(*values, header=FORWARDED) == client


@pytest.mark.parametrize(
    "value", ["", "unknown", "_hidden", "for=192.0.2.7", "1.2.3", "192.0.2.7, ", "[::1", "a" * 9000]
)
def test_where_the_proxy_names_no_address_it_stands_for_whoever_is_behind_it(value: str) -> None:
    proxies = Proxies([PROXY], XFF)

    assert proxies.client(PROXY, [value]) == ClientAddress(PROXY, PROXY)
    assert proxies.ignored["malformed"] == 1


def test_who_is_no_proxy_is_not_believed_and_that_is_counted() -> None:
    proxies = Proxies([PROXY], XFF)

    assert proxies.client("192.0.2.66", ["198.51.100.1"]).text == "192.0.2.66"
    assert proxies.ignored == {"untrusted": 1, "malformed": 0}


def test_a_list_without_end_is_read_only_so_far() -> None:
    assert named(", ".join(["192.0.2.7", *["10.0.0.2"] * 1000])) == "10.0.0.2"


@given(forged=st.lists(st.text(max_size=40), max_size=4), header=st.sampled_from([XFF, FORWARDED]))
def test_whatever_a_client_writes_before_the_proxys_entry_changes_nothing(forged: list[str], header: str) -> None:
    own = "for=192.0.2.7" if header == FORWARDED else "192.0.2.7"

    assert named(", ".join([*forged, own]), header=header) == "192.0.2.7"
    assert named(*forged, own, header=header) == "192.0.2.7"


def test_addresses_of_one_ipv6_network_are_one_asker_and_those_of_ipv4_are_each_one() -> None:
    proxies = Proxies([], XFF)
    first, same, other = (proxies.client(f"2001:db8:0:{tail}", ()).key for tail in ("1::1", "1:f::2", "2::1"))

    assert first == same != other
    assert proxies.client("192.0.2.1", ()).key != proxies.client("192.0.2.2", ()).key


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", None, "unix:"])
def test_without_trusted_proxies_a_caller_on_this_machine_may_be_anybody(peer: str | None) -> None:
    assert Proxies([], XFF).client(peer, ()).key is None


def test_with_trusted_proxies_a_caller_on_this_machine_is_himself() -> None:
    assert Proxies(["127.0.0.1"], XFF).client("127.0.0.1", ()).key == "127.0.0.1"
