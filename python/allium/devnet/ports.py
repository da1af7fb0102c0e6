"""Ports that nobody else takes between the moment they are chosen and the moment their server listens."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from allium.devnet.layout import LOOPBACK, DevnetError

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 10_000


@contextmanager
def reserve(count: int, base: int | None = None) -> Iterator[list[int]]:
    """`count` free ports, held until the block ends: from `base` on, or anywhere below the ephemeral range.

    Outgoing connections take ephemeral ports, so a node that is down could not be sure to get one of those back. A
    held port is bound with SO_REUSEADDR and does not listen: a server that sets SO_REUSEADDR too can have it, another
    `reserve` cannot.
    """
    with ExitStack() as held:
        ports: list[int] = []
        for port in _candidates(base, count):
            if _hold(port, held):
                ports.append(port)
                if len(ports) == count:
                    break
            elif base is not None:
                raise DevnetError(f"port {port} is in use; choose another --base-port, or none for free ones")
        else:
            raise DevnetError(f"only {len(ports)} of {count} ports are free")
        yield ports


def _candidates(base: int | None, count: int) -> list[int]:
    if base is not None:
        if base + count > 1 << 16:
            raise DevnetError(f"--base-port {base} leaves no room for {count} ports")
        return list(range(base, base + count))
    try:
        ephemeral = int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        ephemeral = 32_768
    candidates = list(range(_LOWEST, max(ephemeral, _LOWEST + 4096)))
    random.SystemRandom().shuffle(candidates)
    return candidates


def _hold(port: int, held: ExitStack) -> bool:
    """Holds TCP `port`; whether it was free, and UDP too.

    UDP is not held, because QUIC's socket shares its address with nobody. Nobody else chooses the number meanwhile.
    """
    with ExitStack() as stack:
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                datagrams.bind((LOOPBACK, port))
            holder = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            holder.bind((LOOPBACK, port))  # without SO_REUSEADDR, so that a port held by another is refused
        except OSError:
            return False
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.enter_context(stack.pop_all())
    return True
