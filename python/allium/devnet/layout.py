"""What a devnet keeps in its directory, and where.

nodes.json        the network as every node reads it (membership/static)
network.json      what a client or a test needs; there only while the network is up
node-I/           data directory of node I: config.toml, keys, store, node.log
seed.log          what the seed printed
files/            data directory of the file server, if there is one: files.toml, key, files, files.log
portal/           data directory of the staking portal, if there is one: portal.toml, key, portal.log
open-I/           keys of nodes for which a contract collects, beside a portal

With a chain also:
seed/             the seed's copy of that chain
chain.json        which chain the nodes follow (consensus/chainfile)
ADDRESSES.json    where its contracts are (staking/addresses)
anvil.log         when the chain runs here
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from allium.base import files
from allium.errors import Complaint

#: Every address of a devnet: nothing of it is reachable from another machine.
LOOPBACK = "127.0.0.1"
LOOPBACK_NETWORK = "127.0.0.0/8"


class DevnetError(Complaint):
    """Why a devnet command failed; the text says what to do."""


@dataclass(frozen=True)
class NodeRecord:
    """One node as `network.json` shows it. Keys are lower-case hex, `data_dir` is absolute."""

    ip: str
    https_port: int
    omq_port: int
    pubkey_ed25519: str
    pubkey_x25519: str
    pubkey_legacy: str
    swarm_id: int
    data_dir: str
    pid: int
    #: Where Prometheus is answered.
    metrics_port: int
    #: Where its CometBFT is reached by others, and by RPC; `None` without one.
    cometbft_port: int | None = None
    cometbft_rpc_port: int | None = None


@dataclass(frozen=True)
class StakerRecord:
    """Somebody with a part of a node. The key is a test network's: it is worth nothing."""

    address: str
    #: 64 hex digits.
    key: str
    #: Atomic units.
    amount: int


@dataclass(frozen=True)
class StakeRecord:
    """What stands behind one node, the operator first."""

    contract_id: int
    #: Hundredths of a percent.
    fee: int
    #: Of the contract that collected the parts; `None` when there is one part.
    contribution: str | None
    stakers: tuple[StakerRecord, ...]


@dataclass(frozen=True)
class ChainRecord:
    """The EVM chain of a devnet."""

    rpc_url: str
    #: `None` when somebody else runs it.
    anvil_pid: int | None
    #: As in ADDRESSES.json.
    contracts: dict[str, Any]
    #: Key of the account that paid for everything; `None` when it was given from outside.
    key: str | None
    #: By the number of the node.
    stakes: tuple[StakeRecord, ...]


@dataclass(frozen=True)
class FileServerRecord:
    """The file server of a devnet. Keys are lower-case hex, `data_dir` is absolute."""

    url: str
    pubkey_ed25519: str
    pubkey_x25519: str
    data_dir: str
    pid: int
    #: Where Prometheus is answered.
    metrics_port: int


@dataclass(frozen=True)
class OpenContract:
    """A contract that collects the stake of a node to come."""

    address: str
    pubkey_ed25519: str
    #: Hundredths of a percent.
    fee: int
    operator: StakerRecord


@dataclass(frozen=True)
class OpenRecord:
    """What people may try on a portal. The keys are a test network's: they are worth nothing."""

    contracts: tuple[OpenContract, ...]
    #: With SESH to stake, and what gas costs.
    people: tuple[StakerRecord, ...]


@dataclass(frozen=True)
class PortalRecord:
    """The staking portal of a devnet. `data_dir` is absolute."""

    url: str
    data_dir: str
    pid: int
    #: Where Prometheus is answered.
    metrics_port: int
    opened: OpenRecord = OpenRecord((), ())


@dataclass(frozen=True)
class NetworkRecord:
    """`network.json`: the seed's URL and process, the nodes in the order of their numbers, and what else there is."""

    seed_url: str
    seed_pid: int
    nodes: tuple[NodeRecord, ...]
    #: `None` when a file says who is in the network.
    chain: ChainRecord | None = None
    #: `None` without a file server.
    files: FileServerRecord | None = None
    #: `None` without a portal.
    portal: PortalRecord | None = None


