"""A real devnet for the tests of the whole."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import allium.staking  # noqa: F401, before web3: it keeps the limit of recursion
import chain as chains
from allium import _native
from allium.devnet import anvil, ports
from allium.settings import keys
from allium.settings.keys import generate as new_keys

if TYPE_CHECKING:
    from victim import Victim

    from node_process import Running


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


@pytest.fixture
def devnet(tmp_path: Path) -> Iterator[Devnet]:
    """Fifteen nodes in three swarms, for one test that may break them."""
    with up(tmp_path) as net:
        yield net


@pytest.fixture(scope="session")
def shared_devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """Fifteen nodes in three swarms, for tests that leave all of them alive."""
    with up(tmp_path_factory.mktemp("shared")) as net:
        yield net


@pytest.fixture(scope="session")
def small_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """Three nodes that are staked for and agree by CometBFT, for tests that leave all of them alive."""
    with up(tmp_path_factory.mktemp("small"), "--chain", "--consensus", "cometbft", "--nodes", "3") as net:
        yield net


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """Two nodes in one swarm, for tests that bring back what they take away."""
    with up(tmp_path_factory.mktemp("pair"), "--nodes", "2") as net:
        yield net


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A node by itself that has to survive one attack after the other."""
    from victim import victim

    with victim(tmp_path_factory.mktemp("victim")) as made:
        yield made


#: "In no swarm".
UNASSIGNED = 2**64 - 1


def entry(node_keys: keys.NodeKeys, https_port: int, omq_port: int, swarm_id: int = 0) -> dict[str, Any]:
    """A node of this machine, as a network lists it."""
    return {
        "pubkey_legacy": node_keys.legacy_public.hex(),
        "pubkey_ed25519": node_keys.ed25519_public.hex(),
        "pubkey_x25519": node_keys.x25519_public.hex(),
        "ip": "127.0.0.1",
        "https_port": https_port,
        "omq_port": omq_port,
        "swarm_id": swarm_id,
    }


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port that nobody else takes."""
    with ports.reserve(1) as [port]:
        yield port


class LoneNode:
    """An engine in this process, and its entry in a network."""

    def __init__(
        self, directory: Path, https_port: int, omq_port: int, keys: keys.NodeKeys | None = None, **options: Any
    ) -> None:
        self.keys = keys or new_keys()
        self.entry = entry(self.keys, https_port, omq_port)
        self.engine = _native.Node(
            data_dir=str(directory),
            ed25519_seed=self.keys.ed25519_seed,
            legacy_pubkey=self.keys.legacy_public,
            https_port=https_port,
            omq_port=omq_port,
            **{"bind_ip": "127.0.0.1", **options},
        )

    def sees(self, *nodes: dict[str, Any]) -> None:
        """Puts a network of these nodes in force."""
        self.engine.set_network({"height": 1, "block_hash": "", "hardfork": (19, 4), "nodes": list(nodes)})  # type: ignore[typeddict-item]


@pytest.fixture
def lone_node(tmp_path: Path) -> Iterator[Callable[..., LoneNode]]:
    """Makes engines in this process, each with a store of its own."""
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> LoneNode:
            https_port, omq_port = stack.enter_context(ports.reserve(2))
            node = LoneNode(tmp_path / str(omq_port), https_port, omq_port, **options)
            stack.callback(node.engine.shutdown)
            return node

        yield make


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A node in a process of its own, which serves."""

    from node_process import Running

    with ports.reserve(2) as [https_port, omq_port]:
        node = Running(tmp_path, https_port, omq_port)
        try:
            node.await_notice("READY=1")
            yield node
        finally:
            node.end()


@pytest.fixture(scope="session")
def deployed_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chains.Chain]:
    """An anvil with a network's contracts and no node."""
    with anvil.running(tmp_path_factory.mktemp("anvil") / "anvil.log") as local:
        yield chains.Chain(local.url)


@pytest.fixture
def chain(deployed_chain: chains.Chain) -> Iterator[chains.Chain]:
    """The same for one test, which leaves no trace."""
    snapshot = deployed_chain.rpc("evm_snapshot")
    yield deployed_chain
    assert deployed_chain.rpc("evm_revert", snapshot)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the contracts cost, when they were tested."""
    if lines := chains.gas_table():
        terminalreporter.section("gas per call: times, least, most")
        for line in lines:
            terminalreporter.write_line(line)
