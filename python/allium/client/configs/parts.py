"""Parts of large configs until all of a whole are there (`spec/configs` §4)."""

from __future__ import annotations

from allium.client.bencode import Value
from allium.client.configs.codec import Part

#: Of how many wholes parts are kept; the one heard of the longest ago goes first.
MAX_WHOLES = 8


class Parts:
    """What is there of each whole, by its hash."""

    def __init__(self) -> None:
        self._wholes: dict[tuple[bytes, int], dict[int, tuple[Part, str]]] = {}

    def add(self, part: Part, storage_hash: str) -> tuple[list[Part], list[str]] | None:
        """The whole's parts and their storage hashes once this one completes it, which then is forgotten here."""
        name = part.whole, part.count
        whole = self._wholes.pop(name, {})
        whole[part.index] = part, storage_hash
        if len(whole) == part.count:
            return [each for each, _ in whole.values()], [stored for _, stored in whole.values()]
        self._wholes[name] = whole
        while len(self._wholes) > MAX_WHOLES:
            del self._wholes[next(iter(self._wholes))]
        return None

    def dumped(self) -> list[Value]:
        """For `loaded`."""
        return [
            [part.whole, part.index, part.count, part.chunk, stored.encode()]
            for whole in self._wholes.values()
            for part, stored in whole.values()
        ]

    @classmethod
    def loaded(cls, dumped: list[Value]) -> Parts:
        """What `dumped` gave; what is not of it is left out."""
        parts = cls()
        for item in dumped:
            match item:
                case [bytes(whole), int(index), int(count), bytes(chunk), bytes(stored)]:
                    parts.add(Part(whole, index, count, chunk), stored.decode("utf-8", "replace"))
        return parts
