"""A network of real nodes, each with a real CometBFT: what a committee decides, all compute, whoever dies or lies."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

from allium._native import verify_ed25519
from allium.appchain.certificates import Certificate, Verdict
from allium.appchain.encoding import decode, encode
from allium.appchain.input import Input
from allium.appchain.parameters import Parameters
from allium.appchain.state import genesis
from allium.appchain.types import Blocks, L2Height
from allium.consensus.cometbft import rpc
from allium.consensus.cometbft.committee import drawn_again
from allium.consensus.cometbft.sighting import nothing_new
from allium.consensus.cometbft.store import Standing
from allium.consensus.cometbft.store import Store as CometStore
from allium.consensus.solo import Listen, Sequencer
from allium.consensus.store import Store
from allium.devnet import ports
from appchain_world import RATE, RULES, World, pubkey, secret, sign
from cometbft_process import more
from solo_process import append
from test_redelivery import await_that

#: Longer than anything takes, also on a busy machine.
PATIENCE = 60.0
SNAPSHOT_EVERY = 10
Said = dict[str, Any]


class Node:
    """One node: a process, and its CometBFT."""

    def __init__(self, settings: Said) -> None:
        script = Path(__file__).with_name("cometbft_process.py")
        self.settings = settings
        self.process = subprocess.Popen(
            [sys.executable, str(script), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._heard: Queue[Said | str | None] = Queue()
        self.states: dict[int, Said] = {}
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._heard.put(json.loads(line) if line.startswith("{") else line)
        self._heard.put(None)

    def hear(self, what: Callable[[Said | str], bool], patience: float = PATIENCE) -> Said | str | None:
        """The first thing of this kind that it says from now on; `None` when it says no such thing in time."""
        deadline = time.monotonic() + patience
        while (left := deadline - time.monotonic()) > 0:
            try:
                said = self._heard.get(timeout=left)
            except Empty:
                return None
            assert said is not None, f"{self.settings['directory']} ended"
            if isinstance(said, dict) and "height" in said:
                self.states[said["height"]] = said
            if what(said):
                return said
        return None

    def until(self, height: int, **more: Any) -> Said:
        """The first state at or beyond a height of which this is so too."""
        found = self.hear(
            lambda said: isinstance(said, dict) and said.get("height", -1) >= height and more.items() <= said.items()
        )
        assert isinstance(found, dict), f"{self.settings['directory']} is not at {height} with {more}"
        return found

    def says(self, text: str) -> str:
        found = self.hear(lambda said: isinstance(said, str) and text in said)
        assert isinstance(found, str), f"{self.settings['directory']} does not say {text!r}"
        return found

    def reason(self) -> str:
        """Why it ends by itself."""
        found = self.hear(lambda said: isinstance(said, dict) and "ended" in said)
        assert isinstance(found, dict)
        assert self.process.wait(PATIENCE) == 1
        return str(found["ended"])

    @property
    def height(self) -> int:
        """The last that it told of so far."""
        self.hear(lambda _: False, 0.05)
        return max(self.states, default=0)

    def cut_off(self, *others: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(pubkey(other).hex() for other in others) + "\n")
        self.process.stdin.flush()

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends it with its CometBFT, as a power cut would; SIGTERM: by itself."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        if self.process.stdin is not None:
            self.process.stdin.close()

    @property
    def store(self) -> Path:
        return Path(self.settings["directory"]) / "store"

    def inputs(self) -> list[Input]:
        """What it keeps of what was decided."""
        with contextlib.closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT encoded FROM input ORDER BY height").fetchall()
        return [decode(Input, row[0]) for row in rows]


class Net:
    """Nodes in one directory, on one EVM chain that goes on by itself."""

    def __init__(self, directory: Path, free: list[int], parameters: Parameters, nodes: int, committee: int) -> None:
        self.directory, self.parameters = directory, parameters
        self._ports = list(zip(free[::2], free[1::2], strict=True))
        self.chain = directory / "chain"
        self.chain.touch()
        self.world = World(parameters)
        for name in range(nodes):
            self.world.register(name)
        self.beginning = {
            "time": int(time.time()),
            "committee": [pubkey(name).hex() for name in range(committee)],
        }
        self.nodes: dict[int, Node] = {}
        self._ended = threading.Event()
        self._miner = threading.Thread(target=self._mine)
        self._miner.start()
        for name in range(nodes):
            self.start(name)

    def _mine(self) -> None:
        while not self._ended.wait(0.5):
            given = self.world.input()
            self.world.step()
            append(self.chain, given.observation)

    def start(self, name: int, **more: Any) -> Node:
        port, rpc_port = self._ports[name]
        settings = {
            "parameters": encode(self.parameters).hex(),
            "directory": str(self.directory / f"node{name}"),
            "chain": str(self.chain),
            "secret": secret(name).hex(),
            "port": port,
            "rpc": rpc_port,
            "peers": [(pubkey(other).hex(), p2p) for other, (p2p, _) in enumerate(self._ports)],
            "beginning": self.beginning,
            "snapshot_every": SNAPSHOT_EVERY,
            **more,
        }
        self.nodes[name] = Node(settings)
        return self.nodes[name]

    def url(self, name: int) -> str:
        return f"http://127.0.0.1:{self._ports[name][1]}/"

    def reach(self, height: int, *names: int) -> None:
        for name in names or self.nodes:
            self.nodes[name].until(height)

    def grow(self, count: int, *names: int) -> None:
        """Lets nodes get so much further than any is."""
        self.reach(max(node.height for node in self.nodes.values()) + count, *names)

    def agree(self, *names: int) -> int:
        """Compares the roots at all heights that several have told of; how many those are."""
        told = [self.nodes[name].states for name in names or self.nodes]
        common = set.intersection(*map(set, told))
        assert common
        for height in common:
            assert len({states[height]["root"] for states in told}) == 1
        return len(common)

    def certificate(self, name: int, worker: int) -> Certificate:
        """What its testers would say of a node, at the last height of another."""
        store = CometStore(self.nodes[name].store, self.parameters)
        scratch = copy.copy(self.world)
        scratch.state = store.load(Standing(genesis(self.parameters), ())).state
        store.close()
        return scratch.certificate(worker, Verdict.DECOMMISSION)

    def close(self) -> None:
        self._ended.set()
        self._miner.join()
        for node in self.nodes.values():
            node.end()


def network(
    directory: Path, nodes: int, committee: int, spare: int = 0, parameters: Parameters = RULES
) -> contextlib.AbstractContextManager[Net]:
    stack = contextlib.ExitStack()
    free = stack.enter_context(ports.reserve(2 * (nodes + spare)))
    net = Net(directory, free, parameters, nodes, committee)
    stack.callback(net.close)

    @contextlib.contextmanager
    def opened() -> Iterator[Net]:
        with stack:
            yield net

    return opened()


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    """Four nodes that vote, and place for one more. They keep their seats."""
    rules = replace(RULES, day=Blocks(10_000))
    with network(tmp_path_factory.mktemp("four"), 4, 4, spare=1, parameters=rules) as net:
        yield net


async def test_a_committee_and_a_sequencer_find_the_same_of_the_same(four: Net, tmp_path: Path) -> None:
    four.reach(8)
    assert four.agree() >= 6
    inputs = four.nodes[1].inputs()
    assert [given.height for given in inputs] == list(range(1, len(inputs) + 1))
    assert any(given.observation.events for given in inputs), "the registrations are in"
    now = inputs[0]
    with Store(tmp_path / "solo", four.parameters, pubkey(50)) as store:
        sequencer = Sequencer(store, NoSource(), secret(50), Listen("127.0.0.1", 0), clock=lambda: now.time)
        for now in inputs:
            sequencer._pending = dict.fromkeys(now.certificates)
            await sequencer._propose(now.observation)
            if (told := four.nodes[1].states.get(now.height)) is not None:
                assert sequencer.state.root.hex() == told["root"]
    assert sequencer.state.verifier is verify_ed25519
    assert sequencer.state.height == inputs[-1].height and len(sequencer.state.nodes) == 4


class NoSource:
    async def observe(self, after: L2Height, upto: L2Height | None = None) -> Any:
        raise AssertionError("the inputs are given")


def test_fake_certificates_do_not_get_in(four: Net) -> None:
    four.grow(2)
    good = four.certificate(1, 3)
    few = replace(good, votes=good.votes[:1])
    strange = replace(good, votes=(*good.votes[:-1], replace(good.votes[-1], signature=sign(50, b"anything"))))
    later = replace(good, height=type(good.height)(good.height + 1000))
    for fake, why in (
        (encode(few), "are needed"),
        (encode(strange), "wrong signature"),
        (encode(later), "do not count"),
        (encode(more(four.nodes[1].inputs()[0].observation)), "no certificate"),
        (b"junk", "no certificate"),
        (b"d" * 20_000, "larger than any certificate"),
    ):
        for name in (0, 3):
            assert why in told(four.url(name), fake)
    four.grow(2)
    assert all(not given.certificates for given in four.nodes[0].inputs())


def told(url: str, transaction: bytes) -> str:
    """What CometBFT says of a transaction that is handed in; empty when it takes it."""
    try:
        return asyncio.run(rpc.broadcast(url, transaction)) or ""
    except rpc.RpcError as error:
        # Larger than CometBFT itself takes.
        return "larger than any certificate" if "too large" in str(error) else str(error)


def test_a_member_that_proposes_lies_is_voted_down(four: Net) -> None:
    four.nodes[3].end(signal.SIGTERM)
    four.start(3, lies=True)
    for name in (0, 1, 2):
        assert "votes against a proposal" in four.nodes[name].says("sees something else on the EVM chain")
    four.grow(3)
    four.agree()
    expect_the_true_rate(four)


def expect_the_true_rate(net: Net) -> None:
    """Whatever was said of it."""
    rates = {given.observation.reward_rate for given in net.nodes[0].inputs()}
    at_first = nothing_new(genesis(net.parameters)).reward_rate
    assert RATE in rates and rates <= {RATE, at_first}


def test_a_node_whose_provider_lies_stops_and_the_others_go_on(four: Net) -> None:
    four.nodes[3].end()
    lied_to = four.start(3, lied_to=True)
    assert "is not what this node sees there" in lied_to.reason()
    four.nodes[3].end()
    four.nodes.pop(3)
    four.grow(2)
    expect_the_true_rate(four)
    # With a better provider it goes on where it stopped.
    four.start(3)
    four.grow(2)
    four.agree()


def test_a_cut_network_stops_and_goes_on_when_it_is_healed(four: Net) -> None:
    sides = ({0, 1}, {2, 3})
    for name, node in four.nodes.items():
        node.cut_off(*sides[name < 2])
    for node in four.nodes.values():
        # What was under way when the last connection ended may still come.
        node.hear(lambda _: False, 2)
    stopped = {name: node.height for name, node in four.nodes.items()}
    for node in four.nodes.values():
        node.hear(lambda _: False, 1)
    assert {name: node.height for name, node in four.nodes.items()} == stopped
    for node in four.nodes.values():
        node.cut_off()
    four.grow(2)
    four.agree()


def test_all_are_killed_and_go_on(four: Net) -> None:
    before = {name: dict(node.states) for name, node in four.nodes.items()}
    with contextlib.ExitStack() as stack:
        engines = [os.pidfd_open(node.states[max(node.states)]["pid"]) for node in four.nodes.values()]
        for engine in engines:
            stack.callback(os.close, engine)
        for node in four.nodes.values():
            node.end()
        # None outlives its node.
        assert all(select.select([engine], [], [], PATIENCE)[0] for engine in engines)
    top = max(max(states) for states in before.values())
    for name in list(four.nodes):
        # One of them keeps no more than it has to.
        four.start(name, **({"retain": 1} if name == 3 else {}))
    four.reach(top + 2)
    four.agree()
    for name, states in before.items():
        for height in set(states) & set(four.nodes[0].states):
            assert states[height]["root"] == four.nodes[0].states[height]["root"], name


def test_what_is_old_is_let_go_of(four: Net) -> None:
    """CometBFT's blocks, and the inputs before the older of two snapshots; what is left is enough to go on from."""
    four.reach(2 * SNAPSHOT_EVERY + 2)

    def earliest(name: int) -> int:
        return int(asyncio.run(rpc.call(four.url(name), "status"))["sync_info"]["earliest_block_height"])

    await_that("blocks are let go of", lambda: earliest(3) > 1)
    assert [earliest(name) for name in range(3)] == [1, 1, 1]
    first = earliest(3)
    for node in four.nodes.values():
        kept = CometStore(node.store, four.parameters)
        snapshots = [height for height, _ in kept.snapshots()]
        heights = sorted(kept.roots())
        kept.close()
        assert len(snapshots) == 2 and heights == list(range(heights[0], heights[-1] + 1))
        # One may have been made between the two looks.
        assert snapshots[-1] < heights[0] <= snapshots[0] + 1
        # Whoever begins at the older snapshot finds all blocks after it.
        assert first <= snapshots[-1] + 1
    four.nodes[3].end()
    four.start(3, retain=1)
    four.grow(2)
    four.agree()


