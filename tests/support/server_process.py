"""A server beside the nodes in a process of its own, as an operator runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from allium import _native
from allium.devnet.layout import LOOPBACK
from allium.settings import keys
from tests.support.command import allium

_START_SECONDS = 180.0


class ServerUnderTest:
    """`allium KIND serve` over a data directory; it may be killed and started again."""

    def __init__(self, kind: str, directory: Path, port: int, *options: str, **settings: Any) -> None:
        """`options`: of `allium KIND init`."""
        self.kind = kind
        self.directory = directory / kind
        self.port = port
        self.url = f"http://{LOOPBACK}:{port}"
        done = allium(kind, "init", "--data-dir", str(self.directory), "--http-port", str(port), *options)
        assert done.returncode == 0, done.stderr
        settings = {"bind_ip": LOOPBACK, "metrics_port": "", **settings}
        self._settings = {f"ALLIUM_{kind.upper()}_{name.upper()}": _text(value) for name, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None
        ed25519, self.x25519, _ = _native.node_keys(keys.load_ed25519(self.directory)[:32])
        self.ed25519 = ed25519

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.directory.parent / "server.log").read_text()

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Returns when it serves."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind("")
            listener.settimeout(1.0)
            notify = "@" + listener.getsockname()[1:].decode()
            command = [sys.executable, "-m", "allium", self.kind, "serve", "--data-dir", str(self.directory)]
            with (self.directory.parent / "server.log").open("ab") as log:
                self._process = subprocess.Popen(
                    command,
                    stderr=log,
                    stdout=log,
                    env={**os.environ, **self._settings, **(environment or {}), "NOTIFY_SOCKET": notify},
                )
            for _ in range(round(_START_SECONDS)):
                try:
                    while b"READY=1" not in listener.recv(4096):
                        pass
                except TimeoutError:
                    assert self._process.poll() is None, self.log
                else:
                    return
        raise AssertionError(f"it does not serve: {self.log}")

    def kill(self) -> None:
        """As a power cut would, but for the disk."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """Has it finish and end; it has to end well."""
        assert self._signal(signal.SIGTERM) == 0, self.log

    def end(self) -> None:
        """After a test, whatever it did."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _signal(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(_START_SECONDS)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`allium KIND …` with its settings, beside it or without it."""
        return allium(self.kind, *arguments, "--data-dir", str(self.directory), env=self._settings)

    def resident_bytes(self) -> int:
        """The most that it ever had."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
