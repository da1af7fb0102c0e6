"""A portal with 1,500 nodes and 20,000 stakers: how long answers take at a rate of requests, and what they cost.

    bench/portal.py [--nodes 1500] [--stakers 20000] [--rate 200] [--seconds 20]

A node has ten stakers at most: those beyond had staked for nodes that have left.
The server is a process of its own, on one core where there are several. Requests come at their times, whether or not
those before were answered. Every two seconds there is another block, for which all is made anew: a real one comes every
two minutes. What the loop's longest step takes of the processor does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import multiprocessing
import os
import random
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from eth_utils.address import to_checksum_address

from allium.appchain.state import State
from allium.appchain.types import ContractId
from allium.portal import contract_index, documents
from allium.portal.api import PortalApi
from allium.portal.contract_events import ContractEvent
from allium.portal.contract_registry import ContractRegistry
from allium.portal.database import PortalDatabase
from allium.portal.documents import ArbitrumInfo, Event
from allium.portal.server import Portal, PortalHttpServer, SourceLimits
from allium.portal.settings import SCHEMA, PortalConfig
from allium.portal.turns import settle
from allium.server.messages import Answer, Request, failure
from allium.server.metrics import ServerMetrics
from allium.server.quota import SourceQuota
from allium.staking.addresses import Addresses
from tests.support.appchain_world import REQUIREMENT, World, address, bls, pubkey, stakes

_SOMEWHERE = to_checksum_address("0x" + "11" * 20)
_BLOCK_SECONDS = 2.0


class _Source:
    """A network that goes on without anybody's doing."""

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def state(self) -> State:
        return self._world.state

    def next(self) -> None:
        self._world.step()


class _Steps:
    """What the steps of this thread's loop take of the processor, in seconds."""

    def __init__(self) -> None:
        self.took: list[float] = []
        run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            began = time.thread_time()
            run(handle)
            self.took.append(time.thread_time() - began)

        asyncio.Handle._run = timed  # type: ignore[assignment,method-assign] # nobody else tells


