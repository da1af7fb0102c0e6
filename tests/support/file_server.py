"""A file server in a process of its own, as an operator runs it, and an onion request to it."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from allium import _native
from allium.devnet.layout import LOOPBACK
from allium.server import onion
from allium.settings import keys
from tests.support.command import allium
from tests.support.reference_onion import GCM, ReferenceLayer, frame, sealed_for

_START_SECONDS = 60.0


class FileServer:
    """`allium files serve` over a data directory; it may be killed and started again."""

    def __init__(self, directory: Path, port: int, **settings: Any) -> None:
        self.directory = directory / "files"
        self.port = port
        self.url = f"http://{LOOPBACK}:{port}"
        done = allium("files", "init", "--data-dir", str(self.directory), "--http-port", str(port))
        assert done.returncode == 0, done.stderr
        settings = {"bind_ip": LOOPBACK, "metrics_port": "", **settings}
        self._settings = {f"ALLIUM_FILES_{name.upper()}": _text(value) for name, value in settings.items()}
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
            listener.settimeout(_START_SECONDS)
            notify = "@" + listener.getsockname()[1:].decode()
            command = [sys.executable, "-m", "allium", "files", "serve", "--data-dir", str(self.directory)]
            with (self.directory.parent / "server.log").open("ab") as log:
                self._process = subprocess.Popen(
                    command,
                    stderr=log,
                    stdout=log,
                    env={**os.environ, **self._settings, **(environment or {}), "NOTIFY_SOCKET": notify},
                )
            while b"READY=1" not in listener.recv(4096):
                pass

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
        """`allium files …` with its settings, beside it or without it."""
        return allium("files", *arguments, "--data-dir", str(self.directory), env=self._settings)

    def resident_bytes(self) -> int:
        """The most that it ever had."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class OnionAnswer:
    """What was in a sealed answer."""

    code: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def v4_request(
    method: str, endpoint: str, headers: Mapping[str, Any] | None = None, body: bytes | None = None
) -> bytes:
    """A request as clients put it into a layer."""
    meta = json.dumps({"method": method, "endpoint": endpoint, "headers": dict(headers or {})}).encode()
    parts = b"%d:%b" % (len(meta), meta)
    return b"l" + parts + (b"" if body is None else b"%d:%b" % (len(body), body)) + b"e"


def v4_layer(x25519: bytes, plaintext: bytes, cipher: str = GCM) -> tuple[bytes, ReferenceLayer]:
    """What the last node of a path posts, and what opens the answer."""
    sealed, control, layer = sealed_for(x25519, plaintext, cipher)
    return frame(sealed, {"host": "files.example", "target": onion.PATH, "method": "POST", **control}), layer


def v4_answer(plaintext: bytes) -> OnionAnswer:
    """What is in an opened answer."""
    assert plaintext[:1] == b"l" and plaintext[-1:] == b"e"
    size, _, rest = plaintext[1:-1].partition(b":")
    meta = json.loads(rest[: int(size)])
    length, _, body = rest[int(size) :].partition(b":")
    assert len(body) == int(length)
    return OnionAnswer(meta["code"], meta["headers"], body)


async def through_layer(
    session: aiohttp.ClientSession, server: FileServer, method: str, endpoint: str, **request: Any
) -> OnionAnswer:
    """Sends a request as the network's last node does, and opens the answer as a client does."""
    cipher = request.pop("cipher", GCM)
    payload, layer = v4_layer(server.x25519, v4_request(method, endpoint, **request), cipher)
    async with session.post(server.url + onion.PATH, data=io.BytesIO(payload)) as answer:
        assert answer.status == 200, await answer.text()
        return v4_answer(layer.open(await answer.read()))
