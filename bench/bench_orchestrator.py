"""What Python does when the network changes, under pytest-benchmark: once in a block, nothing of it for a message."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import ledger
import pytest
from nacl import bindings
from pytest_benchmark.fixture import BenchmarkFixture

from allium._native import Node, verify_ed25519
from allium.appchain.certificates import (
    Certificate,
    DrawnQuorum,
    Verdict,
    Verifier,
    Vote,
    fault,
    one_by_one,
    vote_message,
)
from allium.appchain.machine import apply
from allium.appchain.parameters import MAINNET
from allium.appchain.state import State, genesis
from allium.appchain.swarms import MAX_ID, NEW_SIZE, UNASSIGNED, assign
from allium.appchain.types import Height, Index, PublicKey, Reasons, Signature
from allium.devnet import ports
from allium.membership.appchain import snapshot

if TYPE_CHECKING:
    from allium._native import Network


@pytest.fixture(scope="module")
def state() -> State:
    """Of a network of mainnet's size."""
    chance = random.Random(2)
    registrations = tuple(ledger.registration(name, chance) for name in range(ledger.NODES))
    found = apply(genesis(MAINNET), ledger.following(genesis(MAINNET), registrations))
    for _ in range(MAINNET.payable_after + 1):
        found = apply(found, ledger.following(found))
    return found


@pytest.fixture(scope="module")
def network(state: State) -> Network:
    """The same, as the engine takes it."""
    return snapshot(state, {})


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """One that runs."""
    seed = secrets.token_bytes(32)
    legacy = bindings.crypto_scalarmult_ed25519_base_noclamp(seed[:31] + b"\0")
    with ports.reserve(2) as free:
        https, omq = free
        node = Node(
            data_dir=str(tmp_path),
            ed25519_seed=seed,
            legacy_pubkey=legacy,
            bind_ip="127.0.0.1",
            https_port=https,
            omq_port=omq,
        )
    yield node
    node.shutdown()


@pytest.mark.parametrize("count", [1_500, 10_000])
def test_membership_recompute(benchmark: BenchmarkFixture, count: int) -> None:
    """One node has left, one has joined."""
    keys = [number.to_bytes(32, "big") for number in range(count)]
    swarms = {key: number // NEW_SIZE * (MAX_ID * NEW_SIZE // count) for number, key in enumerate(keys)}
    del swarms[keys[count // 2]]
    swarms[count.to_bytes(32, "big")] = UNASSIGNED
    assert len(benchmark(assign, swarms, 1)) == count  # noqa: S101


def test_ledger(benchmark: BenchmarkFixture) -> None:
    """A block's reward to all contributors of a network of mainnet's size, or a change of one node now and then."""
    year = ledger.Year(ledger.ledger()).run(1 << 40)
    assert benchmark(next, year) > 0  # noqa: S101


def test_height(benchmark: BenchmarkFixture, state: State) -> None:
    """A block through the whole state machine."""
    given = ledger.following(state)
    assert benchmark(apply, state, given).height == state.height + 1  # noqa: S101


@pytest.mark.parametrize("verify", [one_by_one, verify_ed25519], ids=["one-by-one", "side-by-side"])
def test_certificate(benchmark: BenchmarkFixture, verify: Verifier) -> None:
    """The votes of 14 of 20 testers, as they come in for the first time."""
    pairs = [bindings.crypto_sign_seed_keypair(secrets.token_bytes(32)) for _ in range(20)]
    keys = tuple(PublicKey(public) for public, _ in pairs)
    chain, said = MAINNET.chain, (Height(5), Index(0), Verdict.DECOMMISSION)
    message = vote_message(chain, *said, Reasons(1))
    votes = [
        Vote(Index(place), Reasons(1), Signature(bindings.crypto_sign(message, secret)[: bindings.crypto_sign_BYTES]))
        for place, (_, secret) in enumerate(pairs[:14])
    ]
    judge = fault.__wrapped__  # without what it remembers
    assert benchmark(judge, Certificate(*said, tuple(votes)), DrawnQuorum(keys, keys), chain, verify) is None  # noqa: S101


def test_snapshot(benchmark: BenchmarkFixture, state: State) -> None:
    """The network as it is in a state."""
    assert len(benchmark(snapshot, state, {})["nodes"]) == ledger.NODES  # noqa: S101


def test_hand_over(benchmark: BenchmarkFixture, node: Node, network: Network) -> None:
    """The network into a running engine."""
    benchmark(node.set_network, network)
