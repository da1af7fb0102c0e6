"""CometBFT's directory: its settings and how the chain begins, all written anew at every start.

A node has one Ed25519 key, and it is also the one that CometBFT votes and calls itself with: the state names nodes by
it, so that everybody can tell who votes, and how to know them, from the state alone. It is never written here: what
CometBFT votes is signed by the node (`signer`), and what it calls itself by comes through a pipe (`process`).
"""

from __future__ import annotations

import base64
import ipaddress
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from allium.appchain.parameters import Parameters
from allium.base import files
from allium.consensus.chainfile import Beginning
from allium.consensus.cometbft import safety, signer, signstate
from allium.consensus.cometbft.abci import SOCKET
from allium.consensus.cometbft.committee import address
from allium.consensus.cometbft.peers import name
from allium.errors import ConsensusError

#: Room for as many events and certificates as an input may have.
_BLOCK_BYTES = 8 << 20
#: The largest certificate there can be.
MAX_CERTIFICATE_BYTES = 16 << 10
_WAITING_CERTIFICATES = 4096
#: For how many days' heights blocks are kept, and double votes are told of.
RETAIN_DAYS = 14
#: From where CometBFT reads its key, once.
NODE_KEY_FILE = "/dev/stdin"
#: Where earlier versions wrote the node's key.
_KEY_FILES = ("priv_validator_key.json", "node_key.json")
#: To how many others a node holds a connection at least.
_NEIGHBOURS = 24
#: How many it lets in that the network file does not name: nodes that came later, and strangers until they have said
#: who they are, which are fewer (`peers`).
_OTHERS = 256


@dataclass(frozen=True)
class Place:
    """An address and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Peer:
    """Another node's CometBFT."""

    key: bytes
    place: Place


@dataclass(frozen=True)
class Trust:
    """From where a newcomer verifies: a height, and the hash of its header."""

    height: int
    header: str


@dataclass(frozen=True)
class Settings:
    """What one node's CometBFT is told."""

    directory: Path
    #: libsodium's Ed25519 secret key (64 bytes).
    secret: bytes = field(repr=False)
    listen: Place
    rpc: Place
    peers: Sequence[Peer] = ()
    #: Where others reach it; `None`: where it listens.
    external: Place | None = None
    #: RPC URLs of others, and what to trust: begins at one of their snapshots.
    sync: Sequence[str] = ()
    trust: Trust | None = None
    #: All are on one machine: nodes know those that they are told of, and no others.
    private: bool = False


def chain_id(parameters: Parameters, beginning: Beginning) -> str:
    """What CometBFT calls the chain; a restart makes it another one."""
    name = f"allium-{parameters.chain.hex()[:16]}"
    return f"{name}-{beginning.height}-{beginning.attempt}" if beginning.height else name


def check(settings: Settings, parameters: Parameters, beginning: Beginning, height: int, store: Path) -> None:
    """Raises `ConsensusError` for a directory that lacks what CometBFT needs to go on with this chain (`safety`)."""
    try:
        written = (settings.directory / "config" / "genesis.json").read_bytes()
    except OSError:
        written = None
    # What is of another chain goes.
    if written in (None, _bytes(_genesis(parameters, beginning))):
        safety.check(settings.directory, height, height > beginning.height, store)


def prepare(settings: Settings, parameters: Parameters, beginning: Beginning) -> None:
    """Writes the directory. Data of a chain that began elsewhere are removed; raises `ConsensusError`."""
    home = settings.directory
    genesis = _bytes(_genesis(parameters, beginning))
    try:
        for name in ("config", "data"):
            files.make_directory(home / name)
        written = home / "config" / "genesis.json"
        if written.exists() and written.read_bytes() != genesis:
            forget(home)
        if not (home / signstate.FILE).exists():
            signstate.write(home, signstate.SignedVote())
        files.replace(written, genesis)
        for old in _KEY_FILES:
            (home / "config" / old).unlink(missing_ok=True)
        files.replace(home / "config" / "config.toml", _toml(_config(settings, parameters)).encode())
    except OSError as error:
        raise ConsensusError(f"{home} cannot be written: {error.strerror}") from None


def forget(home: Path, but_signatures: bool = False) -> None:
    """Removes what CometBFT keeps of a chain; `but_signatures`: not what it has signed, so that it signs no other."""
    for kept in (home / "data").glob("*"):
        if kept.is_dir():
            shutil.rmtree(kept, ignore_errors=True)
        elif not (but_signatures and kept == home / signstate.FILE):
            kept.unlink()


def node_key(secret: bytes) -> bytes:
    """The key that CometBFT proves to others, as it reads it."""
    return _bytes({"priv_key": {"type": "tendermint/PrivKeyEd25519", "value": _base64(secret)}})


def neighbours(own: bytes, peers: Sequence[Peer]) -> list[Peer]:
    """To whom `own` connects: everybody of a small network; of a large one, so that all are a few steps apart."""
    others = sorted((peer for peer in peers if peer.key != own), key=lambda peer: peer.key)
    if len(others) <= _NEIGHBOURS:
        return others
    first = sum(peer.key < own for peer in others)
    steps = [1 << power for power in range(len(others).bit_length())]
    return [others[(first + step - 1) % len(others)] for step in steps]


