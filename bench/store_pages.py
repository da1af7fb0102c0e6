"""Where a store's bytes are: `python bench/store_pages.py DATA-DIRECTORY`, of a node that does not run.

For each table its pages by kind, how full its leaves are, and what an entry of each kind takes in one (with its node's
head and its place in the page's index). `allium-bench fill DIRECTORY COUNT BYTES` makes a store to look at.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import lmdb

PAGE_HEAD = 16
NODE = 8 + 2  # head, and place in the index
KINDS = {33: "account", 44: "message", 66: "hash"}  # of `data`, by the length of its keys (docs/on-disk-format.md)


def show(directory: Path) -> None:
    """Prints the tables of the store in `directory`."""
    with lmdb.open(str(directory), readonly=True, lock=False, max_dbs=32) as env, env.begin() as txn:
        page = env.stat()["psize"]
        pages = env.info()["last_pgno"] + 1
        messages = used = 0
        for name in [bytes(key) for key, _ in txn.cursor()]:
            table = env.open_db(name, txn=txn, create=False)
            stat = txn.stat(table)
            used += stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
            count: Counter[str] = Counter()
            taken: Counter[str] = Counter()
            for key, value in txn.cursor(table):
                kind = KINDS.get(len(key), "?") if name == b"data" else "entry"
                # A value that is too large for a leaf has pages of its own, and their number here.
                length = len(key) + (len(value) if NODE + len(key) + len(value) <= page // 2 - 8 else 8)
                count[kind] += 1
                taken[kind] += NODE + length + length % 2
            if not count:
                continue
            messages += count["message"]
            full = sum(taken.values()) / ((page - PAGE_HEAD) * stat["leaf_pages"])
            each = ", ".join(
                f"{count[kind]} of {taken[kind] / count[kind]:.0f} bytes ({kind})" for kind in sorted(count)
            )
            leaves, branches = stat["leaf_pages"], stat["branch_pages"]
            print(
                f"{name.decode():<18} {leaves:>8} leaves {full:>4.0%} full, {branches:>5} branches,"
                f" {stat['overflow_pages']:>6} for large values: {each}"
            )
        print(f"free               {pages - used:>8} pages of {pages}, {page} bytes each")
        if messages:
            print(f"{pages * page / messages:.0f} bytes a message")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    show(parser.parse_args().directory)
