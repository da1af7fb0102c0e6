"""Nodes that are stopped and go on, again and again: afterwards each of them speaks OMQ with every other.

`ALLIUM_SUSPENSIONS` and `ALLIUM_SUSPENDED_SECONDS` make more of them, and longer: after half a minute others give a
connection up while the node itself, once it goes on, closes it because nobody used it.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from allium.client.direct import Node, OmqClient
from allium.devnet.layout import NodeRecord
from allium.devnet.network import Devnet
from tests.support import wire
from tests.support.status import status
from tests.support.waiting import await_that

TIMES = int(os.environ.get("ALLIUM_SUSPENSIONS", "50"))
SECONDS = float(os.environ.get("ALLIUM_SUSPENDED_SECONDS", "0.4"))
NODES = 5


def reached_over_omq(directory: str) -> int:
    """How often a node has reached others over OMQ."""
    _, told = status(directory)
    return sum(count for transport, reached, count in told["engine"]["tests"] if transport == "omq" and reached)


async def ask_over_omq(node: NodeRecord) -> None:
    """Raises when a node does not serve OMQ."""
    keys = bytes.fromhex(node.pubkey_ed25519), bytes.fromhex(node.pubkey_x25519)
    async with OmqClient(Node(node.ip, node.https_port, node.omq_port, *keys)) as client:
        await client.request("storage.info", b"{}")


# A request that times out in the middle of a handshake leaves its socket to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_nodes_that_were_stopped_speak_omq_again(tmp_path: Path) -> None:
    net, chance, user = Devnet(tmp_path / "net"), random.Random(1), wire.User()
    net.up(NODES, NODES)
    try:
        nodes = net.layout.read_network().nodes
        entries = [{"ip": node.ip, "https_port": node.https_port} for node in nodes]

        def store(index: int, number: int) -> None:
            try:
                wire.rpc(entries[index], "store", wire.store_params(user.account_id, b"%d" % number), timeout=2)
            except OSError:
                return  # it waits for one that is stopped

        with ThreadPoolExecutor(NODES) as pool:
            for number in range(TIMES):
                stopped = chance.randrange(NODES)
                net.pause(stopped)
                for index in range(NODES):
                    pool.submit(store, index, NODES * number + index)
                time.sleep(SECONDS)
                net.resume(stopped)
        for node in nodes:
            asyncio.run(ask_over_omq(node))
        before = [reached_over_omq(node.data_dir) for node in nodes]

        def reach_others() -> bool:
            return all(reached_over_omq(node.data_dir) > count for node, count in zip(nodes, before, strict=True))

        await_that("every node reaches others over OMQ", reach_others, 60)
        for node in nodes:
            assert not [problem for problem in status(node.data_dir)[1]["problems"] if "stood still" in problem["what"]]
            assert not re.search("stands still|has ended", net.layout.log(nodes.index(node)).read_text())
    finally:
        net.down()
