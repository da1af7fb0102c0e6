"""A node process beside the live network's daemon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support import wire
from tests.support.lone_node import entry
from tests.support.oxend import FakeOxend

#: A swarm of ours: too large for a float to hold exactly.
OURS = 2**63 + 1


class BesideOxend:
    """`allium node run` as an operator's unit file starts the reference's storage server."""

    def __init__(self, directory: Path, daemon: FakeOxend, https_port: int, omq_port: int) -> None:
        assert daemon.keys is not None
        self.directory, self.daemon = directory, daemon
        self.entry = entry(daemon.keys, https_port, omq_port, OURS)
        self.log = directory / "node.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str, positional: list[str] | None = None, **environment: str) -> None:
        own = ["127.0.0.1", str(self.entry["https_port"])] if positional is None else positional
        command = [sys.executable, "-m", "allium", "node", "run", *own]
        command += ["--omq-port", str(self.entry["omq_port"]), "--data-dir", str(self.directory / "data")]
        command += ["--oxend-rpc", self.daemon.address, *options]
        ours = {"ALLIUM_LOG_FORMAT": "json", "ALLIUM_BOOTSTRAP_SEEDS": "[]", **environment}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ALLIUM_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={**clean, **ours})

    def stop(self) -> int:
        """As a service manager does; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(30)
        finally:
            self._process.kill()
            self._process.wait()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ask(self, method: str, params: dict[str, Any]) -> wire.HttpReply:
        return wire.rpc(self.entry, method, params)

    def refusal(self) -> str:
        """What a request is answered with; nothing while nobody listens, or when it is served."""
        assert self.running, self.log.read_text()
        try:
            reply = self.ask("info", {})
        except OSError:
            return ""
        return "" if reply.status == 200 else f"{reply.status} {reply.body.decode()}"

    def serves(self) -> bool:
        assert self.running, self.log.read_text()
        try:
            return self.ask("info", {}).status == 200
        except OSError:
            return False

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Lines of the log that begin so."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in map(json.loads, lines) if str(line.get("event", "")).startswith(event)]
