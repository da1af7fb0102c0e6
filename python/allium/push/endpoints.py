"""Endpoints of Web Push, which strangers name: what may be posted to, and the check where a name leads.

Who subscribes says where the server has to post. So nothing is posted to an address that is not everybody's: what
listens at private ones trusts the machines that reach it. A name is looked up when it is posted to, and it is the
address found then that is checked and used.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from cryptography.hazmat.primitives.asymmetric import ec

#: In these an IPv4 address is inside, which a gateway may lead to: NAT64, 6to4, Teredo.
_TRANSLATED = tuple(map(IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))


class EndpointError(ValueError):
    """A URL that nothing is posted to; the text says why."""


class RefusedAddressError(OSError):
    """A name that leads to an address that is not everybody's."""


def check(url: str, private: bool) -> None:
    """Raises `EndpointError` for what is no URL of HTTPS at a public place; with `private` any URL of HTTP will do."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise EndpointError("it is no URL") from None
    if parts.scheme != "https" and not (private and parts.scheme == "http"):
        raise EndpointError("it has to begin with https://")
    if not host or port == 0 or parts.username is not None or parts.password is not None or not url.isascii():
        raise EndpointError("it is no URL of a server")
    if any(character <= " " or character in '\\"<>' for character in url):
        raise EndpointError("it is no URL")
    if private:
        return
    try:
        address = ip_address(host)
    except ValueError:
        # A number in one of the forms that only resolvers know leads to an address as a name does, and is checked then.
        if host == "localhost" or host.endswith((".localhost", ".local", ".internal", ".")) or "." not in host:
            raise EndpointError("it is not a public place") from None
        return
    if not is_public(address):
        raise EndpointError("it is not a public place")


def origin(url: str) -> str:
    """Scheme and place of a URL, as VAPID names a push service."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether everybody would reach the same machine there."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in network for network in _TRANSLATED):
            return False
    return address.is_global and not address.is_multicast


def is_p256(point: bytes) -> bool:
    """Whether it is a public key of P-256, uncompressed."""
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        return False
    return point[:1] == b"\x04"


class PublicResolver(AbstractResolver):
    """Looks names up, and knows of public addresses only."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """See `AbstractResolver`; raises `RefusedAddressError`."""
        found = await self._resolver.resolve(host, port, family)
        public = [one for one in found if is_public(ip_address(one["host"].partition("%")[0]))]
        if not public:
            raise RefusedAddressError(None, "it leads to a private address")
        return public

    async def close(self) -> None:
        """See `AbstractResolver`."""
        await self._resolver.close()
