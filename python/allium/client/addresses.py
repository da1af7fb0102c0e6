"""Addresses that a stranger's URL may lead to: those on the Internet, and none that only this machine can reach.

A name is looked up once, and connected to is what was looked at: one that changes its mind in between gains nothing.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from allium.base.public_addresses import Address, NotPublicError, is_public

__all__ = ["Address", "Resolve", "is_public", "literal", "resolver", "system_resolve"]

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver

#: The addresses of a name, and the port of each.
Resolve = Callable[[str, int], Awaitable[Sequence[tuple[Address, int]]]]

_MAX_ADDRESSES = 4


def literal(host: str) -> Address | None:
    """The address that a host is; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


async def system_resolve(host: str, port: int) -> list[tuple[Address, int]]:
    """What the system says."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(ipaddress.ip_address(each[4][0]), port) for each in found]


def resolver(resolve: Resolve = system_resolve, is_allowed: Callable[[Address], bool] = is_public) -> AbstractResolver:
    """For connections of aiohttp. A host that is an address itself is not asked for: whoever uses it looks at that.

    A name of which one address is not allowed is at none.
    """
    from aiohttp.abc import AbstractResolver, ResolveResult

    class PublicResolver(AbstractResolver):
        """Gives the addresses that may be connected to."""

        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            found = await resolve(host, port)
            if not found or not all(is_allowed(address) for address, _ in found):
                raise NotPublicError(errno.EACCES, f"{host} is at no public address")
            return [
                ResolveResult(
                    hostname=host,
                    host=str(address),
                    port=shown,
                    family=socket.AF_INET6 if address.version == 6 else socket.AF_INET,
                    proto=0,
                    flags=socket.AI_NUMERICHOST,
                )
                for address, shown in found[:_MAX_ADDRESSES]
            ]

        async def close(self) -> None:
            pass

    return PublicResolver()
