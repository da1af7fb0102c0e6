"""An engine in the process of the test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from allium import _native
from allium.settings import keys
from allium.settings.keys import generate as new_keys

#: "In no swarm".
UNASSIGNED = 2**64 - 1


def entry(node_keys: keys.NodeKeys, https_port: int, omq_port: int, swarm_id: int = 0) -> dict[str, Any]:
    """A node of this machine, as a network lists it."""
    return {
        "pubkey_legacy": node_keys.legacy_public.hex(),
        "pubkey_ed25519": node_keys.ed25519_public.hex(),
        "pubkey_x25519": node_keys.x25519_public.hex(),
        "ip": "127.0.0.1",
        "https_port": https_port,
        "omq_port": omq_port,
        "swarm_id": swarm_id,
    }


class LoneNode:
    """An engine in this process, and its entry in a network."""

    def __init__(
        self, directory: Path, https_port: int, omq_port: int, keys: keys.NodeKeys | None = None, **options: Any
    ) -> None:
        self.keys = keys or new_keys()
        self.entry = entry(self.keys, https_port, omq_port)
        self.engine = _native.Node(
            data_dir=str(directory),
            ed25519_seed=self.keys.ed25519_seed,
            legacy_pubkey=self.keys.legacy_public,
            https_port=https_port,
            omq_port=omq_port,
            **{"bind_ip": "127.0.0.1", **options},
        )

    def sees(self, *nodes: dict[str, Any]) -> None:
        """Puts a network of these nodes in force."""
        network: Any = {"height": 1, "block_hash": "", "hardfork": (19, 4), "nodes": list(nodes)}
        self.engine.set_network(network)
