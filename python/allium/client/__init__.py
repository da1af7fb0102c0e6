"""A Session client: accounts, messages, onion paths."""

from allium.client.account import Account
from allium.client.client import Client, Confirmation, Message, Poll, SendResult
from allium.client.errors import ClockError, NetworkError, RefusedError
from allium.client.path import Path, Paths
from allium.client.pool import Snode, SnodePool
from allium.client.state import State

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
    "Snode",
    "SnodePool",
    "State",
]
