"""An immutable mapping in the order of its keys, with a Merkle root that is computed once."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from functools import cached_property
from typing import Any, Generic, TypeVar

from bencode2 import bencode

from allium.appchain import merkle
from allium.appchain.types import Hash

K = TypeVar("K")
V = TypeVar("V")
#: How many entries share a leaf: hashing one block of them costs less than hashing a tree over them.
BUCKET = 16


class Table(Mapping[K, V], Generic[K, V]):
    """Entries whose values have `packed`, their encoding as lists, integers and bytes, which includes the key."""

    def __init__(self, entries: Mapping[K, V] | None = None) -> None:
        self._entries: dict[K, V] = dict(sorted(entries.items())) if entries else {}

    def __getitem__(self, key: K) -> V:
        return self._entries[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    # A `Mapping` would look every key up.

    def items(self) -> ItemsView[K, V]:
        """The entries."""
        return self._entries.items()

    def values(self) -> ValuesView[V]:
        """The entries' values."""
        return self._entries.values()

    def changed(self, changes: Mapping[K, V | None]) -> Table[K, V]:
        """The table with other values; `None` takes an entry out. Itself when nothing changes."""
        if not changes:
            return self
        entries: dict[K, V] = self._entries.copy()
        for key, value in changes.items():
            if value is None:
                entries.pop(key, None)
            else:
                entries[key] = value
        return Table(entries)

    @cached_property
    def leaves(self) -> list[bytes]:
        """The entries, `BUCKET` to a leaf."""
        packed = [_packed(value) for value in self._entries.values()]
        return [bencode(packed[start : start + BUCKET]) for start in range(0, len(packed), BUCKET)]

    @cached_property
    def root(self) -> Hash:
        """Of the tree over `leaves`."""
        return merkle.root(self.leaves)

    def leaf_of(self, key: K) -> int:
        """The index of the leaf that holds `key`; raises `KeyError`."""
        if key not in self._entries:
            raise KeyError(key)
        return list(self._entries).index(key) // BUCKET


def _packed(value: Any) -> list[Any]:
    packed: list[Any] = value.packed
    return packed
