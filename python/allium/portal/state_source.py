"""Where the network's state comes from: the feed of its sequencer, or the store of a node on this machine.

Either way the inputs are applied here, so that what is told follows from them and from nobody's word.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

from allium.appchain.machine import apply
from allium.appchain.state import State, genesis
from allium.base import log
from allium.consensus.chainfile import ChainFile
from allium.errors import ConsensusError

_LOOK_SECONDS = 1.0


class StateSource(Protocol):
    """The newest state."""

    @property
    def state(self) -> State:
        """As of the last look."""
        ...

    async def run(self) -> None:
        """Follows until cancelled; raises `ConsensusError`."""
        ...


class StoreFollower:
    """Reads what a node that votes, or follows those who do, keeps on this machine."""

    def __init__(self, path: Path, chain: ChainFile) -> None:
        """Raises `ConsensusError`."""
        from allium.consensus.cometbft.store import CometBFTStore, Standing

        if chain.cometbft is None:
            raise ConsensusError("a sequencer orders this chain, no committee")
        if not path.exists():
            raise ConsensusError(f"{path} does not exist; set node_dir to the data directory of a node that runs here")
        self._store = CometBFTStore(path, chain.parameters)
        base = Standing(genesis(chain.parameters), chain.cometbft.keys)
        self._base = base
        self._state = self._load()
        self._logger = log.get("portal")

    @property
    def state(self) -> State:
        """See `StateSource`."""
        return self._state

    async def run(self) -> None:
        """See `StateSource`."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._state = await asyncio.to_thread(self._following)

    def _load(self) -> State:
        return self._store.load(self._base).state

    def _following(self) -> State:
        state = self._state
        for given, root in self._store.inputs(state.height):
            if given.height != state.height + 1:
                return self._load()  # it was begun anew at another height
            state = apply(state, given)
            if state.root != root:
                raise ConsensusError(f"height {state.height} is another one here than in the node's store")
        return state

    def close(self) -> None:
        """Lets go of the store."""
        self._store.close()


def open_source(stack: AsyncExitStack, chain: ChainFile, data_dir: Path, node_dir: Path | None) -> StateSource:
    """By a chain file; raises `ConsensusError`."""
    if chain.cometbft is not None:
        from allium.consensus.cometbft.engine import STORE_FILE

        if node_dir is None:
            raise ConsensusError("a committee orders this chain: set node_dir to the data directory of a node here")
        follower = StoreFollower(node_dir / STORE_FILE, chain)
        stack.callback(follower.close)
        return follower
    from allium.consensus.solo import SoloFollower
    from allium.consensus.store import BlockStore

    store = BlockStore(data_dir / "appchain.sqlite", chain.parameters, chain.sequencer_key)
    stack.callback(store.close)
    return SoloFollower(store, chain.parameters, chain.sequencer_key, chain.feeds)
