"""What turns bytes into values and back has no socket, no clock, no file and no loop."""

from __future__ import annotations

import ast
from pathlib import Path

import allium.client

CORES = ("configs", "messages", "groups", "files", "protocol_v2")
OUTSIDE = {
    "aiohttp", "apsw", "asyncio", "datetime", "io", "os", "pathlib", "select", "shutil", "socket", "sqlite3", "ssl",
    "subprocess", "sys", "tempfile", "threading", "time", "urllib.request", "zmq",
}  # fmt: skip
#: What of the client has them, and is therefore not for the cores.
FACE = {"client", "direct", "network", "path", "pool", "state", "transport"}


def test_the_cores_reach_for_nothing_outside() -> None:
    root = Path(allium.client.__file__).parent
    files = [file for core in CORES for file in (root / core).glob("*.py")]
    assert len(files) > 30
    reached = []
    for file in files:
        for node in ast.walk(ast.parse(file.read_bytes())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{each.name}" for each in node.names)]
            for name in names:
                if name in OUTSIDE or name.removeprefix("allium.client.") in FACE or name.startswith("allium.base"):
                    reached.append(f"{file.name}: {name}")
    assert reached == []
