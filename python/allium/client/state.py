"""What a client remembers between runs: nodes, guards, swarms, and what of its inbox it has seen."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allium.base import files
from allium.client.pool import Snode
from allium.errors import Complaint


class StateError(Complaint):
    """The state was not written; what it was before stays."""


@dataclass
class State:
    """Kept in a file where `path` is set, else in memory only. Holds no secret key."""

    path: Path | None = None
    nodes: list[Snode] = field(default_factory=list)
    #: When they were a fresh list, Unix seconds; 0 if that is not known.
    listed: int = 0
    #: Ed25519 keys.
    guards: list[bytes] = field(default_factory=list)
    #: Account ID -> Ed25519 keys of its swarm's nodes.
    swarms: dict[str, list[bytes]] = field(default_factory=dict)
    #: (node's Ed25519 key, Account ID, namespace) -> hash of the last message retrieved there.
    last_hashes: dict[tuple[bytes, str, int], str] = field(default_factory=dict)
    #: Message hash -> when it expires, Unix milliseconds.
    seen: dict[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> State:
        """What `path` holds; an empty state when it does not exist or is of no use."""
        try:
            return cls._parse(path, json.loads(path.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            return cls(path)

    @classmethod
    def _parse(cls, path: Path, document: Any) -> State:
        nodes = (Snode.parse(*entry) for entry in document["nodes"])
        return cls(
            path,
            [node for node in nodes if node is not None],
            min(int(document.get("listed", 0)), 1 << 53),
            _keys(document["guards"]),
            {str(account): _keys(keys) for account, keys in document["swarms"].items()},
            {(bytes.fromhex(key), str(account), int(ns)): str(h) for key, account, ns, h in document["last_hashes"]},
            {str(message): int(expiry) for message, expiry in document["seen"].items()},
        )

    def save(self, now: int) -> None:
        """Writes the file, if there is one, without messages that have expired by `now` (Unix milliseconds)."""
        self.seen = {message: expiry for message, expiry in self.seen.items() if expiry > now}
        if self.path is None:
            return
        document = {
            "nodes": [
                [node.ip, node.port, node.ed25519.hex(), node.x25519.hex(), node.quic_port] for node in self.nodes
            ],
            "listed": self.listed,
            "guards": [key.hex() for key in self.guards],
            "swarms": {account: [key.hex() for key in keys] for account, keys in self.swarms.items()},
            "last_hashes": [[key.hex(), account, ns, h] for (key, account, ns), h in self.last_hashes.items()],
            "seen": self.seen,
        }
        try:
            files.make_directory(self.path.parent)
            files.replace(self.path, json.dumps(document).encode(), files.PRIVATE)
        except OSError as error:
            raise StateError(
                f"what this has seen cannot be remembered in {self.path} ({error.strerror}), so that it will be shown "
                "again; name another file with --state"
            ) from None


def _keys(keys: Iterable[str]) -> list[bytes]:
    return [bytes.fromhex(key) for key in keys]
