"""What is known of nodes beside the state: where they are, which version they run, when they proved it last.

The proofs that the node on this machine has accepted are signed by who they are about; the list of nodes that the
operator gave fills in where somebody is, of whom there is none.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from allium import geography
from allium.appchain.types import PublicKey
from allium.client.direct import Node
from allium.client.listing import usable
from allium.liveness import HISTORY
from allium.liveness.history import look

#: Bytes of a list of nodes; larger ones are none.
_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Contact:
    """Of one node."""

    #: Two letters (ISO 3166-1); empty where nobody knows.
    country: str
    #: Such as "0.1.0"; empty without a proof.
    version: str = ""
    #: Unix time; 0 without a proof.
    proven: int = 0


def read(node_dir: Path | None, network_file: Path | None) -> Mapping[PublicKey, Contact]:
    """All that can be read; what cannot is left out."""
    listed = {} if network_file is None else _listed(network_file)
    return {**listed, **({} if node_dir is None else _proven(node_dir / HISTORY))}


def _listed(file: Path) -> dict[PublicKey, Contact]:
    try:
        if file.stat().st_size > _MOST_BYTES:
            return {}
        nodes = usable(json.loads(file.read_bytes())["nodes"], Node.parse)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return {PublicKey(node.ed25519): Contact(geography.country_of(node.ip)) for node in nodes}


def _proven(file: Path) -> dict[PublicKey, Contact]:
    try:
        kept = look(file)
    except (sqlite3.Error, OSError):
        return {}
    found = {}
    for pubkey, record in () if kept is None else kept.nodes.items():
        if record.proofs:
            last = record.proofs[-1]
            said = last.proof.uptime
            version = ".".join(map(str, said.node))
            found[pubkey] = Contact(geography.country_of(said.ip), version, int(last.at))
    return found
