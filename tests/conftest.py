"""A real devnet for the tests of the whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class Devnet:
    """The devnet in `directory`, driven by its command line as a user would."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def allium(self, *arguments: str) -> str:
        """`allium …`; what it printed, or a failed test with its complaint."""
        command = [sys.executable, "-m", "allium", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, *arguments: str) -> str:
        """`allium devnet …` for this network."""
        return self.allium("devnet", *arguments, "--dir", str(self.directory))

    @property
    def network(self) -> dict[str, Any]:
        """network.json as it is now."""
        network: dict[str, Any] = json.loads((self.directory / "network.json").read_text())
        return network

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """The nodes of network.json."""
        nodes: list[dict[str, Any]] = self.network["nodes"]
        return nodes


@pytest.fixture
def devnet(tmp_path: Path) -> Iterator[Devnet]:
    """Fifteen nodes in three swarms, for one test that may break them."""
    net = Devnet(tmp_path / "net")
    net.run("up")
    try:
        yield net
    finally:
        net.run("down")


@pytest.fixture(scope="session")
def shared_devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """Fifteen nodes in three swarms, for tests that leave all of them alive."""
    net = Devnet(tmp_path_factory.mktemp("shared") / "net")
    net.run("up")
    try:
        yield net
    finally:
        net.run("down")
