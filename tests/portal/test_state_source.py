"""The state of a network that a committee orders, as a portal reads it from a node's store."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from allium.consensus.chainfile import ChainFile
from allium.consensus.cometbft.store import CometBFTStore, Standing
from allium.errors import ConsensusError
from allium.portal import state_source
from allium.portal.state_source import StoreFollower
from tests.support.appchain_world import World, pubkey


@pytest.fixture
def chain(tmp_path: Path) -> ChainFile:
    file = tmp_path / "chain.json"
    told = {
        "network": "devnet",
        "l2_chain_id": 31337,
        "rewards_contract": "0x" + "11" * 20,
        "cometbft": {"time": 0, "committee": [pubkey(1).hex()]},
    }
    file.write_text(json.dumps(told))
    return ChainFile.read(file)


def go_on(store: CometBFTStore, world: World, *due: Standing) -> None:
    """Makes one more height, as the node keeps it."""
    world.step()
    store.append(world.inputs[-1], world.state.root, *due)


async def test_a_nodes_store_is_followed(chain: ChainFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_source, "_LOOK_SECONDS", 0.0)
    path = tmp_path / "store.sqlite"
    with pytest.raises(ConsensusError, match="set node_dir"):
        StoreFollower(path, chain)
    world = World(chain.parameters)
    store = CometBFTStore(path, chain.parameters)
    world.register(1)
    go_on(store, world)
    follower = StoreFollower(path, chain)
    assert follower.state.root == world.state.root and len(follower.state.nodes) == 1
    following = asyncio.create_task(follower.run())
    world.register(2)
    go_on(store, world)
    await until(follower, world)
    # What the node forgets behind two snapshots is not missed.
    follower_state = follower.state
    for _ in range(3):
        world.step()
        store.append(world.inputs[-1], world.state.root, Standing(world.state, (pubkey(1),)))
    await until(follower, world)
    assert follower.state.height == follower_state.height + 3 and len(follower.state.nodes) == 2
    # A store that is another one than its inputs make is not followed.
    world.step()
    store.append(world.inputs[-1], follower_state.root)
    with pytest.raises(ConsensusError, match="is another one here"):
        await following
    follower.close()
    store.close()


async def until(follower: StoreFollower, world: World) -> None:
    """Returns when the follower is where the network is."""
    async with asyncio.timeout(60):
        while follower.state.root != world.state.root:  # noqa: ASYNC110 - it looks at a file
            await asyncio.sleep(0)
