"""What a backup consists of, as its file says it (`archive`)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Block:
    """Where rows of a table are, a hash of them, and how many they are."""

    offset: int
    size: int
    hash: str
    rows: int


@dataclass
class Manifest:
    """What a backup consists of."""

    #: Of the tables, as `migrations` counts.
    version: int
    #: When it was made, in Unix milliseconds.
    time: int
    columns: dict[str, list[str]] = field(default_factory=dict)
    blocks: dict[str, list[Block]] = field(default_factory=dict)

    @property
    def live(self) -> int:
        """Bytes of the file that are of use."""
        return sum(block.size for blocks in self.blocks.values() for block in blocks)

    def encode(self) -> bytes:
        """As JSON."""
        rows = {table: [[b.offset, b.size, b.hash, b.rows] for b in blocks] for table, blocks in self.blocks.items()}
        return json.dumps(
            {"version": self.version, "time": self.time, "columns": self.columns, "blocks": rows}
        ).encode()

    @classmethod
    def decode(cls, content: bytes) -> Manifest:
        """From JSON."""
        document = json.loads(content)
        blocks = {table: [Block(*each) for each in rows] for table, rows in document["blocks"].items()}
        return cls(document["version"], document["time"], document["columns"], blocks)
