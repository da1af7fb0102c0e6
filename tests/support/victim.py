"""A node in a process of its own under attack: what it may not lose while strangers do their worst."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from allium.devnet import ports
from tests.support import ROOT, wire
from tests.support.node_process import Running

#: What an attack may cost: this, and so much for each byte that it sends.
ROOM, PER_BYTE = 64 << 20, 8
#: How soon the memory is free again.
BACK = 30
#: All that a node may ever have, in bytes of its own: the least machine.
MACHINE = 512 << 20
#: What honest requests may take, but for one in a hundred: this many times what is usual, or so many seconds.
SLOWER, SLOW = 10, 2.0


class Victim:
    """One node, alone in its swarm."""

    def __init__(self, node: Running) -> None:
        self.node = node
        self.entry: dict[str, Any] = node.entry
        #: Bytes that the attack has sent.
        self.sent = 0

    def anonymous(self) -> int:
        """Bytes of memory that are no page of a file."""
        status = Path(f"/proc/{self.node.process.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("RssAnon:")]
        return int(line.split()[1]) << 10

    @contextlib.contextmanager
    def bystander(self) -> Iterator[None]:
        """Somebody honest is served meanwhile, about as soon as without the attack, and loses nothing."""
        user = wire.User(seed := os.urandom(32))
        port = str(self.entry["https_port"])
        command = [sys.executable, "-m", "tests.support.bystander", port, seed.hex()]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin and process.stdout
            usual = json.loads(process.stdout.readline())
            try:
                yield
            finally:
                process.stdin.close()
                told = json.loads(process.stdout.read())
        allowed = max(SLOWER * slowest(usual), SLOW)
        assert slowest(told["times"]) <= allowed, f"{slowest(told['times']):.2f} s where {slowest(usual):.3f} are usual"
        found = {message["hash"] for message in wire.retrieve(self.entry, user)}
        assert found >= set(told["stored"]), "what was acknowledged is lost"

    @contextlib.contextmanager
    def attacked(self) -> Iterator[None]:
        """An attack: while it goes on others are served, and what it costs is bounded and temporary."""
        self.sent = 0
        before, most = self.anonymous(), 0
        ended = threading.Event()

        def watch() -> None:
            nonlocal most
            while not ended.wait(0.02):
                most = max(most, self.anonymous())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            with self.bystander():
                yield
        finally:
            ended.set()
            watcher.join()
        allowed = ROOM + PER_BYTE * self.sent
        assert most - before <= allowed, f"{most - before:,} bytes of memory for {self.sent:,} bytes sent"
        deadline = time.monotonic() + BACK
        while self.anonymous() - before > ROOM:
            assert time.monotonic() < deadline, f"{self.anonymous() - before:,} bytes of memory are not given back"
            time.sleep(0.1)
        assert self.node.process.poll() is None


def slowest(times: list[float]) -> float:
    """All but a hundredth took no longer."""
    return sorted(times)[len(times) * 99 // 100]


@contextlib.contextmanager
def victim(directory: Path, **settings: Any) -> Iterator[Victim]:
    """A node that serves on a small machine, until the block ends."""
    with ports.reserve(2) as [https_port, omq_port]:
        node = Running(directory, https_port, omq_port, **settings)
        try:
            resource.prlimit(node.process.pid, resource.RLIMIT_DATA, (MACHINE, MACHINE))
            node.await_notice("READY=1")
            # What it says is of no interest here, but has to go somewhere.
            threading.Thread(target=node.output.read, daemon=True).start()
            yield Victim(node)
        finally:
            node.end()
