"""Bytes, roots and proofs of states and inputs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allium.appchain import merkle, proofs
from allium.appchain.certificates import Verdict
from allium.appchain.encoding import EncodingError, decode, encode
from allium.appchain.input import Input
from allium.appchain.ledger.ledger import RECORD
from allium.appchain.machine import apply
from allium.appchain.parameters import SESH
from allium.appchain.state import restore, snapshot
from allium.appchain.types import AtomicSesh, ContractId, Hash, Height, Index, L2Height, Seconds, Signature
from tests.support.appchain_world import QUARTER, RATE, RULES, World, address, network, pubkey, stakes


def busy() -> World:
    """Every kind of event and verdict, refusals, returns under way."""
    world = network(14)
    one = ContractId(1)
    world.register(50, stakes(QUARTER, QUARTER, 2 * QUARTER), fee=250)
    world.register(51, signature=Signature(bytes(64)))
    world.seed(52)
    world.request_exit(one)
    world.step(world.certificate(world.worker(), Verdict.DECOMMISSION))
    world.require(24_000 * SESH)
    world.step(rate=RATE + 7)
    world.steps(RULES.unlock_duration)
    world.exit(one)
    world.step()
    assert world.state.returns and world.state.departed
    return world


BUSY = snapshot(busy().state)
BUSY_ROOT = restore(BUSY).root


def test_inputs_survive_their_encoding() -> None:
    for given_input in busy().inputs:
        assert decode(Input, encode(given_input)) == given_input


def test_a_snapshot_is_the_state() -> None:
    world = busy()
    twin = World()
    twin.state = restore(snapshot(world.state))
    assert twin.state.root == world.state.root
    assert snapshot(twin.state) == snapshot(world.state)
    for _ in range(RULES.deregistration_lock):
        given_input = world.input()
        world.step()
        twin.state = apply(twin.state, given_input)
        assert twin.state.root == world.state.root


def test_every_field_is_in_the_root() -> None:
    state = busy().state
    key = next(iter(state.nodes))
    number = next(iter(state.departed))
    back = next(iter(state.returns))
    richer = state.ledger.copy()
    richer.credit(address("somebody"), AtomicSesh(1))
    changed = [
        replace(state, parameters=replace(RULES, max_deactivations=11)),
        replace(state, height=Height(state.height + 1)),
        replace(state, time=Seconds(state.time + 1)),
        replace(state, l2_height=L2Height(state.l2_height + 1)),
        replace(state, l2_hash=Hash(bytes(32))),
        replace(state, requirement=AtomicSesh(1)),
        replace(state, rates=(AtomicSesh(1),)),
        replace(state, nodes=state.nodes.changed({key: None})),
        replace(state, nodes=state.nodes.changed({key: replace(state.nodes[key], decommission_count=7)})),
        replace(state, departed=state.departed.changed({number: None})),
        replace(state, returns=state.returns.changed({back: None})),
        replace(state, quorums=state.quorums[1:]),
        replace(state, ledger=richer),
    ]
    roots = {each.root for each in changed} | {state.root}
    assert len(roots) == len(changed) + 1


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 10_000), st.integers(0, 255))
def test_damaged_bytes_are_refused_or_another_state(junk: bytes, place: int, byte: int) -> None:
    with pytest.raises(EncodingError):
        restore(junk)
    with pytest.raises(EncodingError):
        decode(Input, junk)
    data = bytearray(BUSY)
    place %= len(data)
    changed = data[place] != byte
    data[place] = byte
    try:
        state = restore(bytes(data))
    except EncodingError:
        return
    assert (state.root != BUSY_ROOT) == changed


def test_proofs() -> None:
    world = network(40)
    state = world.steps(RULES.payable_after + 3)
    for name in (0, 7, 39):
        key, who = pubkey(name), address(f"{name} 0 beneficiary")
        proof = decode(proofs.Proof, encode(proofs.of_node(state, key)))
        assert proofs.node(state.root, key, proof) == state.nodes[key]
        assert proofs.node(state.root, pubkey(99), proof) is None
        assert proofs.node(Hash(bytes(32)), key, proof) is None
        paid = proofs.of_balance(state, who)
        assert proofs.balance(state.root, who, paid) == state.ledger.balance(who) > 0
        richer = paid.leaf[: RECORD - 1] + bytes([paid.leaf[RECORD - 1] ^ 1]) + paid.leaf[RECORD:]
        assert proofs.balance(state.root, who, replace(paid, leaf=richer)) is None
        assert proofs.balance(state.root, who, proof) is None
        assert proofs.node(state.root, key, replace(paid, section=proofs.Section.NODES)) is None
    with pytest.raises(KeyError):
        proofs.of_node(state, pubkey(99))
    with pytest.raises(KeyError):
        proofs.of_balance(state, address("nobody"))


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_merkle_paths(leaves: list[bytes]) -> None:
    top = merkle.root(leaves)
    for index, leaf in enumerate(leaves):
        way = merkle.path(leaves, index)
        assert merkle.climb(leaf, way) == top
        assert merkle.climb(leaf + b"!", way) != top
        assert merkle.climb(leaf, replace(way, siblings=(*way.siblings, Hash(bytes(32))))) is None
        assert merkle.climb(leaf, replace(way, count=Index(way.count + 1))) != top
    assert merkle.root([*leaves, b""]) != top


def test_a_path_outside_the_tree_leads_nowhere() -> None:
    way = merkle.path([b"a", b"b"], 0)
    assert merkle.climb(b"a", replace(way, index=Index(2))) is None
    assert merkle.climb(b"a", replace(way, siblings=())) is None