def test_a_network_goes_on_without_those_that_are_gone(tmp_path: Path) -> None:
    with network(tmp_path, 4, 4) as net:
        net.reach(6)
        for name in (1, 3):
            net.nodes.pop(name).end()
        # Nothing is decided any more; who is a height behind gets there.
        top = max(node.height for node in net.nodes.values())
        states = {}
        for name, node in net.nodes.items():
            if node.height < top:
                node.until(top)
            node.end(signal.SIGTERM)
            store = CometStore(node.store, net.parameters)
            states[name] = store.load(Standing(genesis(net.parameters), ())).state
            store.close()
        assert states[0].root == states[2].root
        left = tuple(sorted(pubkey(name) for name in net.nodes))
        attempt = next(number for number in range(1, 1000) if drawn_again(states[0], number) == left)
        another = next(number for number in range(1, 1000) if drawn_again(states[0], number) != left)
        right = {
            "time": states[0].time + 1,
            "committee": [key.hex() for key in left],
            "height": states[0].height,
            "root": states[0].root.hex(),
            "attempt": attempt,
        }
        for wrong, why in (({"root": "00" * 32}, "goes on from root"), ({"attempt": another}, "is not the one of")):
            net.beginning = {**right, **wrong}
            refused = net.start(2)
            assert why in refused.reason()
            refused.end()
        net.beginning = right
        for name in list(net.nodes):
            net.start(name)
        net.reach(states[0].height + 3)
        net.agree()


