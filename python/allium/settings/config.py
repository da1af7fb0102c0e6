"""What an operator may set for a node: a TOML file, overridden by `ALLIUM_*` environment variables."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any, Literal

from allium.base import fields, urls
from allium.base.endpoint import Endpoint
from allium.base.log import Format, Level
from allium.settings.declared import ConfigError as ConfigError
from allium.settings.declared import Listening, Schema
from allium.settings.declared import Setting as Setting
from allium.settings.declared import file_path as _file
from allium.settings.declared import listed as _listed
from allium.settings.declared import refuse_shared_ports as _refuse_shared_ports
from allium.settings.declared import required as _required
from allium.settings.declared import setting as _setting

ENVIRONMENT_PREFIX = "ALLIUM_"
#: Ports of a node of the test network (`spec/transports` §0).
_TESTNET_PORTS = {"https_port": 38155, "omq_port": 38154}
#: The seeds' daemons (`spec/swarms` §7.5).
_SEEDS = [
    "storage.seed1.loki.network:22027/63089194d7ed97c9bb9c1112501b09be1b4b8ff026ceeb339532ce240da03178",
    "public-eu.optf.ngo:22027/3c157ed3c675f56280dc5d8b2f00b327b5865c127bf2c6c42becc3ca73d9132b",
    "imaginary.stream:22027/c0cab39382531e5b6c6325c0f980e9ffb79b20a4c82bb96571f1ffdc3ee76d58",
]
_TESTNET_SEEDS = [
    "storage.seed2.loki.network:38161/9c5201e30957cd44e3dcc8ad7f94f48e6914deef77390f77a439a2d7e7f4cb5c",
]
#: An IPv4 address and a port.
_PLACE = r"^[0-9.]+:[0-9]{1,5}$"


def _url(value: Any) -> str:
    url = fields.text()(value)
    urls.check(url)
    return url


def _omq(value: Any) -> str:
    address = fields.text()(value)
    Endpoint.check(address)
    return address


def _seeds(value: Any) -> list[str]:
    seeds = _listed(fields.text())(value)
    for seed in seeds:
        try:
            Endpoint.parse_seed(seed)
        except ValueError as error:
            raise fields.refused(seeds, str(error)) from None
    return seeds


@dataclass(frozen=True, kw_only=True)
class NodeConfig:
    """The settings of one node. Sizes are bytes, ports are TCP (and UDP where QUIC shares the number)."""

    data_dir: Path = _required(_file, "Directory of the node's keys and messages. Relative to this file.")
    network_file: Path | None = _setting(
        fields.optional(_file),
        "JSON file with the nodes of the network; read again when it changes. Relative to this file.",
    )
    oxend_rpc: str | None = _setting(
        fields.optional(_omq),
        "Instead of network_file: OMQ address of the live network's daemon, which also gives the keys.",
    )
    testnet: bool = _setting(fields.flag, "The daemon is one of the test network. Other ports and seeds.", False)
    bootstrap_seeds: list[str] | None = _setting(
        fields.optional(_seeds),
        "Daemons to ask how far the network is, as host:port/X25519 key. None: those of the network.",
    )
    chain_file: Path | None = _setting(
        fields.optional(_file),
        "JSON file with the chain to take the list of nodes from; network_file then has their addresses. "
        "Relative to this file.",
    )
    feed_port: int | None = _setting(
        fields.optional(fields.whole(1, 65535)), "TCP port at which others may follow the chain through this node."
    )
    l2_rpc: list[str] = _setting(
        _listed(_url),
        "URLs of JSON-RPC providers of the EVM chain that chain_file names, the preferred first. The "
        "sequencer needs one; any other node with some compares what the sequencer says with what it sees itself.",
        factory=list,
    )
    l2_quorum: int | None = _setting(
        fields.optional(fields.whole(1)),
        "How many of l2_rpc have to say the same. None: more than half. Two by themselves cannot be used "
        "when one is down; three can.",
    )
    l2_depth: int | None = _setting(
        fields.optional(fields.whole(0)),
        "How many blocks deep is final, where providers do not say which are. None: as they say.",
    )
    l2_log_blocks: int = _setting(
        fields.whole(1, 100_000), "Blocks of logs that a provider is asked for at once, at most.", 1000
    )
    cometbft_port: int = _setting(
        fields.whole(1, 65535), "TCP port for other nodes' CometBFT, where chain_file asks for it.", 26656
    )
    cometbft_rpc: str = _setting(
        fields.text(_PLACE),
        "Address and port of CometBFT's RPC. Newcomers verify snapshots by it, where they can reach it.",
        "127.0.0.1:26657",
    )
    cometbft: Path | None = _setting(
        fields.optional(_file),
        "The program. Relative to this file. None: on the PATH, or beside Python (`make cometbft`).",
    )
    cometbft_sync: list[str] = _setting(
        _listed(_url),
        "RPC URLs of other nodes' CometBFT: a node that has nothing yet begins at one of their snapshots.",
        factory=list,
    )
    cometbft_trust: str | None = _setting(
        fields.optional(fields.text("^[0-9]+:[0-9a-fA-F]{64}$")),
        "HEIGHT:HASH of a header to verify that snapshot from. None: what all of cometbft_sync say.",
    )
    bind_ip: IPv4Address | IPv6Address = _setting(
        fields.address,
        "Address to listen on; 0.0.0.0 is every IPv4 address, :: every IPv6 and IPv4 address.",
        IPv4Address("0.0.0.0"),
    )
    https_port: int = _setting(fields.whole(1, 65535), "TCP port for clients over HTTPS.", 22021)
    omq_port: int = _setting(
        fields.whole(1, 65535), "Port for other nodes: TCP for OMQ, UDP of the same number for QUIC.", 22020
    )
    max_store_bytes: int = _setting(
        fields.size(1 << 20), 'How large the message store may grow: bytes, or text such as "3.5GiB".', 3_758_096_384
    )
    account_max_bytes: int = _setting(fields.size(1 << 20), "How much of the store one account may take.", 134_217_728)
    account_max_messages: int = _setting(
        fields.whole(100),
        "How many messages one account may have in its public inboxes, and as many again elsewhere.",
        100_000,
    )
    max_missed: int = _setting(
        fields.whole(0),
        "Messages and commands that are kept for members of the swarm that cannot be reached, at most.",
        1_048_576,
    )
    durability: Literal["sync", "async"] = _setting(
        fields.choice("sync", "async"),
        "sync: what is acknowledged is on disk. async: it is given to the operating system, which writes "
        "every second; a crash of the machine loses the last two seconds at most.",
        "sync",
    )
    worker_threads: int = _setting(
        fields.whole(1, 1024),
        "Threads that serve requests. One per core that the node may use.",
        factory=lambda: len(os.sched_getaffinity(0)),
    )
    pin_threads: bool = _setting(
        fields.flag, "Each of these threads stays on one core, in turn. For machines that do little else.", False
    )
    queue: int = _setting(fields.whole(1, 1_000_000), "Requests of clients under way at once over HTTPS.", 1000)
    rate_limit_burst: int = _setting(
        fields.whole(1, 1_000_000), "Requests that one address may send at once, on all transports.", 600
    )
    rate_limit_per_second: int = _setting(
        fields.whole(1, 1_000_000), "Requests per second that one address may send in the long run.", 300
    )
    rate_limit_exempt: list[IPv4Network | IPv6Network] = _setting(
        _listed(fields.network),
        'Networks that are not limited, such as ["192.0.2.0/24", "2001:db8::/32"].',
        factory=list,
    )
    connections_per_address: int = _setting(
        fields.whole(1, 16_384), "Connections that one address may have open, on all transports together.", 512
    )
    memory_limit: int | None = _setting(
        fields.optional(fields.size(256 * 2**20)),
        "Memory that may be held for others: requests under way, and answers until they are read. By"
        " default a quarter of what the machine or the control group has, from 256 MiB to 4 GiB.",
    )
    handshake_seconds: float = _setting(
        fields.number(3600, above=0), "How long an HTTPS client may take for its TLS handshake.", 10
    )
    header_seconds: float = _setting(
        fields.number(3600, above=0),
        "How long it may take for the head of a request, and between two requests.",
        60,
    )
    body_seconds: float = _setting(fields.number(3600, above=0), "How long it may take for a request's body.", 60)
    stats_access_keys: list[str] = _setting(
        _listed(fields.text("^[0-9a-f]{64}$")),
        "X25519 keys (64 hex digits) that may ask for service.get_stats over OMQ.",
        factory=list,
    )
    allow_private_servers: bool = _setting(
        fields.flag,
        "Relay onion requests to servers at private addresses too. Only for networks on one machine.",
        False,
    )
    metrics_ip: IPv4Address | IPv6Address = _setting(
        fields.address,
        "Address at which Prometheus is answered. What it is told is nobody else's business.",
        IPv4Address("127.0.0.1"),
    )
    metrics_port: int | None = _setting(
        fields.optional(fields.whole(1, 65535)), 'TCP port at which Prometheus is answered. "": nowhere.', 22029
    )
    levers_file: Path | None = _setting(
        fields.optional(_file), "Only for test networks: JSON file that says what to pretend. Relative to this file."
    )
    reachability_seconds: float = _setting(
        fields.number(3600, above=0),
        "Mean time between two tests of whether another node is reachable. Other than 10 only in tests.",
        10,
    )
    uptime_seconds: float = _setting(
        fields.number(3600, least=1),
        "Time between two proofs to the others, on a chain, that this node is there; how long it may fail "
        "goes by it. The same on all nodes, and other than 3600 only in tests.",
        3600,
    )
    log_level: Level = _setting(
        fields.choice("debug", "info", "warning", "error"), "debug, info, warning or error.", "info"
    )
    log_format: Format = _setting(fields.choice("console", "json"), "console for people, json for machines.", "console")

    @property
    def seeds(self) -> list[Endpoint]:
        """The daemons to ask how far the network is."""
        seeds = (_TESTNET_SEEDS if self.testnet else _SEEDS) if self.bootstrap_seeds is None else self.bootstrap_seeds
        return [Endpoint.parse_seed(seed) for seed in seeds]

    @classmethod
    def load(cls, path: Path | None, options: Mapping[str, Any] | None = None) -> NodeConfig:
        """The settings in force with the TOML file `path` (`None`: from the environment alone) and the command line's.

        The command line wins over the environment, and that over the file. Raises `ConfigError` for a file that cannot
        be read, a name that does not exist and a value that is refused.
        """
        given, where = SCHEMA.load(path, options)
        config = cls(**SCHEMA.checked(given, where, options))
        if (config.network_file is None) == (config.oxend_rpc is None):
            raise ConfigError(
                f"{where}: set one of network_file (a file with the nodes of the network) and oxend_rpc (the live "
                f"network's daemon, such as ipc:///var/lib/oxen/oxend.sock)"
            )
        if config.chain_file is not None and config.network_file is None:
            raise ConfigError(f"{where}: chain_file goes with network_file, which has the nodes' addresses")
        if config.l2_rpc and config.chain_file is None:
            raise ConfigError(f"{where}: l2_rpc goes with chain_file, which names the chain and its contracts")
        if config.l2_quorum is not None and config.l2_quorum > len(config.l2_rpc):
            raise ConfigError(f"{where}: l2_quorum is more than there are providers in l2_rpc")
        if config.testnet:
            ports: dict[str, Any] = {name: port for name, port in _TESTNET_PORTS.items() if name not in given}
            config = dataclasses.replace(config, **ports)
        _refuse_shared_ports(
            where,
            Listening("https_port", config.bind_ip, config.https_port),
            Listening("omq_port", config.bind_ip, config.omq_port),
            Listening("feed_port", config.bind_ip, config.feed_port if config.chain_file else None),
            Listening("metrics_port", config.metrics_ip, config.metrics_port),
        )
        return config


#: How they are read and written.
SCHEMA = Schema(
    NodeConfig,
    title="Settings of an Allium node.",
    prefix=ENVIRONMENT_PREFIX,
    init="allium node init",
    secret=("l2_rpc", "cometbft_sync"),  # as secret where they cannot be used as where they can
    paths=("data_dir", "network_file", "chain_file", "cometbft", "levers_file"),
    others=("ALLIUM_FILES_", "ALLIUM_PUSH_"),
)
SETTINGS = SCHEMA.settings
commented_toml = SCHEMA.commented_toml
