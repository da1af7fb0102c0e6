"""Makes the parts of a node from its configuration; what it does not use is not imported."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from allium.config import NodeConfig
from allium.keys import NodeKeys
from allium.membership import Membership, MembershipError
from allium.membership.static import StaticMembership

if TYPE_CHECKING:
    from allium._native import BlsSecretKey, Node
    from allium.consensus.chainfile import ChainFile
    from allium.consensus.cometbft.engine import Part
    from allium.consensus.liveness.part import Liveness
    from allium.membership.appchain import View


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


def open_membership(config: NodeConfig, network_file: Path, node_keys: NodeKeys, engine: Node) -> Membership:
    """Where the list of nodes comes from; `MembershipError` when that cannot be used."""
    if config.chain_file is None:
        return StaticMembership(network_file)
    from allium.consensus.solo import Listen
    from allium.membership.appchain import open_chain

    listen = None if config.feed_port is None else Listen(str(config.bind_ip), config.feed_port)
    look = partial(_look, config) if config.l2_rpc else None
    return open_chain(
        config.chain_file, network_file, config.data_dir, node_keys, listen, look, _part(config), engine.time
    )


def _part(config: NodeConfig) -> Part:
    """How this node runs CometBFT, if the chain file asks for it."""
    from allium.consensus.cometbft.engine import Part
    from allium.consensus.cometbft.home import Place, Trust

    host, _, port = config.cometbft_rpc.rpartition(":")
    trusted, _, header = (config.cometbft_trust or "").partition(":")
    return Part(
        Place(str(config.bind_ip), config.cometbft_port),
        Place(host, int(port)),
        config.cometbft,
        config.cometbft_sync,
        Trust(int(trusted), header) if trusted else None,
        config.allow_private_servers,
    )


def _look(config: NodeConfig, chain: ChainFile) -> View:
    """The node's own view of the EVM chain."""
    try:
        from allium.staking import follower
    except ModuleNotFoundError as error:
        raise MembershipError(
            f"l2_rpc needs {error.name}, which is not installed; run: pip install 'allium[chain]'"
        ) from None
    providers = follower.Panel(config.l2_rpc, config.l2_quorum)
    return follower.Follower(
        providers,
        follower.Contracts.of(chain),
        depth=config.l2_depth,
        log_blocks=config.l2_log_blocks,
        stride=chain.parameters.l2_stride,
    )


async def sign_claims(engine: Node, membership: Membership, secret: BlsSecretKey) -> None:
    """Signs with the others what the staking contracts want signed."""
    from allium.membership.appchain import AppchainMembership
    from allium.rewards.service import Service

    if not isinstance(membership, AppchainMembership):
        raise TypeError("only the chain's state says what to sign")
    await Service(engine, membership.consensus, secret, lambda: membership.contacts).run()


def make_liveness(
    config: NodeConfig, engine: Node, membership: Membership, node_keys: NodeKeys, suspect: Callable[[str], None]
) -> Liveness:
    """Finds out with the others who works."""
    from allium.consensus.liveness.clocks import Clocks
    from allium.consensus.liveness.history import FILE
    from allium.consensus.liveness.part import Liveness, Surroundings
    from allium.membership.appchain import AppchainMembership

    if not isinstance(membership, AppchainMembership):
        raise TypeError("only the chain's state says who is to work")
    around = Surroundings(
        node_keys,
        lambda: membership.contacts,
        membership.learn,
        lambda: membership.l2_final,
        config.allow_private_servers,
        config.data_dir / FILE,
        suspect,
    )
    return Liveness(engine, membership.consensus, around, Clocks.of(config.uptime_seconds))
