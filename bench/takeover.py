"""How fast the messages of the reference's storage server are taken over, and given back."""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import tempfile
import time
from pathlib import Path

from allium.takeover import oxen_storage


def make(path: Path, rows: int, size: int) -> None:
    """A database of `rows` messages of `size` bytes, ten for each account."""
    now = time.time_ns() // 1_000_000
    with sqlite3.connect(path) as database:
        database.executescript(oxen_storage._SCHEMA + oxen_storage._INDEXES)
        owners = [(number, 5, random.randbytes(32)) for number in range(1, rows // 10 + 2)]
        database.executemany("INSERT INTO owners VALUES (?, ?, ?)", owners)

        def messages() -> object:
            for _ in range(rows):
                number, kind, pubkey = random.choice(owners)
                data = random.randbytes(size)
                name = oxen_storage.message_hash(bytes([kind]) + pubkey, 0, data)
                yield name, number, now, now + random.randrange(10**9, 12 * 10**8), data

        insert = "INSERT INTO messages (hash, owner, timestamp, expiry, data) VALUES (?, ?, ?, ?, ?)"
        database.executemany(insert, messages())


def main() -> None:
    """Prints a line for each direction."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=512, help="bytes of a message")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        directory = Path(name)
        make(directory / "storage.db", options.rows, options.size)
        for what, work in (
            ("import", lambda: oxen_storage.take_over(directory / "storage.db", directory / "s", 1 << 40, print_none)),
            ("export", lambda: oxen_storage.give_back(directory / "s", directory / "back.db", print_none)),
        ):
            began, cpu = time.perf_counter(), time.process_time()
            moved = work()
            took, cpu = time.perf_counter() - began, time.process_time() - cpu
            print(
                f"{what}: {moved.messages:,} rows in {took:.1f} s, {moved.messages / took:,.0f} rows/s, {cpu:.1f} s CPU"
            )


def print_none(_done: int, _total: int) -> None:
    """Progress is not what is measured."""


if __name__ == "__main__":
    main()
