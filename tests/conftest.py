"""Networks and nodes for the tests of the whole."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import allium.staking  # noqa: F401, before web3: it keeps the limit of recursion
from allium.devnet import anvil, ports
from tests.order import Order
from tests.support import chain as chains
from tests.support.devnet import Devnet, up
from tests.support.lone_node import LoneNode

if TYPE_CHECKING:
    from tests.support.node_process import Running
    from tests.support.victim import Victim


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Order())


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
    from tests.support.victim import victim

    with victim(tmp_path_factory.mktemp("victim")) as made:
        yield made


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port that nobody else takes."""
    with ports.reserve(1) as [port]:
        yield port


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

    from tests.support.node_process import Running

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
