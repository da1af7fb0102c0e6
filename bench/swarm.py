"""What it costs a swarm to lose nothing: `python bench/swarm.py`; every node is a real process on this machine.

* how long a client waits for a store while all five members live, and while one of them is dead;
* how long it takes until a new member holds the 10,000 messages of its swarm;
* how long the network's algorithm takes to give 100,000 nodes their swarms after one has left and one has joined.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import aiohttp
from nacl import bindings

from allium.appchain.swarms import MAX_ID, NEW_SIZE, UNASSIGNED, assign
from allium.client import Account
from allium.client.direct import Node, OmqClient
from allium.devnet.network import Devnet

OUT = Path(__file__).parent / "out"
MEMBERS = 5
#: Requests under way at once.
CONNECTIONS = 16
BYTES = 1024


def quantile(values: list[float], share: float) -> float:
    """The value below which `share` of the values lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def store(entry: Node, count: int, account: str, session: aiohttp.ClientSession) -> list[float]:
    """Stores `count` new messages; the milliseconds that each took."""
    left = iter(range(count))
    times: list[float] = []

    async def work() -> None:
        for _ in left:
            data = base64.b64encode(os.urandom(BYTES)).decode()
            params = {"pubkey": account, "timestamp": time.time_ns() // 1_000_000, "ttl": 86_400_000, "data": data}
            began = time.perf_counter()
            body = {"method": "store", "params": params}
            url = f"https://{entry.ip}:{entry.https_port}/storage_rpc/v1"
            async with session.post(url, json=body, ssl=False) as answer:
                answer.raise_for_status()
                await answer.read()
            times.append((time.perf_counter() - began) * 1000)

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return times


def accounts(count: int) -> list[str]:
    """Accounts that nobody has yet."""
    return [Account.new().account_id for _ in range(count)]


async def dead_member(net: Devnet, admin: bytes, rounds: int, requests: int) -> None:
    """Stores while all live and while one is dead, by turns."""
    entry = Node.parse(vars(net.layout.read_network().nodes[0]))
    found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    async with aiohttp.ClientSession() as session:
        await store(entry, requests, accounts(1)[0], session)
        for _ in range(rounds):
            for dead in (False, True):
                if dead:
                    net.kill(MEMBERS - 1)
                times = await store(entry, requests, accounts(1)[0], session)
                found[dead].append((quantile(times, 0.5), quantile(times, 0.99)))
                if dead:
                    net.start(MEMBERS - 1)
                    await until(entry, admin, "members_behind", 0)
    for dead, name in ((False, "all members live"), (True, "one of five dead")):
        p50, p99 = (statistics.median(column) for column in zip(*found[dead], strict=True))
        print(f"store, {name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms (medians of {rounds} rounds of {requests})")
    healthy, ill = (statistics.median(p99 for _, p99 in found[dead]) for dead in (False, True))
    print(f"p99 with one dead / healthy: {ill / healthy:.2f}")


async def until(node: Node, admin: bytes, figure: str, value: int) -> None:
    """Returns when this figure of `service.get_stats` has this value."""
    async with OmqClient(node, admin) as client:
        # An event that only the node knows of.
        while json.loads((await client.request("service.get_stats"))[0])[figure] != value:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def new_member(net: Devnet, admin: bytes, messages: int) -> None:
    """A node joins the swarm, with nothing."""
    node = net.layout.read_network().nodes[0]
    async with aiohttp.ClientSession() as session:
        for account in accounts(10):
            await store(Node.parse(vars(node)), messages // 10, account, session)
    held = Node.parse(vars(node))
    async with OmqClient(held, admin) as client:
        total = json.loads((await client.request("service.get_stats"))[0])["total_stored"]
    index = net.add(node.swarm_id)
    began = time.perf_counter()
    await until(Node.parse(vars(net.layout.read_network().nodes[index])), admin, "total_stored", total)
    print(f"a new member holds all {total:,} messages {time.perf_counter() - began:.2f} s after it is up")


def recompute(count: int) -> None:
    """One node leaves a network of this size, and another joins."""
    keys = [number.to_bytes(32, "big") for number in range(count)]
    swarms = {key: number // NEW_SIZE * (MAX_ID * NEW_SIZE // count) for number, key in enumerate(keys)}
    del swarms[keys[count // 2]]
    swarms[count.to_bytes(32, "big")] = UNASSIGNED
    times = []
    for number in range(5):
        began = time.perf_counter()
        assign(swarms, number)
        times.append(time.perf_counter() - began)
    print(f"{count:,} nodes after one has left and one has joined: {statistics.median(times):.2f} s (median of 5)")


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=3000, help="stores in one round")
    parser.add_argument("--messages", type=int, default=10_000, help="what a new member has to get")
    parser.add_argument("--nodes", type=int, default=100_000, help="of the network that is put into swarms")
    arguments = parser.parse_args()
    admin = os.urandom(32)
    os.environ["ALLIUM_STATS_ACCESS_KEYS"] = json.dumps([bindings.crypto_scalarmult_base(admin).hex()])
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUT) as directory:
        for name, measure in (
            ("joined", lambda net: new_member(net, admin, arguments.messages)),
            ("dead", lambda net: dead_member(net, admin, arguments.rounds, arguments.requests)),
        ):
            net = Devnet(Path(directory) / name)
            net.up(MEMBERS, MEMBERS)
            try:
                asyncio.run(measure(net))
            finally:
                net.down()
    recompute(arguments.nodes)


if __name__ == "__main__":
    main()
