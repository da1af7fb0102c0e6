"""A config between its devices and its swarm: edited, pushed, confirmed, merged, dumped (`spec/configs` §5, §6).

No clock and no network are in here: what is to be stored comes out of `push`, what was retrieved goes into `merge`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from allium.client.bencode import Value
from allium.client.configs import codec, persistence, tree
from allium.client.configs.codec import Part
from allium.client.configs.merge import Merged, merged, surviving
from allium.client.configs.message import EMPTY, ConfigError, ConfigMessage, Lagged, Signer, Verifier, read, write
from allium.client.configs.parts import Parts
from allium.client.configs.tree import Data, Node

Path = tuple[bytes, ...]


@dataclass(frozen=True)
class Push:
    """What to store, all of it, and what can be deleted afterwards."""

    seqno: int
    #: What is stored in the config's namespace; more than one where the config is too large for one message.
    payloads: list[bytes]
    #: Storage hashes of what this replaces.
    obsolete: list[str]


@dataclass
class MergeResult:
    """What became of messages that were retrieved, by storage hash."""

    #: They were read. That one is here does not say that it changed anything.
    merged: list[str] = field(default_factory=list)
    #: No key opens them, or they are no config: keep them for later, a newer version may know.
    unread: list[str] = field(default_factory=list)
    #: Whether the data differs from what it was before.
    changed: bool = False


class Config:
    """One config. Subclasses know what its keys mean."""

    NAMESPACE: ClassVar[int]
    DOMAIN: ClassVar[bytes]

    def __init__(self, keys: Sequence[bytes], sign: Signer | None = None, verify: Verifier | None = None) -> None:
        """`keys` open what is read, the first one closes what is written, 32 bytes each.

        With `verify`, only signed messages are taken, and without `sign` then nothing is written.
        """
        self._keys = list(keys)
        self._sign = sign
        self._verify = verify
        self._message = EMPTY
        self._data: Data = {}
        self._edits: _Edits | None = None
        #: Whether `_message` is in the swarm, as far as is known.
        self._stored = True
        self._hashes: list[str] = []
        self._obsolete: set[str] = set()
        self._parts = Parts()
        self._needs_dump = False

    # What it holds

    @property
    def data(self) -> Data:
        """All of its data, a copy."""
        return tree.copy(self._data)

    @property
    def seqno(self) -> int:
        """The number of the message that it is now."""
        return self._edits.seqno if self._edits else self._message.seqno

    @property
    def read_only(self) -> bool:
        """Whether it has to be signed, and cannot be signed here."""
        return self._verify is not None and self._sign is None

    @property
    def active_hashes(self) -> list[str]:
        """Storage hashes of what has to stay in the swarm: renew these."""
        return list(self._hashes)

    @property
    def needs_push(self) -> bool:
        """Whether something is here that is not, as far as is known, in the swarm."""
        return not self.read_only and (self._edits is not None or not self._stored)

    @property
    def needs_dump(self) -> bool:
        """Whether something changed since `dump`."""
        return self._needs_dump

    # Into the swarm and out of it

    def push(self) -> Push:
        """What to store now; `ConfigError` if it is too large. Nothing is forgotten before it is confirmed."""
        if self._edits is not None:
            self._message, self._edits = self._written(), None
            self._stored = False
            self._needs_dump = True
        if not self._keys:
            raise ConfigError("no key to encrypt it with")
        payloads = codec.encode(self._message.encoded, self._keys[0], self.DOMAIN)
        return Push(self._message.seqno, self._wrapped(payloads), sorted(self._obsolete))

    def confirm_pushed(self, seqno: int, hashes: Iterable[str], *, deleted: Iterable[str] = ()) -> None:
        """A push was stored under these hashes, and these obsolete ones are gone. An overtaken one is obsolete."""
        self._obsolete.difference_update(deleted)
        if self._edits is None and seqno == self._message.seqno:
            self._stored = True
            self._hashes = sorted(hashes)
            self._obsolete.difference_update(self._hashes)
        else:
            self._retire(hashes)
        self._needs_dump = True

    def lost(self, storage_hash: str) -> None:
        """The swarm no longer has this of `active_hashes`: it is to be stored again, as it is (`spec/configs` §14)."""
        if storage_hash in self._hashes:
            self._hashes.remove(storage_hash)
            self._stored = False
            self._needs_dump = True

    def merge(self, messages: Iterable[tuple[str, bytes]]) -> MergeResult:
        """Takes what was retrieved: (storage hash, bytes) in any order, any number of times."""
        result = MergeResult()
        found: list[tuple[ConfigMessage, list[str]]] = []
        for storage_hash, payload in messages:
            try:
                found += self._read(storage_hash, payload)
            except ConfigError:
                result.unread.append(storage_hash)
            else:
                result.merged.append(storage_hash)
        if found:
            before = tree.copy(self._data)
            self._merge(found)
            result.changed = before != self._data
            self._needs_dump = True
        return result

    def _read(self, storage_hash: str, payload: bytes) -> list[tuple[ConfigMessage, list[str]]]:
        opened = codec.decode(self._unwrapped(payload), self._keys, self.DOMAIN)
        if not isinstance(opened, Part):
            return [(read(opened, self._verify), [storage_hash])]
        self._needs_dump = True
        complete = self._parts.add(opened, storage_hash)
        if complete is None:
            return []
        parts, hashes = complete
        return [(read(codec.joined(parts), self._verify), hashes)]

    def _merge(self, found: list[tuple[ConfigMessage, list[str]]]) -> None:
        own = self._written() if self._edits is not None else self._message
        hashes: dict[tuple[int, bytes], list[str]] = {}
        for message, stored in found:
            hashes.setdefault(message.place, []).extend(stored)
        # What is empty and was never edited takes no part.
        candidates = [own] if own.seqno else []
        survivors = surviving([*candidates, *(message for message, _ in found)])
        if self.read_only:
            survivors = survivors[:1]
        if len(survivors) == 1:
            self._adopt(own, survivors[0], hashes.pop(survivors[0].place, None))
        else:
            self._make(merged(survivors))
        self._retire(hash_ for each in hashes.values() for hash_ in each)

    def _adopt(self, own: ConfigMessage, message: ConfigMessage, hashes: list[str] | None) -> None:
        """One message knows all others; it may be our own."""
        if message.place == own.place and hashes is None:
            return
        if message.place != own.place:
            self._retire(self._hashes)
            self._hashes = []
        self._message, self._edits, self._stored = message, None, True
        self._data = tree.copy(message.data)
        self._hashes = sorted({*self._hashes, *(hashes or ())})
        self._obsolete.difference_update(self._hashes)

    def _make(self, joint: Merged) -> None:
        self._retire(self._hashes)
        self._hashes = []
        self._edits = _Edits(joint.seqno, joint.lagged, joint.data, dict(joint.unknown))
        self._data = tree.copy(joint.data)

    def _retire(self, hashes: Iterable[str]) -> None:
        self._obsolete.update(set(hashes).difference(self._hashes))

    # Edits, for subclasses

    def _begin(self) -> None:
        if self.read_only:
            raise ConfigError("only who can sign this may change it")
        if self._edits is None:
            seqno = self._message.seqno + 1
            self._edits = _Edits(
                seqno, self._message.lagged_by(seqno), tree.copy(self._data), dict(self._message.unknown)
            )
            self._obsolete.update(self._hashes)
            self._hashes = []
        self._needs_dump = True

    def _get(self, *path: bytes) -> Node | None:
        node: Node | None = self._data
        for key in path:
            node = node.get(key) if isinstance(node, dict) else None
        return node

    def _set(self, path: Path, value: Node | None) -> None:
        """Assigns, or with None or an empty set or dict removes. Nothing happens where nothing changes."""
        value = None if isinstance(value, dict | set) and not value else value
        if self._get(*path) == value:
            return
        self._begin()
        if value is None:
            _remove(self._data, path)
            return
        below = self._data
        for key in path[:-1]:
            node = below.get(key)
            if not isinstance(node, dict):
                node = below[key] = {}
            below = node
        below[path[-1]] = value

    def _written(self) -> ConfigMessage:
        edits = self._edits
        if edits is None:
            return self._message
        diff = tree.difference(edits.original, self._data)
        return write(edits.seqno, tree.copy(self._data), edits.lagged, diff, edits.unknown, self._sign)

    # What differs between configs

    def _wrapped(self, payloads: list[bytes]) -> list[bytes]:
        return payloads

    def _unwrapped(self, payload: bytes) -> bytes:
        return payload

    # Keeping it

    def dump(self) -> bytes:
        """All of it, for `load`. Nothing in it is encrypted."""
        self._needs_dump = False
        return persistence.encode(self._dumped())

    def _dumped(self) -> persistence.ConfigState:
        edits = self._edits
        return persistence.ConfigState(
            (self._written() if edits else self._message).encoded,
            tree.written(edits.original) if edits else None,
            self._stored,
            self._hashes,
            sorted(self._obsolete),
            self._parts.dumped(),
            self._archive(),
        )

    def load(self, dump: bytes) -> None:
        """Becomes what was dumped; `ConfigError` if that cannot be read."""
        dumped = persistence.decode(dump)
        message = read(dumped.encoded, None)
        self._data = tree.copy(message.data)
        self._message, self._edits = message, None
        if dumped.original is not None:
            original = tree.parse(dumped.original)
            self._edits = _Edits(message.seqno, message.lagged, original, dict(message.unknown))
        self._stored = dumped.stored
        self._hashes = list(dumped.hashes)
        self._obsolete = set(dumped.obsolete)
        self._parts = Parts.loaded(dumped.parts)
        self._unarchive(dumped.archive)
        self._needs_dump = False

    def _archive(self) -> Data:
        """What only the dump has."""
        return {}

    def _unarchive(self, archive: Data) -> None:
        """Takes back what `_archive` gave."""


@dataclass
class _Edits:
    """A message that is not written yet; what it will hold is the config's data."""

    seqno: int
    lagged: tuple[Lagged, ...]
    #: What the data was before: the diff is against this.
    original: Data
    unknown: dict[bytes, Value]


def _remove(data: Data, path: Path) -> None:
    if len(path) > 1:
        below = data.get(path[0])
        if not isinstance(below, dict):
            return
        _remove(below, path[1:])
        if below:
            return
    data.pop(path[0], None)