def read_peers(network_file: Path) -> list[Peer]:
    """The nodes of a network file that say where their CometBFT is: those with a `cometbft_port`."""
    try:
        nodes = json.loads(network_file.read_bytes())["nodes"]
        return [peer for node in nodes if (peer := _peer(node)) is not None]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConsensusError(f"{network_file} does not say where others are: {error}") from None


def _peer(node: Any) -> Peer | None:
    """`None` for an entry that does not say where, or makes no sense."""
    try:
        place = Place(str(ipaddress.IPv4Address(str(node["ip"]))), int(node["cometbft_port"]))
        key = bytes.fromhex(node["pubkey_ed25519"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    return Peer(key, place) if len(key) == 32 and 0 < place.port < 1 << 16 else None


def _genesis(parameters: Parameters, beginning: Beginning) -> dict[str, Any]:
    first = beginning.height + 1
    age = RETAIN_DAYS * parameters.day
    return {
        "genesis_time": datetime.fromtimestamp(beginning.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "chain_id": chain_id(parameters, beginning),
        "initial_height": str(first),
        "consensus_params": {
            "block": {"max_bytes": str(_BLOCK_BYTES), "max_gas": "-1"},
            "evidence": {
                "max_age_num_blocks": str(age),
                "max_age_duration": str(age * parameters.block_seconds * 10**9),
                "max_bytes": str(1 << 20),
            },
            "validator": {"pub_key_types": ["ed25519"]},
            "version": {"app": "0"},
            "abci": {"vote_extensions_enable_height": str(first)},
        },
        "validators": [
            {"address": address(key).hex().upper(), "pub_key": _public(key), "power": "1", "name": ""}
            for key in beginning.keys
        ],
        "app_hash": "",
    }


def timeout(parameters: Parameters) -> float:
    """Seconds that a proposal may take; so long a member may look for what it is to vote for."""
    return min(10.0, max(1.0, parameters.block_seconds / 10))


def _config(settings: Settings, parameters: Parameters) -> dict[str, Any]:
    step = timeout(parameters)
    config: dict[str, Any] = {
        "proxy_app": f"unix://{SOCKET}",
        "priv_validator_laddr": f"unix://{signer.SOCKET}",
        # It makes itself a key that signs nothing, and must not take the signer's record for that key's.
        "priv_validator_key_file": "data/unused_key.json",
        "priv_validator_state_file": "data/unused_state.json",
        "node_key_file": NODE_KEY_FILE,
        "moniker": settings.secret[32:36].hex(),
        "log_level": "error",
        "log_format": "json",
        "filter_peers": True,
        "rpc": {"laddr": f"tcp://{settings.rpc}", "pprof_laddr": ""},
        "p2p": {
            "laddr": f"tcp://{settings.listen}",
            "external_address": "" if settings.external is None else str(settings.external),
            "persistent_peers": ",".join(
                f"{name(peer.key)}@{peer.place}" for peer in neighbours(settings.secret[32:], settings.peers)
            ),
            "unconditional_peer_ids": ",".join(name(peer.key) for peer in settings.peers),
            "max_num_inbound_peers": _OTHERS,
            "pex": not settings.private,
            "addr_book_strict": not settings.private,
            "allow_duplicate_ip": settings.private,
            "persistent_peers_max_dial_period": f"{max(2, parameters.block_seconds // 2)}s",
        },
        "mempool": {
            "size": _WAITING_CERTIFICATES,
            "max_txs_bytes": _WAITING_CERTIFICATES * MAX_CERTIFICATE_BYTES,
            "max_tx_bytes": MAX_CERTIFICATE_BYTES,
        },
        "statesync": {"enable": False},
        "consensus": {
            "timeout_propose": _seconds(2 * step),
            "timeout_propose_delta": _seconds(step / 2),
            "timeout_prevote": _seconds(step),
            "timeout_prevote_delta": _seconds(step / 2),
            "timeout_precommit": _seconds(step),
            "timeout_precommit_delta": _seconds(step / 2),
            "timeout_commit": _seconds(parameters.block_seconds),
        },
        "storage": {"discard_abci_responses": True},
        "tx_index": {"indexer": "null"},
    }
    if settings.trust is not None:
        config["statesync"] = {
            "enable": True,
            "rpc_servers": ",".join(settings.sync if len(settings.sync) > 1 else [*settings.sync, *settings.sync]),
            "trust_height": settings.trust.height,
            "trust_hash": settings.trust.header,
            "trust_period": f"{RETAIN_DAYS * 24}h",
            "discovery_time": "5s",
        }
    return config


def _seconds(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def _toml(config: dict[str, Any]) -> str:
    """JSON's texts, numbers and truths are TOML's too."""
    plain = [f"{name} = {json.dumps(value)}" for name, value in config.items() if not isinstance(value, dict)]
    tables = [f"\n[{name}]\n{_toml(value)}" for name, value in config.items() if isinstance(value, dict)]
    return "\n".join([*plain, *tables]) + "\n"


def _public(key: bytes) -> dict[str, str]:
    return {"type": "tendermint/PubKeyEd25519", "value": _base64(key)}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(document: Any) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()
