"""From which address a request comes: its peer's, or, where that is a trusted proxy, the one that the proxy names.

Each proxy adds, at the right end, the address that it was called from. So the list is read from the right, and only for
as long as the one who added the entry is trusted; what stands left of that the client may have written itself.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

import msgspec

Address = IPv4Address | IPv6Address

FORWARDED: Final = "forwarded"
MOST_HOPS: Final = 32
MOST_REMEMBERED: Final = 1024
"""Addresses of peers: most connections send more than one request, and most requests come from a few proxies."""
IPV6_PREFIX: Final = 64
"""Bits by which IPv6 addresses are told apart: whoever has one has all that share them (RFC 6177)."""
_NODE: Final = re.compile(r"\[([0-9A-Fa-f:.]{2,45})\](?::\w{1,8})?|([0-9.]{7,15})(?::\w{1,8})?")
"""An address with or without a port (RFC 7239 section 6)."""


class ClientAddress(msgspec.Struct, frozen=True):
    """Where a request comes from.

    Attributes:
        text: for logs; empty where it is not known.
        key: by which askers are told apart; ``None`` where the address says nothing about who asks.
    """

    text: str
    key: str | None


class Proxies:
    """Whose word about a client's address is taken.

    Attributes:
        ignored: how often a header was not believed: ``untrusted``, its sender is no proxy of ours; ``malformed``, it
            names no address where one must stand.
    """

    def __init__(self, trusted: Sequence[str], header: str) -> None:
        """Set up.

        Args:
            trusted: networks of proxies (CIDR).
            header: in which they name the client, ``x-forwarded-for`` or ``forwarded`` (RFC 7239), in small letters.
        """
        self.header = header
        self._networks = [ip_network(network) for network in trusted]
        self.ignored: Counter[str] = Counter(untrusted=0, malformed=0)
        self._told = lru_cache(MOST_REMEMBERED)(self._tell)  # reading an address anew costs more than all else here

    def client(self, peer: str | None, values: Sequence[str]) -> ClientAddress:
        """Who asks.

        Args:
            peer: address that the connection comes from; ``None`` where it has none.
            values: of the header, each line one, in their order.
        """
        if not values:
            return self._told(peer)
        address = _parsed(peer or "")
        if address is None:
            return ClientAddress("", None)
        if not self._trusts(address):
            self.ignored["untrusted"] += 1
            return self._told(peer)
        return self._of(self._named(address, values))

    def _tell(self, peer: str | None) -> ClientAddress:
        address = _parsed(peer or "")
        return ClientAddress("", None) if address is None else self._of(address)

    def _of(self, address: Address) -> ClientAddress:
        # Where nobody is trusted, a caller on this machine is as likely a proxy that nobody has told us of.
        unknown = address.is_loopback and not self._networks
        return ClientAddress(str(address), None if unknown else _key(address))

    def _named(self, peer: Address, values: Sequence[str]) -> Address:
        """The first address from the right that is none of our proxies, or the last of these when all are.

        A malformed entry is as far as the list can be read: the proxy that sent it stands for whoever is behind it.
        """
        address = peer
        for entry in _from_the_right(values):
            named = _node(_for_parameter(entry) if self.header == FORWARDED else entry.strip())
            if named is None:
                self.ignored["malformed"] += 1
                return address
            address = named
            if not self._trusts(address):
                return address
        return address

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _from_the_right(values: Sequence[str]) -> Iterator[str]:
    """The entries, newest first. A comma inside quotes would end one too, and make it malformed: no address has any."""
    count = 0
    for value in reversed(values):
        for entry in reversed(value.split(",")):
            count += 1
            if count > MOST_HOPS:
                return
            yield entry


def _for_parameter(entry: str) -> str:
    """The value of ``for``, unquoted (RFC 7239 section 4); nothing where there is none."""
    for pair in entry.split(";"):
        name, _, value = pair.partition("=")
        if name.strip().lower() == "for":
            return value.strip().strip('"')
    return ""


def _node(text: str) -> Address | None:
    """The address of a node; ``None`` for ``unknown``, an obfuscated name, and whatever else is none."""
    if found := _NODE.fullmatch(text):
        return _parsed(found[1] or found[2])
    return _parsed(text)  # IPv6 without brackets, as X-Forwarded-For has it


def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _key(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((int(address), IPV6_PREFIX), strict=False))
