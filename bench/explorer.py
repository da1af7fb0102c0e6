"""The portal's explorer with many nodes: the processor's time that pages take, made and given again.

    bench/explorer.py [--nodes 1500] [--parts 3]

Times are of the processor, in one thread, so that what else the machine does makes no difference.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from allium.portal.explorer.service import _make
from allium.portal.explorer.snapshot import Snapshot
from allium.server.messages import Request
from tests.support.explorer import ExplorerUnderTest, explored

_PATHS = ("", "nodes", "nodes?sort=uptime_seconds&order=desc", "nodes?q=germany", "swarms", "countries", "events")
_DOWNLOADS = ("nodes.csv", "nodes.json")
_AGAIN = 2000


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def again(explorer: ExplorerUnderTest, headers: dict[str, str]) -> float:
    """Seconds of the processor for an answer that is there already."""
    request = Request("GET", "/explorer/nodes", "", headers, 0, _nothing())
    await explorer.explorer.answer(request)
    began = time.thread_time()
    for _ in range(_AGAIN):
        await explorer.explorer.answer(request)
    return (time.thread_time() - began) / _AGAIN


def fresh(explorer: ExplorerUnderTest) -> Snapshot:
    """A snapshot of the next height, of which nothing is made yet."""
    explorer.world.step()
    explorer.show()
    now: Any = explorer.now
    before = explorer.explorer._snapshot
    return Snapshot(now.epoch, now.tip, explorer.explorer._contacts, explorer.source.figures, [], before)


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1500)
    parser.add_argument("--parts", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, explored(Path(directory), given.nodes, given.parts) as explorer:
        asyncio.run(again(explorer, {}))
        snapshot = fresh(explorer)
        began = time.thread_time()
        _ = snapshot.nodes, snapshot.swarms, snapshot.now, snapshot.countries
        print(f"{'a snapshot of another height':40} {(time.thread_time() - began) * 1000:8.1f} ms")
        for place in (*_PATHS, *_DOWNLOADS):
            path, _, query = place.partition("?")
            asked = dict(part.split("=") for part in query.split("&") if part)
            began = time.thread_time()
            made = _make(snapshot, [path], asked)
            took = (time.thread_time() - began) * 1000
            print(
                f"{'/explorer/' + place:40} {took:8.1f} ms {len(made.plain):9,} bytes, {len(made.small):8,} compressed"
            )
        known = {"if-none-match": f'"{_make(snapshot, ["nodes"], {}).tag}"'}
        for what, headers in (("/explorer/nodes again", {}), ("the same, not changed", known)):
            print(f"{what:40} {asyncio.run(again(explorer, headers)) * 1000:8.3f} ms")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
