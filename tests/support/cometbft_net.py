"""A network of real nodes, each with a real CometBFT, on an EVM chain that is a file."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from allium.appchain.certificates import Certificate, Verdict
from allium.appchain.encoding import decode, encode
from allium.appchain.input import Input
from allium.appchain.parameters import Parameters
from allium.appchain.state import genesis
from allium.consensus.cometbft.store import CometBFTStore, Standing
from allium.devnet import ports
from tests.support import ROOT
from tests.support.appchain_world import RULES, World, pubkey, secret
from tests.support.solo_process import append

#: Longer than anything takes, also on a busy machine.
PATIENCE = 60.0
SNAPSHOT_EVERY = 10
Said = dict[str, Any]


class Node:
    """One node: a process, and its CometBFT."""

    def __init__(self, settings: Said) -> None:
        self.settings = settings
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.cometbft_process", json.dumps(settings)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
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

    def __init__(
        self, directory: Path, free: list[int], parameters: Parameters, nodes: int, committee: int, settings: Said
    ) -> None:
        self.directory, self.parameters, self._settings = directory, parameters, settings
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
            **self._settings,
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
        store = CometBFTStore(self.nodes[name].store, self.parameters)
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
    directory: Path,
    nodes: int,
    committee: int,
    settings: Said | None = None,
    spare: int = 0,
    parameters: Parameters = RULES,
) -> contextlib.AbstractContextManager[Net]:
    """`nodes` of which `committee` vote, and room for `spare` more; `settings` of each."""
    stack = contextlib.ExitStack()
    free = stack.enter_context(ports.reserve(2 * (nodes + spare)))
    net = Net(directory, free, parameters, nodes, committee, settings or {})
    stack.callback(net.close)

    @contextlib.contextmanager
    def opened() -> Iterator[Net]:
        with stack:
            yield net

    return opened()
