"""Where requests come from, and how much one source may send in a day."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from allium.settings.server import Network

_DAY = 86_400.0
#: Sources that are told apart. Others share one allowance.
_MOST_SOURCES = 100_000
_OTHERS = "others"


class QuotaError(Exception):
    """The source has sent as much as it may; it may send so much again in `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds:.0f} s")
        self.seconds = seconds


def source_of(peer: str, forwarded: str | None, trusted: Sequence[Network]) -> str:
    """Who is counted for a request: an IPv4 address, or the /64 of an IPv6 one, which one customer has.

    `peer` is the other end of the connection, `forwarded` what X-Forwarded-For says, which only `trusted` may say.
    """
    address = _address(peer)
    hops = (forwarded or "").split(",")
    # Each proxy adds whom it saw at the end; the first that is no proxy of ours is the client.
    while hops and address is not None and _within(address, trusted):
        following = _address(hops.pop().strip())
        if following is None:
            break
        address = following
    if address is None:
        return peer
    if isinstance(address, IPv6Address):
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(address)


def is_exempt(source: str, networks: Sequence[Network]) -> bool:
    """Whether a source is in one of these networks."""
    address = _address(source.removesuffix("/64"))
    return address is not None and _within(address, networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _within(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


class SourceQuota:
    """An allowance of bytes for each source, which a day fills from nothing."""

    def __init__(
        self, day_bytes: int, exempt: Sequence[Network] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._day_bytes = day_bytes
        self._exempt = exempt
        self._clock = clock
        #: What a source has used, as of when.
        self._used: dict[str, tuple[float, float]] = {}
        #: How often somebody was refused.
        self.refused = 0

    def check(self, source: str, wanted: int) -> None:
        """Raises `QuotaError` when it may not send so many bytes now."""
        if is_exempt(source, self._exempt):
            return
        over = self._level(self._key(source)) + wanted - self._day_bytes
        if over > 0:
            self.refused += 1
            raise QuotaError(over / self._day_bytes * _DAY)

    def take(self, source: str, sent: int) -> None:
        """Counts what has come; raises `QuotaError` when that is too much."""
        if is_exempt(source, self._exempt):
            return
        key = self._key(source)
        self._used[key] = (self._level(key) + sent, self._clock())
        self.check(source, 0)

    def _level(self, key: str) -> float:
        used, since = self._used.get(key, (0.0, 0.0))
        return max(0.0, used - (self._clock() - since) / _DAY * self._day_bytes) if used else 0.0

    def _key(self, source: str) -> str:
        if source in self._used or len(self._used) < _MOST_SOURCES:
            return source
        self._used = {key: value for key, value in self._used.items() if self._level(key) > 0}
        return source if len(self._used) < _MOST_SOURCES else _OTHERS
