"""A node in a process of its own, as an operator runs it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from allium.settings import config, keys
from tests.support.lone_node import entry


class Running:
    """A node as an operator runs it, with the service manager's end of its notifications."""

    def __init__(self, directory: Path, https_port: int, omq_port: int, **settings: Any) -> None:
        self.data_dir = directory / "node"
        self.file = self.data_dir / "config.toml"
        self.entry = entry(keys.create(self.data_dir), https_port, omq_port)
        network = {"height": 1, "hardfork": [19, 4], "nodes": [self.entry]}
        (directory / "network.json").write_text(json.dumps(network))
        self.settings: dict[str, Any] = {
            "data_dir": ".",
            "network_file": "../network.json",
            "bind_ip": "127.0.0.1",
            "https_port": https_port,
            "omq_port": omq_port,
            "metrics_port": "",
            "rate_limit_exempt": ["127.0.0.0/8"],
        }
        self.configure(**settings)
        address = str(directory / "notify")
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(address)
        self.manager.settimeout(30)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "allium", "node", "run", "--config", str(self.file)],
            env={**os.environ, "NOTIFY_SOCKET": address},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.output = self.process.stdout
        self.lines: list[str] = []

    def configure(self, **settings: Any) -> None:
        self.settings |= settings
        self.file.write_text(config.commented_toml(**self.settings))

    def await_notice(self, wanted: str) -> None:
        while wanted not in self.manager.recv(4096).decode().splitlines():
            pass

    def await_line(self, wanted: str) -> None:
        """Waits until the log says so."""
        for line in iter(self.output.readline, ""):
            self.lines.append(line)
            if wanted in line:
                return
        raise AssertionError(f"it ended without a word of {wanted!r}")

    def end(self) -> int:
        self.process.terminate()
        code = self.process.wait(60)
        self.manager.close()
        self.output.close()
        return code
