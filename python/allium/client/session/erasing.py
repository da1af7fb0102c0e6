"""Deletes an account's data, on the device or in the network too (`spec/messages` §15).

Each member of the swarm signs what it has deleted; who does not is told to the user, who then may still delete the
device's data alone. What was begun is remembered, so that a device that ends in between pushes nothing back.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allium.client import crypto
from allium.client.credentials import Credentials
from allium.client.database import keys
from allium.client.errors import RefusedError
from allium.client.network import Network
from allium.client.session.core import Work
from allium.client.swarm import DeleteAll, Outcome, sequence

#: The fact that tells that an account is being deleted.
ERASING = "erasing"
#: SQLite's own, beside the file.
_BESIDE = ("-wal", "-shm", "-journal")


@dataclass(slots=True)
class _Clock:
    """When the request was signed: the members sign that too."""

    timestamp: int = 0


@dataclass(frozen=True, slots=True)
class _DeleteAll(DeleteAll):
    """It says when it was asked."""

    clock: _Clock = field(default_factory=_Clock)

    def call(self, pubkey: str, credentials: Credentials | None, now: int) -> dict[str, Any]:
        """See `DeleteAll`."""
        self.clock.timestamp = now
        return DeleteAll.call(self, pubkey, credentials, now)


async def everywhere(network: Network, credentials: Credentials) -> list[str]:
    """Has the swarm delete all; the Ed25519 keys (hex) of the members that have not, by their word or without one.

    `NetworkError` or `RefusedError` if nobody did anything.
    """
    request = _DeleteAll("all")
    [outcome] = await sequence(network, credentials, [request])
    if not isinstance(outcome, Outcome) or not outcome.ok:
        raise RefusedError(outcome.code if isinstance(outcome, Outcome) else 0, "nothing was deleted")
    told = outcome.body.get("swarm") if isinstance(outcome.body, dict) else None
    members = told if isinstance(told, dict) else {}
    asked = request.clock.timestamp
    done = {key for key, entry in members.items() if _is_signed(credentials.pubkey, asked, key, entry)}
    expected = {node.ed25519.hex() for node in await network.swarm(credentials.pubkey)}
    return sorted(expected - done)


def _is_signed(pubkey: str, timestamp: int, key: str, entry: Any) -> bool:
    """Whether a member has signed the hashes that it says it deleted."""
    if not isinstance(entry, Mapping) or entry.get("failed"):
        return False
    deleted = entry.get("deleted")
    lists: list[Any] = list(deleted.values()) if isinstance(deleted, Mapping) else [deleted]
    if not all(isinstance(each, list) for each in lists):
        return False
    hashes = sorted(str(each) for several in lists for each in several)
    try:
        node, signature = bytes.fromhex(key), base64.b64decode(entry.get("signature") or "", validate=True)
    except (ValueError, TypeError, binascii.Error):
        return False
    return crypto.verify(node, signature, f"{pubkey}{timestamp}{''.join(hashes)}".encode())


def begin(work: Work) -> None:
    """From now on nothing is pushed, whatever ends this."""
    work.database.facts.set(ERASING, b"1")


def give_up(work: Work) -> None:
    """It was not possible, and the account goes on."""
    work.database.facts.remove(ERASING)


def is_begun(work: Work) -> bool:
    """Whether the account's data may be gone from the network."""
    return work.database.facts.get(ERASING) is not None


def remove_files(path: Path, phrase_file: Path) -> None:
    """Of a database that is closed; `OSError`."""
    for each in (path, *(path.with_name(path.name + end) for end in _BESIDE), keys.key_file(path), phrase_file):
        each.unlink(missing_ok=True)
