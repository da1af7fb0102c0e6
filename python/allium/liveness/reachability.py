"""Whom to test for being reachable and when, and whether anybody tests us (`spec/swarms` §5.1)."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from random import Random, SystemRandom
from typing import TYPE_CHECKING

from allium.appchain.swarms import UNASSIGNED
from allium.base import log, pulse

if TYPE_CHECKING:
    from allium._native import Network, Node, NodeEntry

TICK_SECONDS = 0.2
#: Mean time between tests of nodes at random.
INTERVAL_SECONDS = 10.0
RETESTS_PER_TICK = 4
#: As parts of the mean.
_DEVIATION = 0.3
_LONGEST_PAUSE = 12.0
#: How long nobody may test a node before something is wrong with it.
SILENCE = 12.0
#: From this hardfork and revision on, nodes have QUIC and are tested over it.
_QUIC = (19, 4)
#: Tests under way at once. A node that answers nothing takes five seconds.
_TESTS = 32

#: Whether a test passed is told to somebody.
Report = Callable[["NodeEntry", bool], Awaitable[None]]


class Scheduler:
    """Which nodes to test now. Times are seconds of any one clock, nodes are named by any one key."""

    def __init__(self, now: float, interval: float = INTERVAL_SECONDS, random: Random | None = None) -> None:
        self._interval = interval
        self._random = random or SystemRandom()
        self._nodes: set[str] = set()
        self._queue: list[str] = []
        self._next_random = now + self._pause()
        #: Failing nodes: how often in a row, and when to test them again.
        self._failing: dict[str, tuple[int, float]] = {}
        self._testing: set[str] = set()

    def failures(self, node: str) -> int:
        """How often in a row a node was not reached."""
        count, _ = self._failing.get(node, (0, 0.0))
        return count

    def set_nodes(self, nodes: Iterable[str]) -> None:
        """Whom to test from now on: every other node that has an address."""
        self._nodes = set(nodes)
        self._failing = {node: state for node, state in self._failing.items() if node in self._nodes}

    def suspect(self, node: str, now: float) -> None:
        """Tests a node next, because it was not reached before this began."""
        if node in self._nodes or not self._nodes:
            self._failing.setdefault(node, (1, now))

    def due(self, now: float) -> list[str]:
        """Whom to test at this tick. Each has to be given to `tested` or `untested` before it comes again."""
        chosen: list[str] = []
        if now >= self._next_random:
            self._next_random = now + self._pause()
            node = self._pop()
            if node is not None:
                chosen.append(node)
        again = sorted((due, node) for node, (_, due) in self._failing.items() if due <= now)
        for _, node in again[:RETESTS_PER_TICK]:
            self._failing[node] = (self.failures(node), math.inf)
            chosen.append(node)
        self._testing.update(chosen)
        return chosen

    def tested(self, node: str, passed: bool, now: float) -> None:
        """How a test that `due` asked for has ended."""
        self._testing.discard(node)
        before, _ = self._failing.pop(node, (0, 0.0))
        if passed or node not in self._nodes:
            return
        pause = min(before * self._interval + self._pause(), _LONGEST_PAUSE * self._interval)
        self._failing[node] = (before + 1, now + pause)

    def untested(self, node: str) -> None:
        """A test that `due` asked for could not be done, because the node is gone."""
        self._testing.discard(node)
        self._failing.pop(node, None)

    def _pause(self) -> float:
        return max(0.0, self._random.gauss(self._interval, _DEVIATION * self._interval))

    def _pop(self) -> str | None:
        """The next of all nodes in random order that is there, not failing and not being tested."""
        for _ in range(2):
            while self._queue:
                node = self._queue.pop()
                if node in self._nodes and node not in self._failing and node not in self._testing:
                    return node
            self._queue = sorted(self._nodes)
            self._random.shuffle(self._queue)
        return None


class PingWatch:
    """Notices when nobody has tested us over a transport for long. Times are seconds of one clock."""

    def __init__(self, now: float, silence: float = SILENCE * INTERVAL_SECONDS) -> None:
        self._since = now
        self._silence = silence
        self._warned: dict[str, float] = {}

    def overdue(self, now: float, pinged: Mapping[str, float]) -> dict[str, float]:
        """The transports to warn of now, and for how long there was nothing. `pinged` has the last times, 0 for never.

        Each transport comes again only after as long a silence more.
        """
        silent = {transport: now - max(last, self._since) for transport, last in pinged.items()}
        for transport in [transport for transport, length in silent.items() if length < self._silence]:
            del silent[transport]
            self._warned.pop(transport, None)
        told = {name: length for name, length in silent.items() if now - self._warned.get(name, 0) >= self._silence}
        self._warned.update(dict.fromkeys(told, now))
        return told


class Reachability:
    """Tests other nodes with the engine, while the node belongs to the network."""

    def __init__(
        self, engine: Node, own_ed25519: str, report: Report | None = None, interval: float = INTERVAL_SECONDS
    ) -> None:
        """`report` is told of every result; without it they stand in the engine's statistics only."""
        self._engine = engine
        self._own = own_ed25519
        self._report = report
        self._scheduler = Scheduler(time.monotonic(), interval)
        self._watch = PingWatch(time.time(), SILENCE * interval)
        self._nodes: dict[str, NodeEntry] = {}
        self._has_quic = True
        self._tests: set[asyncio.Task[None]] = set()
        self._logger = log.get("reachability")

    def set_network(self, network: Network) -> None:
        """The network in force."""
        self._nodes = {node["pubkey_ed25519"]: node for node in network["nodes"]}
        self._has_quic = tuple(network["hardfork"]) >= _QUIC
        self._scheduler.set_nodes(
            key for key, node in self._nodes.items() if key != self._own and node["ip"] != "0.0.0.0"
        )

    def suspect(self, key: str) -> None:
        """Tests a node next, by its Ed25519 key, hex: it was not reached before a restart."""
        self._scheduler.suspect(key, time.monotonic())

    async def run(self) -> None:
        """Until cancelled."""
        pool = ThreadPoolExecutor(_TESTS, "test")
        try:
            while True:
                pulse.beat()
                await asyncio.sleep(TICK_SECONDS)
                self._tick(pool)
        finally:
            for test in self._tests:
                test.cancel()
            # What runs in its threads ends with the engine.
            pool.shutdown(wait=False, cancel_futures=True)

    def _tick(self, pool: ThreadPoolExecutor) -> None:
        own = self._nodes.get(self._own)
        if own is None:
            return
        if len(self._nodes) > 1:
            pinged = self._engine.pinged()
            if not self._has_quic:
                del pinged["quic"]
            for transport, seconds in self._watch.overdue(time.time(), pinged).items():
                self._logger.warning(
                    "nobody has tested whether this node is reachable; are its ports open to the outside?",
                    transport=transport,
                    seconds=round(seconds),
                )
        if own["swarm_id"] == UNASSIGNED:
            return
        for key in self._scheduler.due(time.monotonic()):
            task = asyncio.create_task(self._test(pool, self._nodes[key]))
            self._tests.add(task)
            task.add_done_callback(self._tests.discard)

    async def _test(self, pool: ThreadPoolExecutor, node: NodeEntry) -> None:
        key = node["pubkey_ed25519"]
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(pool, self._engine.test_peer, key)
        if result is None:
            self._scheduler.untested(key)
            return
        passed = all(reached is not False for reached in result)
        failures = self._scheduler.failures(key)
        self._scheduler.tested(key, passed, time.monotonic())
        if not passed or failures:
            https, omq, quic = result
            self._logger.info("tested", node=key, passed=passed, https=https, omq=omq, quic=quic, failures=failures)
        if self._report is not None:
            await self._report(node, passed)
