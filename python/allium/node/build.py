"""Makes the parts of a node from its configuration; what it does not use is not imported."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from allium.appchain.types import Address
from allium.errors import ConsensusError
from allium.membership import MembershipError
from allium.settings import keys
from allium.settings.config import NodeConfig
from allium.settings.keys import NodeKeys

if TYPE_CHECKING:
    from allium._native import Node
    from allium.claims.service import Service
    from allium.consensus.chainfile import ChainFile
    from allium.consensus.cometbft.engine import CometBFTOptions
    from allium.liveness.service import Liveness
    from allium.membership.appchain import AppchainMembership
    from allium.node.chain import Chain
    from allium.staking.follower import EventFollower
    from allium.staking.provider_quorum import ProviderQuorum


def open_engine(config: NodeConfig, node_keys: NodeKeys, sockets: list[int]) -> Node:
    """The engine, on `sockets` if a predecessor left some; `OSError` and `ValueError` when it cannot start."""
    try:
        from allium._native import Node, log_to_stderr
    except ImportError as error:
        raise OSError(f"the engine is not built ({error}); run `make build`, or install the allium wheel") from None
    log_to_stderr(config.log_level, config.log_format)
    node = Node(
        data_dir=str(config.data_dir),
        ed25519_seed=node_keys.ed25519_seed,
        legacy_pubkey=node_keys.legacy_public,
        bind_ip=str(config.bind_ip),
        https_port=config.https_port,
        omq_port=config.omq_port,
        max_store_bytes=int(config.max_store_bytes),
        account_bytes=int(config.account_max_bytes),
        account_messages=config.account_max_messages,
        max_missed=config.max_missed,
        durability=config.durability,
        worker_threads=config.worker_threads,
        pin_threads=config.pin_threads,
        queue=config.queue,
        rate_limit=(config.rate_limit_burst, config.rate_limit_per_second),
        rate_limit_exempt=[str(network) for network in config.rate_limit_exempt],
        connections_per_address=config.connections_per_address,
        memory_limit=None if config.memory_limit is None else int(config.memory_limit),
        patience=(config.handshake_seconds, config.header_seconds, config.body_seconds),
        admins=config.stats_access_keys,
        oxend_rpc=config.oxend_rpc,
        allow_private_servers=config.allow_private_servers,
        sockets=sockets,
    )
    for fd in sockets:
        os.close(fd)  # it has its own
    return node


def take_part(
    config: NodeConfig,
    chain_file: Path,
    network_file: Path,
    node_keys: NodeKeys,
    engine: Node,
    suspect: Callable[[str], None],
) -> Chain:
    """The node's part in the appchain; `MembershipError` when a file is unusable, `KeyFileError` for its BLS key.

    `suspect` has a node tested next, by its Ed25519 key, hex.
    """
    from allium.node.chain import Chain, open_chain

    listen = None if config.feed_port is None else (str(config.bind_ip), config.feed_port)
    observe = partial(_follower, config) if config.l2_rpc else None
    options = partial(_cometbft, config)
    membership, cometbft = open_chain(
        chain_file, network_file, config.data_dir, node_keys, listen, observe, options, engine.time
    )
    return Chain(
        membership,
        _liveness(config, engine, membership, node_keys, suspect),
        _claims(config, engine, membership),
        cometbft,
        _providers(membership),
    )


def _cometbft(config: NodeConfig) -> CometBFTOptions:
    """How this node runs CometBFT, if the chain file asks for it."""
    from allium.consensus.cometbft.engine import CometBFTOptions
    from allium.consensus.cometbft.home import Place, Trust

    host, _, port = config.cometbft_rpc.rpartition(":")
    trusted, _, header = (config.cometbft_trust or "").partition(":")
    return CometBFTOptions(
        Place(str(config.bind_ip), config.cometbft_port),
        Place(host, int(port)),
        config.cometbft,
        config.cometbft_sync,
        Trust(int(trusted), header) if trusted else None,
        config.allow_private_servers,
    )


def _follower(config: NodeConfig, chain: ChainFile) -> EventFollower:
    """The node's own observer of the EVM chain; `ConsensusError` when the chain file lacks what it follows."""
    try:
        from allium.staking.follower import Contracts, EventFollower
        from allium.staking.provider_quorum import ProviderQuorum
    except ModuleNotFoundError as error:
        raise MembershipError(
            f"l2_rpc needs {error.name}, which is not installed; run: pip install 'allium[chain]'"
        ) from None
    providers = ProviderQuorum(config.l2_rpc, config.l2_quorum)
    if chain.reward_pool is None:
        raise ConsensusError("the chain file names no reward_pool, whose rate is wanted; add its address")
    pool = Address(bytes.fromhex(chain.reward_pool[2:]))
    return EventFollower(
        providers,
        Contracts(chain.l2_chain_id, chain.parameters.rewards_contract, pool),
        depth=config.l2_depth,
        log_blocks=config.l2_log_blocks,
        stride=chain.parameters.l2_stride,
    )


def _providers(membership: AppchainMembership) -> ProviderQuorum | None:
    """Whom the node asks for the EVM chain."""
    if membership.observer is None:
        return None
    from allium.staking.follower import EventFollower

    return membership.observer.providers if isinstance(membership.observer, EventFollower) else None


def _claims(config: NodeConfig, engine: Node, membership: AppchainMembership) -> Service | None:
    """Signs with the others what the staking contracts want signed, if the node has the key for it."""
    if not keys.has_bls(config.data_dir):
        return None
    from allium.claims.service import Service

    secret = keys.load_bls(config.data_dir)
    return Service(engine, membership.consensus, secret, lambda: membership.contacts)


def _liveness(
    config: NodeConfig,
    engine: Node,
    membership: AppchainMembership,
    node_keys: NodeKeys,
    suspect: Callable[[str], None],
) -> Liveness:
    """Finds out with the others who works."""
    from allium.liveness import HISTORY
    from allium.liveness.clocks import Clocks
    from allium.liveness.service import Liveness, Surroundings

    around = Surroundings(
        node_keys,
        lambda: membership.contacts,
        membership.learn,
        lambda: membership.l2_final,
        config.allow_private_servers,
        config.data_dir / HISTORY,
        suspect,
    )
    return Liveness(engine, membership.consensus, around, Clocks.of(config.uptime_seconds))
