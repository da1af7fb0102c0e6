"""A real devnet, driven as its user does."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any


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

    def skew(self, index: int, seconds: float) -> None:
        """Lets one node's clock run ahead."""
        self.allium("devnet", "skew", "--dir", str(self.directory), "--", str(index), str(seconds))

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

    def complaints(self, most: int = 12) -> str:
        """The last that each node complained of, and where its CometBFT is, for a test that fails."""
        told = []
        for node in self.nodes:
            lines = (Path(node["data_dir"]) / "node.log").read_text(errors="replace").splitlines()
            told += [f"--- {node['data_dir']}", *[line[:400] for line in lines if "[info" not in line][-most:]]
            if (port := node.get("cometbft_rpc_port")) is not None:
                told.append(_consensus_state(port))
        return "\n".join(told)


def _consensus_state(port: int) -> str:
    """Height, round and step, and who has voted in which round, as CometBFT has it."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/consensus_state", timeout=5) as answer:
            state = json.loads(answer.read())["result"]["round_state"]
    except OSError as error:
        return f"CometBFT: {error!r}"
    votes = [vote[:71] for each in state["height_vote_set"] for vote in (*each["prevotes"], *each["precommits"])]
    return f"CometBFT: {state['height/round/step']} {votes}"


@contextlib.contextmanager
def up(directory: Path, *options: str) -> Iterator[Devnet]:
    """A devnet in `directory`, until the block ends; `options` of `allium devnet up`."""
    net = Devnet(directory / "net")
    net.run("up", *options)
    try:
        yield net
    finally:
        net.run("down")
