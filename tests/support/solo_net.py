"""A `solo` network of real processes on an EVM chain that is a file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any

from allium.appchain.encoding import encode
from allium.appchain.parameters import Parameters
from tests.support import ROOT
from tests.support.appchain_world import RULES, World, pubkey, secret
from tests.support.solo_process import append

SEQUENCER = 1000
KEY = pubkey(SEQUENCER)
#: Longer than anything takes, also on a busy machine.
PATIENCE = 60.0


class Process:
    """One process of the network; what it says arrives in `heard`."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        command = [sys.executable, "-m", "tests.support.solo_process", json.dumps(settings)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self._heard: Queue[dict[str, Any] | None] = Queue()
        self.roots: dict[int, str] = {}
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line.startswith("{"):
                    self._heard.put(json.loads(line))
        self._heard.put(None)

    def _says(self) -> Iterator[dict[str, Any] | None]:
        """What it says, for no longer than `PATIENCE`."""
        until = time.monotonic() + PATIENCE
        while (left := until - time.monotonic()) > 0:
            yield self._heard.get(timeout=left)
        raise AssertionError(f"it has not said in {PATIENCE} s what was waited for")

    def until(self, height: int, down: int = 0) -> dict[str, Any]:
        """The first state at or beyond a height that has as many decommissioned nodes."""
        for said in self._says():
            assert said is not None and "ended" not in said, said
            self.roots[said["height"]] = said["root"]
            if said["height"] >= height and said["down"] == down:
                return said
        raise AssertionError

    def reason(self) -> str:
        """Why the process ends by itself."""
        for said in self._says():
            assert said is not None, "it ended without a word"
            if "ended" in said:
                assert self._process.wait(PATIENCE) == 1
                return str(said["ended"])
        raise AssertionError

    def kill(self, number: int = signal.SIGKILL) -> None:
        self._process.send_signal(number)
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)


class Net:
    """Processes in one directory, on one EVM chain."""

    def __init__(self, directory: Path, ports: list[int], parameters: Parameters = RULES) -> None:
        self.directory, self._ports, self.parameters = directory, ports, parameters
        self.chain = directory / "chain"
        self.chain.touch()
        self.world = World(parameters)
        self.processes: list[Process] = []

    def mine(self, count: int = 1) -> None:
        """Lets the EVM chain go on, with the events that the world has ready first."""
        for _ in range(count):
            given = self.world.input()
            self.world.step()
            append(self.chain, given.observation)

    def start(self, name: int, follows: list[int] | None = None, **more: Any) -> Process:
        settings = {
            "parameters": encode(self.parameters).hex(),
            "sequencer": KEY.hex(),
            "store": str(self.directory / f"store{name}"),
            "chain": str(self.chain),
            "port": self._ports[name],
            "snapshot_every": 5,
            **more,
        }
        if follows is None:
            settings["secret"] = secret(SEQUENCER).hex()
        else:
            settings["urls"] = [self.url(other) for other in follows]
        process = Process(settings)
        self.processes.append(process)
        return process

    def url(self, name: int) -> str:
        return f"http://127.0.0.1:{self._ports[name]}"

    def store(self, name: int) -> Path:
        return self.directory / f"store{name}"

    def close(self) -> None:
        for process in self.processes:
            process.kill()
