"""What it costs to agree, and how soon a dead node is out: `python bench/network.py`, a real devnet on this machine.

* seven nodes on one chain that a committee orders; one after the other is killed with its CometBFT, and comes back when
  it was voted out: from the kill to the verdict, and from its start to the other verdict;
* the time between blocks, bytes on disk per 1,000 blocks, resident memory;
* how long a node without anything takes until it is where the others are: from the first block, and from a snapshot.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from allium.appchain.swarms import UNASSIGNED
from allium.consensus.cometbft import rpc
from allium.consensus.cometbft.engine import DIRECTORY, STORE_FILE
from allium.devnet import process
from allium.devnet.network import Devnet, listed
from allium.devnet.options import ChainOptions
from allium.liveness.clocks import Clocks

_POLL_SECONDS = 0.05
#: Headers that CometBFT gives at once.
_HEADERS = 20
_PATIENCE = 300.0


class Measured:
    """A devnet, and what is looked at."""

    def __init__(self, directory: Path, nodes: int, uptime: float) -> None:
        self.net = Devnet(directory)
        began = time.monotonic()
        self.record = self.net.up(nodes, chain=ChainOptions(consensus="cometbft", uptime=uptime))
        say("nodes staked for and serving", f"{nodes} in {time.monotonic() - began:.1f} s")
        self.keys = [node.pubkey_ed25519 for node in self.record.nodes]

    def url(self, index: int) -> str:
        """Of a node's CometBFT."""
        return f"http://127.0.0.1:{self.record.nodes[index].cometbft_rpc_port}/"

    def call(self, index: int, method: str, **parameters: Any) -> dict[str, Any]:
        """One call of it."""
        return asyncio.run(rpc.call(self.url(index), method, **parameters))

    def height(self, index: int = 0) -> int:
        """The last height that a node has computed; 0 while it does not say."""
        try:
            return int(self.call(index, "abci_info")["response"].get("last_block_height", 0))
        except rpc.RpcError:
            return 0

    def works(self, index: int) -> bool:
        """Whether the network has a node in a swarm."""
        return listed(self.record.seed_url)[self.keys[index]] != UNASSIGNED

    def pids(self, index: int) -> tuple[int, int]:
        """A node's process, and its CometBFT's."""
        node = self.net.status()[index].node.pid
        [child] = [pid for pid, parent in _parents() if parent == node]
        return node, child

    def intervals(self, first: int, last: int) -> list[float]:
        """Seconds between the blocks of these heights."""
        times: dict[int, float] = {}
        for low in range(first, last + 1, _HEADERS):
            high = min(last, low + _HEADERS - 1)
            for meta in self.call(0, "blockchain", minHeight=str(low), maxHeight=str(high))["block_metas"]:
                stamp, _, fraction = meta["header"]["time"].rstrip("Z").partition(".")
                when = datetime.fromisoformat(f"{stamp}+00:00").timestamp()
                times[int(meta["header"]["height"])] = when + float(f"0.{fraction or 0}")
        return [times[height] - times[height - 1] for height in sorted(times) if height - 1 in times]

    def disk(self, index: int) -> tuple[int, int, int]:
        """Bytes of a node's own store of the chain, of its CometBFT's databases and of its log."""
        directory = self.net.layout.data_dir(index)
        data = directory / DIRECTORY / "data"
        return _bytes(directory.glob(f"{STORE_FILE}*")), _bytes(data.glob("*.db/*")), _bytes(data.glob("cs.wal/*"))

    def begin_anew(self, index: int, **settings: Any) -> float:
        """Takes from a node what it has of the chain; seconds from its start until it is where the others are."""
        self.net.kill(index)
        directory = self.net.layout.data_dir(index)
        for path in directory.glob(f"{STORE_FILE}*"):
            path.unlink()
        shutil.rmtree(directory / DIRECTORY)
        self.net._configure(index, **settings)
        began = time.monotonic()
        self.net.start(index)
        until(lambda: self.height(index) >= self.height() > 0)
        return time.monotonic() - began


def _bytes(paths: Iterable[Path]) -> int:
    size = 0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # the database has put two together
            size += path.stat().st_size
    return size


def _parents() -> Iterable[tuple[int, int]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            yield int(path.parent.name), int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue


def until(holds: Callable[[], bool], seconds: float = _PATIENCE) -> float:
    """Waits until it holds; the seconds that took."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise SystemExit("this takes too long; look into the logs of the nodes")
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - began


def say(what: str, value: str) -> None:
    """A line of the table."""
    print(f"{what:<58} {value}", flush=True)


def spread(seconds: list[float]) -> str:
    """The median, and from where to where."""
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}, {len(seconds)} times)"


def measure(net: Measured, uptime: float, rounds: int, blocks: int) -> None:
    """All of it."""
    limits = Clocks.of(uptime).limits
    # Nobody judges before he has been up for so long.
    until(lambda: net.height() >= 5)
    time.sleep(limits.proof_validity)
    out, back = [], []
    for index in range(1, 1 + rounds):
        net.net.kill(index)
        out.append(until(lambda index=index: not net.works(index)))
        net.net.start(index)
        back.append(until(lambda index=index: net.works(index)))
    say("the rule: the last proof counts for, and is as old as", f"{limits.proof_validity} s, 0 to {uptime:g} s")
    say("from the kill until the network has the verdict", spread(out))
    say("from the end of its start until it works again", spread(back))
    last = len(net.keys) - 1
    until(lambda: net.height() >= min(300, blocks), 3600)
    say(f"a node without anything follows {net.height()} blocks in", f"{net.begin_anew(last):.1f} s")

    first, before = net.height(), net.disk(0)
    until(lambda: net.height() >= first + blocks, 6 * 3600)
    after, reached = net.disk(0), net.height()
    for name, old, new in zip(("node's store", "CometBFT", "its log"), before, after, strict=True):
        say(f"bytes on disk per 1,000 blocks, {name}", f"{(new - old) * 1000 // (reached - first):,}")
    say("time between blocks", spread(net.intervals(reached - min(blocks, 300), reached)))
    for name, pid in zip(("a node", "its CometBFT"), net.pids(0), strict=True):
        say(f"resident memory of {name}", f"{(process.resident_bytes(pid) or 0) / 2**20:.0f} MiB")
    took = net.begin_anew(last, cometbft_sync=[net.url(0), net.url(1)])
    say(f"a node without anything is at {net.height()} by a snapshot in", f"{took:.1f} s")


def main() -> None:
    """Measures, and ends the network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=7)
    parser.add_argument("--uptime", type=float, default=8.0, help="seconds between two proofs")
    parser.add_argument("--rounds", type=int, default=5, help="how many nodes are killed")
    parser.add_argument("--blocks", type=int, default=1000, help="how many are looked at for what they take on disk")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        net = Measured(Path(directory) / "net", options.nodes, options.uptime)
        try:
            measure(net, options.uptime, options.rounds, options.blocks)
        finally:
            net.net.down()


if __name__ == "__main__":
    main()
