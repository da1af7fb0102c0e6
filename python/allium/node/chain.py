"""A node's part in the appchain: the engine of agreement that its chain file names, and what goes with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nacl import bindings

from allium.consensus import Consensus
from allium.consensus.chainfile import ChainFile
from allium.consensus.cometbft.engine import CometBFT, CometBFTOptions, open_cometbft
from allium.consensus.solo import Listen, Sequencer, SoloFollower
from allium.consensus.store import BlockStore
from allium.errors import ConsensusError
from allium.membership import MembershipError
from allium.membership.appchain import AppchainMembership, ChainObserver

if TYPE_CHECKING:
    from allium.claims.service import Service
    from allium.liveness.service import Liveness
    from allium.settings.keys import NodeKeys
    from allium.staking.provider_quorum import ProviderQuorum

STORE_FILE = "appchain.sqlite"


@dataclass(frozen=True)
class Chain:
    """What a node has that takes part in the appchain; one that does not has none."""

    membership: AppchainMembership
    liveness: Liveness
    #: `None` without a BLS key: the node then signs nothing for others.
    claims: Service | None
    #: `None` where one node orders the inputs.
    cometbft: CometBFT | None
    #: Who is asked for the EVM chain; `None` when this node does not look there.
    providers: ProviderQuorum | None

    @property
    def consensus(self) -> Consensus:
        """The engine of agreement."""
        return self.membership.consensus


def open_chain(
    chain_file: Path,
    network_file: Path,
    data_dir: Path,
    keys: NodeKeys | None,
    listen: Listen | None,
    observe: Callable[[ChainFile], ChainObserver] | None,
    options: CometBFTOptions | None = None,
    clock: Callable[[], float] = time.time,
) -> AppchainMembership:
    """The membership by a chain file: with the engine that it names, in the part that the node's key has there.

    `observe` makes the node's own observer of the EVM chain, `options` say how CometBFT is run, `clock` is the
    sequencer's. Raises `MembershipError` when a file is unusable, and when something is missing for the node's part.
    """
    try:
        chain = ChainFile.read(chain_file)
        source = None if observe is None else observe(chain)
        if chain.cometbft is not None:
            engine = _committee(chain, network_file, data_dir, keys, source, options)
        else:
            engine = _solo(chain, data_dir, keys, source, listen, clock)
    except ConsensusError as error:
        raise MembershipError(str(error)) from None
    if source is not None and any(engine.state.l2_hash):
        source.resume(engine.state.l2_height, engine.state.l2_hash)
    return AppchainMembership(engine, network_file, source)


def _solo(
    chain: ChainFile,
    data_dir: Path,
    keys: NodeKeys | None,
    source: ChainObserver | None,
    listen: Listen | None,
    clock: Callable[[], float],
) -> Consensus:
    """Ordering if the node's key is the sequencer's, following if not."""
    store = BlockStore(data_dir / STORE_FILE, chain.parameters, chain.sequencer_key)
    if keys is None or chain.sequencer_key != keys.ed25519_public:
        return SoloFollower(store, chain.parameters, chain.sequencer_key, chain.feeds, source=source, listen=listen)
    if source is None or listen is None:
        raise MembershipError(
            "the sequencer needs a view of the EVM chain (l2_rpc) and a port to be followed at (feed_port)"
        )
    return Sequencer(store, source, keys.ed25519_secret, listen, clock=clock)


def _committee(
    chain: ChainFile,
    network_file: Path,
    data_dir: Path,
    keys: NodeKeys | None,
    source: ChainObserver | None,
    options: CometBFTOptions | None,
) -> Consensus:
    """One of the committee when it is drawn, one who follows else. Without keys it is never drawn."""
    if options is None:
        raise MembershipError("the chain file asks for CometBFT, which only a node runs")
    secret = bindings.crypto_sign_keypair()[1] if keys is None else keys.ed25519_secret
    return open_cometbft(chain, network_file, data_dir, secret, source, options)
