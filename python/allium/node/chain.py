"""A node's part in the appchain: the engine of agreement that its chain file names, and what goes with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from allium.consensus import Consensus
from allium.consensus.chainfile import ChainFile
from allium.errors import ConsensusError
from allium.membership import MembershipError
from allium.membership.appchain import AppchainMembership, ChainObserver

if TYPE_CHECKING:
    from allium.claims.service import Service
    from allium.consensus.cometbft.engine import CometBFT, CometBFTOptions
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


class Opened(NamedTuple):
    """The membership by a chain file, and CometBFT where that orders the inputs."""

    membership: AppchainMembership
    cometbft: CometBFT | None


def open_chain(
    chain_file: Path,
    network_file: Path,
    data_dir: Path,
    keys: NodeKeys | None,
    listen: tuple[str, int] | None,
    observe: Callable[[ChainFile], ChainObserver] | None,
    options: Callable[[], CometBFTOptions] | None = None,
    clock: Callable[[], float] = time.time,
) -> Opened:
    """The membership by a chain file: with the engine that it names, in the part that the node's key has there.

    `listen` is the address and port to be followed at. `observe` makes the node's own observer of the EVM chain,
    `options` say how CometBFT is run, `clock` is the sequencer's. Raises `MembershipError` when a file is unusable, and
    when something is missing for the node's part.
    """
    engine: Consensus
    cometbft = None
    try:
        chain = ChainFile.read(chain_file)
        source = None if observe is None else observe(chain)
        if chain.cometbft is not None:
            engine = cometbft = _committee(chain, network_file, data_dir, keys, source, options)
        else:
            engine = _solo(chain, data_dir, keys, source, listen, clock)
    except ConsensusError as error:
        raise MembershipError(str(error)) from None
    if source is not None and any(engine.state.l2_hash):
        source.resume(engine.state.l2_height, engine.state.l2_hash)
    return Opened(AppchainMembership(engine, network_file, source), cometbft)


def _solo(
    chain: ChainFile,
    data_dir: Path,
    keys: NodeKeys | None,
    source: ChainObserver | None,
    listen: tuple[str, int] | None,
    clock: Callable[[], float],
) -> Consensus:
    """Ordering if the node's key is the sequencer's, following if not."""
    from allium.consensus.solo import Listen, Sequencer, SoloFollower
    from allium.consensus.store import BlockStore

    place = None if listen is None else Listen(*listen)
    store = BlockStore(data_dir / STORE_FILE, chain.parameters, chain.sequencer_key)
    if keys is None or chain.sequencer_key != keys.ed25519_public:
        return SoloFollower(store, chain.parameters, chain.sequencer_key, chain.feeds, source=source, listen=place)
    if source is None or place is None:
        raise MembershipError(
            "the sequencer needs a view of the EVM chain (l2_rpc) and a port to be followed at (feed_port)"
        )
    return Sequencer(store, source, keys.ed25519_secret, place, clock=clock)


def _committee(
    chain: ChainFile,
    network_file: Path,
    data_dir: Path,
    keys: NodeKeys | None,
    source: ChainObserver | None,
    options: Callable[[], CometBFTOptions] | None,
) -> CometBFT:
    """One of the committee when it is drawn, one who follows else. Without keys it is never drawn."""
    if options is None:
        raise MembershipError("the chain file asks for CometBFT, which only a node runs")
    from nacl import bindings

    from allium.consensus.cometbft.engine import open_cometbft

    secret = bindings.crypto_sign_keypair()[1] if keys is None else keys.ed25519_secret
    return open_cometbft(chain, network_file, data_dir, secret, source, options())
