"""A node whose list of nodes comes from the embedder: here from a file of one line per node, read whenever it changed.

`python membership.py [HTTPS PORT] [OMQ PORT]`
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from allium import Engine, node_keys

if TYPE_CHECKING:
    from allium._native import Network, NodeEntry

SEED, LEGACY = bytes([7]) * 32, bytes([1]) * 32


def _node(line: str) -> NodeEntry:
    """From `legacy ed25519 x25519 ip https-port omq-port swarm`, keys in hex."""
    legacy, ed25519, x25519, ip, https_port, omq_port, swarm = line.split()
    return {
        "pubkey_legacy": legacy,
        "pubkey_ed25519": ed25519,
        "pubkey_x25519": x25519,
        "ip": ip,
        "https_port": int(https_port),
        "omq_port": int(omq_port),
        "swarm_id": int(swarm),
    }


def _read(file: Path) -> tuple[int, str]:
    return file.stat().st_mtime_ns, file.read_text()


async def membership(file: Path) -> AsyncIterator[Network]:
    """The network now, and each that replaces it."""
    read, height = 0, 0
    while True:
        changed, text = await asyncio.to_thread(_read, file)
        if changed != read:
            read, height = changed, height + 1
            nodes = [_node(line) for line in text.splitlines()]
            yield {"height": height, "block_hash": "", "hardfork": (19, 4), "nodes": nodes}
        await asyncio.sleep(0.1)


async def run(directory: Path, https_port: int, omq_port: int) -> None:
    """Starts a node, gives it its network, and stores a message there."""
    keys = node_keys(SEED)
    file = directory / "nodes"
    line = f"{LEGACY.hex()} {keys.ed25519.hex()} {keys.x25519.hex()} 127.0.0.1 {https_port} {omq_port} 7\n"
    await asyncio.to_thread(file.write_text, line)
    engine = Engine(
        directory / "data",
        ed25519_seed=SEED,
        legacy_pubkey=LEGACY,
        bind_ip="127.0.0.1",
        https_port=https_port,
        omq_port=omq_port,
    )
    async with engine, asyncio.TaskGroup() as tasks:
        following = tasks.create_task(engine.follow(membership(file)))
        await engine.ready()
        now = int(time.time() * 1000)
        params = {"pubkey": "05" + "09" * 32, "timestamp": now, "ttl": 86_400_000, "data": "aGVsbG8="}
        answer = await engine.request("store", params)
        print(f"stored: {answer.json()}")
        assert answer.status == 200
        store = engine.store
        assert store is not None
        print([message.data async for message in store])
        assert engine.stats()["messages"] == 1
        following.cancel()


if __name__ == "__main__":
    ports = [int(port) for port in sys.argv[1:3]] or [22021, 22020]
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(run(Path(temporary), *ports))