def test_a_late_joiner_begins_at_a_snapshot(four: Net) -> None:
    four.grow(1)
    began = time.monotonic()
    late = four.start(4, sync=[four.url(0), four.url(1)])
    late.says("begins at a snapshot")
    first = late.until(1)
    late.until(first["height"] + 1)
    print(f"\na late joiner follows after {time.monotonic() - began:.1f} s, from height {first['height']}")
    assert first["height"] % SNAPSHOT_EVERY == 0 and not late.states[first["height"]]["votes"]
    four.grow(2)
    assert four.agree() >= 2
    # And it goes on from its own disk.
    late.end()
    late = four.start(4, sync=[four.url(0), four.url(1)])
    again = late.until(first["height"] + 1)
    assert again["height"] > first["height"]
    four.grow(2)
    four.agree()
    # It has no seat, and still goes no further than it sees itself.
    late.end()
    lied_to = four.start(4, sync=[four.url(0), four.url(1)], lied_to=True)
    assert "is not what this node sees there" in lied_to.reason()
    assert not any(said["votes"] for said in (*late.states.values(), *lied_to.states.values()))
    lied_to.end()
    four.nodes.pop(4)


def test_seven_nodes_two_killed_one_voted_out(tmp_path: Path) -> None:
    """Four have seats at first; a day later all have, but for one that was voted out."""
    rules = replace(RULES, day=Blocks(6))
    with network(tmp_path, 7, 4, parameters=rules) as net:
        net.reach(1)
        assert [node.states[max(node.states)]["votes"] for node in net.nodes.values()] == [True] * 4 + [False] * 3
        for name in net.nodes:
            net.nodes[name].until(7, committee=7, votes=True)
        for name in (5, 6):
            net.nodes.pop(name).end()
        net.grow(3)
        certificate = encode(net.certificate(0, 6))
        assert told(net.url(1), certificate) == ""
        for node in net.nodes.values():
            node.until(1, down=1, committee=6)
        net.grow(2)
        assert net.agree() >= 10
        net.start(5)
        net.nodes[5].until(max(net.nodes[0].states), down=1, committee=6)
        net.grow(2)
        net.agree()