@dataclass(frozen=True)
class Layout:
    """The paths of the devnet in `directory`."""

    directory: Path
    #: Name of the file in a node's directory that says what to pretend.
    LEVERS: ClassVar[str] = "levers.json"

    @property
    def network(self) -> Path:
        """`network.json`."""
        return self.directory / "network.json"

    @property
    def nodes(self) -> Path:
        """`nodes.json`, the membership file of every node."""
        return self.directory / "nodes.json"

    @property
    def chain(self) -> Path:
        """`chain.json`."""
        return self.directory / "chain.json"

    @property
    def addresses(self) -> Path:
        """`ADDRESSES.json`."""
        return self.directory / "ADDRESSES.json"

    @property
    def anvil_log(self) -> Path:
        """What the chain printed."""
        return self.directory / "anvil.log"

    @property
    def seed_log(self) -> Path:
        """What the seed printed."""
        return self.directory / "seed.log"

    @property
    def seed_dir(self) -> Path:
        """The seed's copy of the chain."""
        return self.directory / "seed"

    @property
    def files_dir(self) -> Path:
        """The data directory of the file server."""
        return self.directory / "files"

    @property
    def files_log(self) -> Path:
        """What the file server printed."""
        return self.files_dir / "files.log"

    @property
    def portal_dir(self) -> Path:
        """The data directory of the portal."""
        return self.directory / "portal"

    @property
    def portal_log(self) -> Path:
        """What the portal printed."""
        return self.portal_dir / "portal.log"

    def open_dir(self, index: int) -> Path:
        """The keys of node `index` of those for which a contract collects."""
        return self.directory / f"open-{index}"

    def data_dir(self, index: int) -> Path:
        """The data directory of node `index`."""
        return self.directory / f"node-{index}"

    def config(self, index: int) -> Path:
        """The configuration file of node `index`."""
        return self.data_dir(index) / "config.toml"

    def levers(self, index: int) -> Path:
        """What node `index` is to pretend."""
        return self.data_dir(index) / self.LEVERS

    def log(self, index: int) -> Path:
        """What node `index` printed, all its runs in one file."""
        return self.data_dir(index) / "node.log"

    def read_network(self) -> NetworkRecord:
        """`network.json`; `DevnetError` when no network is up here."""
        try:
            document = json.loads(self.network.read_bytes())
            nodes = tuple(NodeRecord(**node) for node in document["nodes"])
            chain = None if document.get("chain") is None else _chain(document["chain"])
            files_of = document.get("files")
            file_server = None if files_of is None else FileServerRecord(**files_of)
            portal = None if document.get("portal") is None else _portal(document["portal"])
            return NetworkRecord(document["seed_url"], document["seed_pid"], nodes, chain, file_server, portal)
        except FileNotFoundError:
            raise DevnetError(
                f"no network is up in {self.directory}; start one with: allium devnet up --dir {self.directory}"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DevnetError(f"{self.network} cannot be used: {error}") from None

    def write_network(self, record: NetworkRecord) -> None:
        """Replaces `network.json` in one step."""
        write_json(self.network, asdict(record))


def _chain(document: dict[str, Any]) -> ChainRecord:
    stakes = tuple(
        StakeRecord(**{**stake, "stakers": tuple(StakerRecord(**staker) for staker in stake["stakers"])})
        for stake in document["stakes"]
    )
    return ChainRecord(**{**document, "stakes": stakes})


def _portal(document: dict[str, Any]) -> PortalRecord:
    told = document["opened"]
    contracts = tuple(
        OpenContract(**{**contract, "operator": StakerRecord(**contract["operator"])}) for contract in told["contracts"]
    )
    people = tuple(StakerRecord(**person) for person in told["people"])
    return PortalRecord(**{**document, "opened": OpenRecord(contracts, people)})


def write_json(path: Path, document: Any) -> None:
    """Writes `document` in one step, indented for people."""
    files.replace(path, (json.dumps(document, indent=2) + "\n").encode())
