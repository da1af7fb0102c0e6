"""An explorer over a network of many nodes in this process: the real HTTP server, and a state that tests make."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiohttp import web
from eth_utils.address import to_checksum_address
from nacl import bindings

from allium.appchain.certificates import Verdict
from allium.appchain.types import Height, L2Height, PublicKey, Seconds, Signature
from allium.appchain.verdicts import Proven
from allium.liveness import HISTORY
from allium.liveness.history import Accepted, History, SavedRecord
from allium.liveness.proof import SignedProof, Uptime
from allium.portal import contract_index, documents
from allium.portal.api import SOURCE
from allium.portal.contract_events import ContractEvent
from allium.portal.documents import ArbitrumInfo, Event
from allium.portal.epoch import Epoch
from allium.portal.explorer.fees import Payment
from allium.portal.explorer.figures import ContractFigures
from allium.portal.explorer.samples import Sample, Samples
from allium.portal.explorer.service import Explorer
from allium.portal.limits import Rate
from allium.portal.server import PortalHttpServer
from allium.portal.settings import SCHEMA, PortalConfig
from allium.server.messages import Answer, Request, failure
from allium.server.metrics import ServerMetrics
from allium.server.quota import SourceQuota
from tests.support.appchain_world import REQUIREMENT, World, address, bls, pubkey, stakes

SESH = 10**9
#: Public addresses of several countries, and one of none.
PLACES = ("5.9.0.1", "8.8.8.8", "51.15.0.1", "193.0.6.139", "1.0.16.1", "203.0.113.9", "139.59.0.1")
#: What a stranger would write into an event if the contract let them.
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202eabc\x00 =cmd|'/C calc'!A0"
#: Fees that were split, of two payers.
PAYMENTS = tuple(
    Payment(
        block, 0, f"0x{block:064x}", to_checksum_address(f"0x{block % 2 + 17:02x}" + "22" * 19), fee, pool, fee - pool
    )
    for block, fee in ((7, 99), (8, 7 * SESH), (9, 1))
    for pool in [fee * 90 // 100]
)
SOMEWHERE = to_checksum_address("0x" + "11" * 20)


def world_of(nodes: int, parts: int = 3) -> tuple[World, list[ContractEvent]]:
    """Nodes of every state, and what the contract said of them; the first event has hostile arguments."""
    hostile = {"note": HOSTILE, HOSTILE: 1, "recipientAddress": HOSTILE, "amount": "1"}
    world, events = World(), [_event(0, "RewardsBalanceUpdated", None, hostile)]
    for number in range(nodes):
        rest = REQUIREMENT // 4 * 3 // max(1, parts - 1)
        amounts = [REQUIREMENT - rest * (parts - 1), *[rest] * (parts - 1)]
        given = stakes(*amounts, owner=number)
        world.register(number, given, fee=500)
        people = [
            {"staker": {"addr": to_checksum_address(part.address)}, "stakedAmount": part.amount} for part in given
        ]
        key = {"X": documents.amount(int.from_bytes(bls(number)[:32], "big")), "Y": "1"}
        args = {"serviceNodeID": number + 1, "pubkey": key, "contributors": people}
        events.append(_event(number + 1, "NewServiceNodeV2", number + 1, args))
        if number % 100 == 99:
            world.step()
    world.steps(3)
    return world, events


def _event(block: int, name: str, node: int | None, args: dict[str, Any]) -> ContractEvent:
    main = HOSTILE if node is None else str(node)
    told = Event(name=name, block=block, log_index=0, tx=f"0x{block:064x}", main_arg=main, args=args)
    return ContractEvent(SOMEWHERE, node, told)


def trouble(world: World) -> None:
    """Has one node deregistered, one down, one asked to leave, one gone, and one refused."""
    down = world.worker()
    world.step(world.certificate(down, Verdict.DECOMMISSION, reasons=9))
    while world.state.nodes[pubkey(down)].credit(world.state.height, world.state.parameters) >= 0:
        world.step()
    while (drawn := world.state.quorum(world.state.height)) is None or pubkey(down) not in drawn.workers:
        world.step()
    world.step(world.certificate(down, Verdict.DEREGISTER))
    working = [node for node in world.state.nodes.values() if not node.decommissioned]
    world.request_exit(working[-1].contract_id)
    world.steps(world.state.parameters.unlock_duration + 2)
    world.request_exit(working[-2].contract_id)
    world.register(max(world.next_id, 5000), stakes(REQUIREMENT - 1, owner="poor"))
    world.step()
    world.step(world.certificate(world.worker(), Verdict.DECOMMISSION, reasons=9))


class ExplorerUnderTest:
    """One, at `url`; what it shows is changed by `show`."""

    def __init__(self, world: World, events: list[ContractEvent], directory: Path) -> None:
        self.world = world
        self._index = contract_index.index(events)
        self.now = SimpleNamespace(epoch=self._epoch(), tip=_tip(len(events)))
        self.source = SimpleNamespace(
            figures=ContractFigures(len(events), 240_000_000 * SESH, 12_345_678_901, 90, PAYMENTS, len(events)),
            run=asyncio.Event().wait,
        )
        self._directory = directory
        self._write(directory)
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._thread = threading.Thread(target=self._loop.run_forever, name="explorer")
        self._thread.start()
        self.url = self.run(self._open())

    def run(self, work: Any) -> Any:
        """Carries it out where the server is."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def show(self) -> None:
        """Shows the state that the world has now."""
        self.now.epoch = self._epoch()

    def close(self) -> None:
        self.run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _epoch(self) -> Epoch:
        return Epoch(self.world.state, self._index, {}, self.world.state.time)

    def _write(self, directory: Path) -> None:
        """What the operator's node has kept of all but the first two nodes, and a list that has the second."""
        history = History(directory / HISTORY, self.world.state.parameters.chain)
        history.note({pubkey(number): _record(number) for number in range(2, len(self.world.state.nodes))})
        history.keep(0, 1, Height(1))
        history.close()
        entry = {
            "ip": PLACES[0],
            "https_port": 1,
            "omq_port": 2,
            "pubkey_ed25519": pubkey(1).hex(),
            "pubkey_x25519": bindings.crypto_sign_ed25519_pk_to_curve25519(pubkey(1)).hex(),
        }
        (directory / "network.json").write_text(json.dumps({"nodes": [entry, "junk", {"ip": HOSTILE}]}))
        samples, hour = Samples(directory / "samples.sqlite"), 3600
        last = self.world.state.time
        for back in range(60, 0, -1):
            earned = (61 - back) * 10 * SESH
            samples.keep(
                Sample(
                    last - back * hour, max(1, (61 - back) // 2), 1, 9, 9, 9 * REQUIREMENT, earned, 0, SESH, 40 * SESH
                )
            )
        samples.close()

    async def _open(self) -> str:
        directory = self._directory
        given = {name: directory / name for name in ("data_dir", "chain_file", "contracts", "network_file")}
        directory.joinpath("data_dir").mkdir()
        config = PortalConfig(**SCHEMA.checked({"bind_ip": "127.0.0.1", **given}, "a test"))
        samples = Samples(directory / "samples.sqlite")
        self._stack.callback(samples.close)
        source: Any = self.source
        self.requests = Rate(100_000, 10)
        self.explorer = Explorer(
            self.now, samples, source, self.requests, lambda: SOURCE.get("local"), directory / "network.json", directory
        )
        running = asyncio.create_task(self.explorer.run())
        self._stack.push_async_callback(_ended, running)
        while not self.explorer._contacts:  # noqa: ASYNC110 - it does not tell
            await asyncio.sleep(0)
        http = PortalHttpServer(
            config, SourceQuota(1 << 30), self.explorer.beside(_api), _api, ServerMetrics("portal", directory)
        )
        runner = web.ServerRunner(http, handle_signals=False)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        return f"http://127.0.0.1:{port}"


def _tip(block: int) -> ArbitrumInfo:
    return ArbitrumInfo(
        block=block,
        timestamp=1_750_000_000,
        balance_reward_rate_pool=documents.amount(40_000_000 * SESH),
        balance_service_node_rewards=1,
    )


def _record(number: int) -> SavedRecord:
    ip = PLACES[number % len(PLACES)]
    version = (2, 11, number % 3)
    said = Uptime(pubkey(number), Seconds(1_750_000_000), ip, 1, 2, L2Height(1), (2, 11, 0), version)
    at = Seconds(1_750_000_010)
    proof = Accepted(SignedProof(said.encoded, Signature(bytes(64))), at)
    none = Height(0)
    return SavedRecord(none, none, Seconds(0), (proof,), (Proven(ip, at),), (), (), ())


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _api(request: Request) -> Answer:
    return failure(404)


@contextmanager
def explored(directory: Path, nodes: int, parts: int = 3, troubled: bool = True) -> Iterator[ExplorerUnderTest]:
    """An explorer of so many nodes, until the block ends."""
    world, events = world_of(nodes, parts)
    if troubled:
        trouble(world)
    made = ExplorerUnderTest(world, events, directory)
    try:
        yield made
    finally:
        made.close()


def beneficiary(number: int, part: int) -> str:
    """Who gets the rewards of a part of a node."""
    return to_checksum_address(address(f"{number} {part} beneficiary"))


def key(number: int) -> PublicKey:
    return pubkey(number)
