"""A relay without a store, which also answers a method of its own; and what a client and the relay say to each other.

`python relay.py [HTTPS PORT] [OMQ PORT]`
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from allium import Engine, node_keys
from allium._native import onion_build

if TYPE_CHECKING:
    from allium._native import NodeEntry

SEED = bytes([7]) * 32
KEYS = node_keys(SEED)


async def greet(params: dict[str, Any]) -> tuple[int, Any]:
    """What the relay answers to `greet`: it may take its time."""
    await asyncio.sleep(0)
    return 200, {"greeting": f"hello, {params.get('name', 'stranger')}"}


async def run(directory: str, https_port: int, omq_port: int) -> None:
    """Starts a relay and asks it, as a client does."""
    own: NodeEntry = {
        "pubkey_legacy": KEYS.ed25519.hex(),
        "pubkey_ed25519": KEYS.ed25519.hex(),
        "pubkey_x25519": KEYS.x25519.hex(),
        "ip": "127.0.0.1",
        "https_port": https_port,
        "omq_port": omq_port,
        "swarm_id": 2**64 - 1,
    }
    engine = Engine(
        directory,
        ed25519_seed=SEED,
        legacy_pubkey=KEYS.ed25519,
        bind_ip="127.0.0.1",
        https_port=https_port,
        omq_port=omq_port,
        keeps_messages=False,
        answers={"greet": greet},
    )
    async with engine:
        engine.set_network({"height": 1, "block_hash": "", "hardfork": (19, 4), "nodes": [own]})

        async def ask(method: str, params: dict[str, Any]) -> dict[str, Any]:
            # What a client would post to https://…/onion_req/v2; here without a socket in between.
            body = json.dumps({"method": method, "params": params}).encode()
            payload, key = onion_build([], (KEYS.ed25519, KEYS.x25519), body)
            answer = await engine.onion(payload)
            plaintext = key.open(answer.body)
            assert plaintext is not None, answer
            result: dict[str, Any] = json.loads(plaintext)
            return result

        greeting = await ask("greet", {"name": "Ada"})
        print(f"its own method: {greeting}")
        message = {"pubkey": "05" + "11" * 32, "timestamp": 1, "ttl": 86_400_000, "data": "aGVsbG8="}
        elsewhere = await ask("store", message)
        print(f"a message to keep: {elsewhere}")
        assert engine.store is None
        assert (greeting["status"], elsewhere["status"]) == (200, 421)


if __name__ == "__main__":
    ports = [int(port) for port in sys.argv[1:3]] or [22021, 22020]
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(run(temporary, *ports))
