"""Addresses of the public internet: the only ones that a stranger may make a program here call.

The engine has the same rule for nodes (`engine/src/transport/relay/public.rs`).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

#: Where IANA puts what is nobody's host, and relays of 6to4; beyond what `is_global` knows.
_SPECIAL = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24")))
_NAT64 = IPv6Network("64:ff9b::/96")
#: All that is handed out: no loopback, link-local, site-local, unique local or multicast address is in it, nor one that
#: is IPv4-compatible, or translated by a prefix of somebody's own.
_HANDED_OUT = IPv6Network("2000::/3")
#: Of that, what is no host (with Teredo in the first), and 6to4: what is at a tunnel's other end is not known here.
_NO_HOSTS = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
#: Before the IPv4 address in one of ISATAP, another tunnel.
_ISATAP = (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")


class NotPublicError(OSError):
    """A host is at no address of the public internet, so it is not asked."""


def is_public(address: Address) -> bool:
    """Whether everybody would reach the same machine there: none of this network, and not this one."""
    if isinstance(address, IPv4Address):
        special = address.is_multicast or address.is_reserved or any(address in network for network in _SPECIAL)
        return address.is_global and not special
    inner = address.ipv4_mapped
    if address in _NAT64:
        inner = IPv4Address(address.packed[12:])
    if inner is not None:
        return is_public(inner)
    if address.packed[8:12] in _ISATAP:
        return False
    return address in _HANDED_OUT and not any(address in network for network in _NO_HOSTS)
