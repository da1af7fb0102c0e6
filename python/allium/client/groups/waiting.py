"""Messages that no key of ours opens: kept, within bounds, until one does (`spec/configs` §14)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from allium.client.bencode import Value

MOST = 500
MOST_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """One of them, as the swarm gave it."""

    namespace: int
    hash: str
    data: bytes = field(repr=False)
    #: Unix milliseconds.
    timestamp: int


class Waiting:
    """All of them; the oldest give way to new ones."""

    def __init__(self) -> None:
        """None yet."""
        self._messages: dict[str, WaitingMessage] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[WaitingMessage]:
        return iter(self._messages.values())

    def add(self, message: WaitingMessage) -> bool:
        """Keeps one; whether it was not there before."""
        if message.hash in self._messages or len(message.data) > MOST_BYTES:
            return False
        self._messages[message.hash] = message
        self._bytes += len(message.data)
        while len(self._messages) > MOST or self._bytes > MOST_BYTES:
            self.remove(next(iter(self._messages)))
        return True

    def remove(self, storage_hash: str) -> None:
        """One was read, or is not wanted any more."""
        message = self._messages.pop(storage_hash, None)
        self._bytes -= len(message.data) if message else 0

    def dumped(self) -> Value:
        """For `load`."""
        return [[each.namespace, each.hash.encode(), each.data, each.timestamp] for each in self]

    def load(self, dumped: Value) -> None:
        """Becomes what was dumped; what is none of it is left out."""
        self._messages, self._bytes = {}, 0
        for item in dumped if isinstance(dumped, list) else []:
            match item:
                case [int(namespace), bytes(name), bytes(data), int(timestamp)]:
                    self.add(WaitingMessage(namespace, name.decode("utf-8", "replace"), data, timestamp))