class _Collections:
    """How long collections of garbage took, in seconds of the processor."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self._began = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.thread_time()
        else:
            self.took.append(time.thread_time() - self._began)


class _Contracts:
    """Events that are there already."""

    def __init__(self, events: list[ContractEvent]) -> None:
        self.index = contract_index.index(events)
        self.tip = ArbitrumInfo(block=2**40, timestamp=1, balance_reward_rate_pool=1, balance_service_node_rewards=1)


def network(nodes: int, stakers: int) -> tuple[World, list[ContractEvent]]:
    """Nodes with so many contributors in all, those that have left among them, and the events of it."""
    world, events = World(), []
    parts = parts_of(nodes, stakers)
    gone = max(0, stakers - nodes * parts) // parts
    for number in range(nodes + gone):
        share = REQUIREMENT // 4 if parts > 1 else REQUIREMENT
        rest = (REQUIREMENT - share) // max(1, parts - 1)
        amounts = [REQUIREMENT - rest * (parts - 1), *[rest] * (parts - 1)]
        given = stakes(*amounts, owner=number)
        world.register(number, given, fee=500)
        args = {
            "serviceNodeID": number + 1,
            "pubkey": {"X": documents.amount(int.from_bytes(bls(number)[:32], "big")), "Y": "1"},
            "contributors": [
                {"staker": {"addr": to_checksum_address(part.address)}, "stakedAmount": part.amount} for part in given
            ],
        }
        told = Event(
            name="NewServiceNodeV2", block=number, log_index=0, tx="0x" + "00" * 32, main_arg=str(number), args=args
        )
        events.append(ContractEvent(_SOMEWHERE, number + 1, told))
        if number % 100 == 99:
            world.step()
    world.step()
    for number in range(nodes, nodes + gone):
        world.exit(ContractId(number + 1))
        key = {"X": documents.amount(int.from_bytes(bls(number)[:32], "big")), "Y": "1"}
        args = {"serviceNodeID": number + 1, "returnedAmount": documents.amount(REQUIREMENT), "pubkey": key}
        block = world.state.l2_height
        told = Event(
            name="ServiceNodeExit", block=block, log_index=number, tx="0x" + "00" * 32, main_arg=str(number), args=args
        )
        events.append(ContractEvent(_SOMEWHERE, number + 1, told))
        if number % 100 == 99:
            world.step()
    world.steps(3)
    return world, events


def parts_of(nodes: int, stakers: int) -> int:
    """How many stake for one node."""
    return max(1, min(10, stakers // nodes))


async def serve(port: int, nodes: int, stakers: int, directory: Path, ready: Connection) -> None:
    """Until its other end is closed; then says what it took."""
    world, events = network(nodes, stakers)
    given = {name: directory / name for name in ("data_dir", "chain_file", "contracts", "network_file")}
    directory.joinpath("data_dir").mkdir()
    options = {"bind_ip": "127.0.0.1", "source_requests": 10**9, **given}
    config = PortalConfig(**SCHEMA.checked(options, "the benchmark"))
    addresses = Addresses(1, 0, *[_SOMEWHERE] * 4)
    database = PortalDatabase(directory / "portal.sqlite", 1, _SOMEWHERE, 0)
    contracts: Any = _Contracts(events)
    source = _Source(world)
    portal = Portal(source, contracts, database, None)  # type: ignore[arg-type] # it does not run
    nothing: Any = None
    limits = SourceLimits(config)
    api = PortalApi(portal, database, nothing, nothing, ContractRegistry(addresses), limits, 1)
    metrics = ServerMetrics("portal", directory)
    http = PortalHttpServer(config, SourceQuota(1 << 30), api.answer, _nothing, metrics)
    runner = web.ServerRunner(http, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    made: list[float] = []

    async def blocks() -> None:
        while True:
            await asyncio.sleep(_BLOCK_SECONDS)
            await asyncio.to_thread(source.next)
            began = time.monotonic()
            await portal.refresh()
            made.append(time.monotonic() - began)

    going = asyncio.create_task(blocks())
    await portal.refresh()
    settle()
    steps, collections = _Steps(), _Collections()
    before, before_loop = resource.getrusage(resource.RUSAGE_SELF), time.thread_time()
    ready.send(None)
    await asyncio.to_thread(ready.poll, None)
    after = resource.getrusage(resource.RUSAGE_SELF)
    loop_cpu = time.thread_time() - before_loop
    going.cancel()
    cpu = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    longest = max(steps.took), max([0.0, *collections.took])
    ready.send((cpu, loop_cpu, longest, len(made), sum(made) / max(1, len(made)), after.ru_maxrss))
    await runner.cleanup()


async def _nothing(request: Request) -> Answer:
    return failure(404)


def child(port: int, nodes: int, stakers: int, directory: str, ready: Connection) -> None:
    """The process of the server."""
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    asyncio.run(serve(port, nodes, stakers, Path(directory), ready))


async def ask(port: int, rate: float, seconds: float, nodes: int, parts: int) -> dict[str, list[float]]:
    """Latencies in seconds, by what was asked."""
    chance = random.Random(1)

    def person() -> str:
        return to_checksum_address(address(f"{chance.randrange(nodes)} {chance.randrange(parts)}"))

    kinds: dict[str, Callable[[], str]] = {
        "/info": lambda: "/info",
        "/stakes/ADDRESS": lambda: f"/stakes/{person()}",
        "/rewards/ADDRESS": lambda: f"/rewards/{person()}",
        "/stakes/PUBKEY": lambda: f"/stakes/{pubkey(chance.randrange(nodes)).hex()}",
        "/contract/contribution/ADDRESS": lambda: f"/contract/contribution/{person()}",
        "/events/100/0": lambda: "/events/100/0",
        "/nodes": lambda: "/nodes",
    }
    weights = [20, 30, 30, 10, 10, 5, 1]
    took: dict[str, list[float]] = defaultdict(list)
    base = f"http://127.0.0.1:{port}"
    # A browser unpacks on its own machine.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False) as session:

        async def one(kind: str) -> None:
            began = time.monotonic()
            async with session.get(base + kinds[kind]()) as answer:
                await answer.read()
                answer.raise_for_status()
            took[kind].append(time.monotonic() - began)

        async with asyncio.TaskGroup() as asking:
            start = time.monotonic()
            for number in range(round(rate * seconds)):
                await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
                [kind] = chance.choices(list(kinds), weights)
                asking.create_task(one(kind))
    return took


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1500)
    parser.add_argument("--stakers", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--port", type=int, default=18202)
    given = parser.parse_args()
    parts = parts_of(given.nodes, given.stakers)
    with tempfile.TemporaryDirectory() as directory:
        ours, theirs = multiprocessing.Pipe()
        arguments = (given.port, given.nodes, given.stakers, directory, theirs)
        process = multiprocessing.get_context("spawn").Process(target=child, args=arguments)
        process.start()
        ours.recv()
        took = asyncio.run(ask(given.port, given.rate, given.seconds, given.nodes, parts))
        ours.send(None)
        cpu, loop_cpu, longest, blocks, making, resident = ours.recv()
        process.join()
    print(f"{'':32} {'requests':>8} {'median ms':>10} {'p99 ms':>8} {'worst ms':>9}")
    for kind, times in [*sorted(took.items()), ("all", [each for every in took.values() for each in every])]:
        ordered = sorted(times)
        median, last = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
        print(f"{kind:32} {len(ordered):8} {median * 1000:10.1f} {last * 1000:8.1f} {ordered[-1] * 1000:9.1f}")
    count = sum(map(len, took.values()))
    making_cpu = max(0.0, cpu - loop_cpu) / max(1, blocks)
    print(f"{loop_cpu / count * 1000:.2f} ms of the processor a request, {making_cpu:.2f} s a block,")
    print(f"of which {blocks} were made in {making:.2f} s each; the loop's longest step took")
    print(f"{longest[0] * 1000:.1f} ms of the processor, the longest collection of garbage {longest[1] * 1000:.1f} ms;")
    print(f"{resident >> 10} MiB; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
