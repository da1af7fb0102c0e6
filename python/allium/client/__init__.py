"""A Session client: accounts, messages, onion paths."""

from __future__ import annotations

# As in `typing`: see `allium`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from allium.client.account import Account
    from allium.client.client import Client, Message, Poll, SendResult
    from allium.client.errors import ClockError, NetworkError, RefusedError
    from allium.client.path import Path, Paths
    from allium.client.pool import Snode, SnodePool
    from allium.client.session import Session
    from allium.client.state import State
    from allium.client.swarm import Confirmation

#: The module of each name. It is imported when the name is asked for: an account alone needs no HTTP.
_HOMES = {
    "Account": "account",
    "Client": "client",
    "ClockError": "errors",
    "Confirmation": "swarm",
    "Message": "client",
    "NetworkError": "errors",
    "Path": "path",
    "Paths": "path",
    "Poll": "client",
    "RefusedError": "errors",
    "SendResult": "client",
    "Session": "session",
    "Snode": "pool",
    "SnodePool": "pool",
    "State": "state",
}

__all__ = [
    "Account",
    "Client",
    "ClockError",
    "Confirmation",
    "Message",
    "NetworkError",
    "Path",
    "Paths",
    "Poll",
    "RefusedError",
    "SendResult",
    "Session",
    "Snode",
    "SnodePool",
    "State",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
