"""The chain as one node holds it: the last state, and what is on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bencode2 import bencode

from allium.appchain.state import State
from allium.appchain.types import Height
from allium.consensus.block import Block
from allium.consensus.states import States
from allium.consensus.store import BlockStore

#: What one answer of the feed may hold.
BATCH = 64


class Replica:
    """States in, states out. Only the engine that owns it commits."""

    def __init__(self, store: BlockStore, snapshot_every: int) -> None:
        """Raises `StoreError` when what is on the disk cannot be followed from."""
        self._store, self._snapshot_every = store, snapshot_every
        self.states = States(store.load())

    @property
    def state(self) -> State:
        """The last state."""
        return self.states.last

    async def commit(self, block: Block, state: State) -> None:
        """Makes `state`, which is the one after `block`, the last. Nobody hears of it before it is on the disk."""
        keep = state if state.height % self._snapshot_every == 0 else None
        await asyncio.to_thread(self._store.append, block, keep)
        self.states.publish(state)

    async def adopt(self, block: Block, state: State) -> None:
        """Begins at a state that is not the next one."""
        await asyncio.to_thread(self._store.append, block, state)
        self.states.publish(state)

    async def computed(self, make: Callable[[State], State]) -> State:
        """What `make` makes of the state, without holding up the event loop."""
        return await asyncio.to_thread(make, self.state)

    async def blocks(self, after: Height) -> bytes:
        """Encoded blocks after a height, as one list."""
        return bencode(await asyncio.to_thread(self._store.blocks, after, BATCH))

    async def newest_snapshot(self) -> bytes | None:
        """The newest snapshot and the block that led to it, as one list."""
        for height, encoded in await asyncio.to_thread(self._store.snapshots):
            block = await asyncio.to_thread(self._store.block, height)
            if block is not None:
                return bencode([block, encoded])
        return None
