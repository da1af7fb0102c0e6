"""A store without a network: messages put, read back page by page, gone through as a whole.

`python store.py [DIRECTORY]`
"""

from __future__ import annotations

import asyncio
import sys
import tempfile

from allium import Store


async def run(directory: str) -> None:
    """Puts five messages and reads them in three ways."""
    account = "05" + "07" * 32
    async with Store(directory, max_bytes=64 << 20) as store:
        # At once: they share a write. On disk when this returns.
        stored = await asyncio.gather(*(store.put(account, f"message {number}".encode()) for number in range(5)))

        # As a client pages through its messages: two at a time, after the last one that it has.
        seen: list[str] = []
        more = True
        while more:
            page, more = await store.retrieve(account, after=seen[-1] if seen else None, max_count=2)
            seen += [message.hash for message in page]
        assert sorted(seen) == sorted(one.hash for one in stored)

        removed = await store.remove(account, seen[:1])
        found = await store.get(account, seen[1])
        assert found is not None
        print(f"removed {removed[0]}, left for example {found.data!r}")

        # Everything, as a backup would read it.
        everything = [message async for message in store]
        messages, charged = await store.count()
        assert len(everything) == messages == 4
        print(f"{messages} messages, {charged} bytes")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(run(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            asyncio.run(run(temporary))
