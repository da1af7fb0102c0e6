"""Endpoints of Web Push, which strangers name: what may be posted to, and the check where a name leads.

Who subscribes says where the server has to post. So nothing is posted to an address that is not everybody's: what
listens at private ones trusts the machines that reach it. A name is looked up when it is posted to, and it is the
address found then that is checked and used.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography.hazmat.primitives.asymmetric import ec

from allium.base.public_addresses import is_public

#: Names that are looked up at once.
_LOOKUPS = 16


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
        # Of its own: names that nobody answers for must not take the threads that others need.
        self._threads = ThreadPoolExecutor(_LOOKUPS, "push-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """See `AbstractResolver`; raises `RefusedAddressError`."""
        look = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look)
        public = []
        for kind, _, protocol, _, place in found:
            address = str(place[0])
            if is_public(ip_address(address.partition("%")[0])):
                flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
                result = ResolveResult(
                    hostname=host, host=address, port=int(place[1]), family=kind, proto=protocol, flags=flags
                )
                public.append(result)
        if not public:
            raise RefusedAddressError(None, "it leads to a private address")
        return public

    async def close(self) -> None:
        """See `AbstractResolver`."""
        self._threads.shutdown(wait=False, cancel_futures=True)
