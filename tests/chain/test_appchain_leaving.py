"""How a node leaves: its stake comes back, is kept or is cut, and who may sign for that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from allium.appchain.admission import InvalidInputError
from allium.appchain.certificates import Verdict
from allium.appchain.claims import (
    Code,
    SignatureRefusedError,
    Stakes,
    absent_allowed,
    claimable,
    may_exit,
    may_liquidate,
    non_signers,
)
from allium.appchain.claims import stakes as stakes_of
from allium.appchain.encoding import decode, encode
from allium.appchain.input import Input
from allium.appchain.machine import apply
from allium.appchain.nodes import Leaving
from allium.appchain.parameters import SESH
from allium.appchain.state import restore, snapshot
from allium.appchain.types import AtomicSesh, Seconds
from tests.support.appchain_world import QUARTER, REQUIREMENT, RULES, World, address, bls, network, pubkey, stakes


def test_leaves_after_the_delay_and_gets_the_stake_back() -> None:
    world = World()
    number = world.register(1, stakes(QUARTER, REQUIREMENT - QUARTER))
    other = world.register(2)
    world.step()
    world.request_exit(number)
    state = world.step()
    last = state.nodes[pubkey(1)].unlock_height
    assert last == 2 + RULES.unlock_duration
    world.request_exit(number)
    assert world.step().nodes[pubkey(1)].unlock_height == last
    state = world.steps(last - state.height - 1)
    assert state.height == last and pubkey(1) in state.nodes and pubkey(1) in state.ledger.payees
    earned = claimable(state, address("staker 0 beneficiary"))
    state = world.step()
    assert pubkey(1) not in state.nodes and pubkey(1) not in state.ledger.payees
    gone = state.departed[number]
    assert stakes_of(state, address("staker 0")) == Stakes(locked=AtomicSesh(QUARTER), returning=AtomicSesh(0))
    assert (gone.leaving, gone.removal_height) == (Leaving.EXPIRED, last + 1)
    assert gone.liquidation_height == last + 1 + RULES.exit_buffer
    assert may_exit(state, bls(1), Seconds(1000), Seconds(1180)).contract_id == number
    with pytest.raises(SignatureRefusedError, match="clock") as refused:
        may_exit(state, bls(1), Seconds(1000), Seconds(1181))
    assert refused.value.code == Code.BAD_REQUEST
    with pytest.raises(SignatureRefusedError, match="from height") as refused:
        may_liquidate(state, bls(1), Seconds(1000), Seconds(1000))
    assert refused.value.code == Code.FORBIDDEN
    with pytest.raises(SignatureRefusedError, match="registered"):
        may_exit(state, bls(2), Seconds(1000), Seconds(1000))
    with pytest.raises(SignatureRefusedError, match="no such node"):
        may_exit(state, bls(3), Seconds(1000), Seconds(1000))
    assert non_signers(state, {bls(2)}) == [number] and non_signers(state, set()) == [number, other]
    world.exit(number)
    state = world.step()
    assert number not in state.departed
    assert claimable(state, address("staker 0")) == 0
    assert stakes_of(state, address("staker 0")) == Stakes(locked=AtomicSesh(0), returning=AtomicSesh(QUARTER))
    state = world.step()
    assert claimable(state, address("staker 0")) == QUARTER
    assert claimable(state, address("staker 1")) == REQUIREMENT - QUARTER
    assert claimable(state, address("staker 0 beneficiary")) == earned
    assert not state.returns


def test_a_node_that_the_contract_let_go_is_out() -> None:
    world = World()
    number = world.register(1)
    world.step()
    world.exit(number)
    state = world.steps(2)
    assert not state.nodes and not state.departed
    assert claimable(state, address("1 0")) == REQUIREMENT


def test_liquidation_takes_the_operators_part() -> None:
    world = World()
    number = world.register(1, stakes(QUARTER, REQUIREMENT - QUARTER))
    world.step()
    world.request_exit(number)
    world.steps(RULES.unlock_duration + 2)
    penalty = 50 * SESH
    world.exit(number, REQUIREMENT - penalty)
    state = world.step()
    assert state.notes[-1].text == "exit ignored: a penalty before the node may be liquidated"
    state = world.steps(RULES.exit_buffer)
    assert may_liquidate(state, bls(1), Seconds(0), Seconds(0)).contract_id == number
    world.exit(number, REQUIREMENT - QUARTER - 1)
    assert world.step().notes[-1].text == "exit ignored: a penalty beyond the operator's stake"
    world.exit(number, REQUIREMENT - penalty)
    state = world.steps(2)
    assert claimable(state, address("staker 0")) == QUARTER - penalty
    assert claimable(state, address("staker 1")) == REQUIREMENT - QUARTER


def test_the_stake_of_a_deregistered_node_stays_locked() -> None:
    world = network()
    world.steps(3)
    name = world.worker()
    poor = world.state.nodes[pubkey(name)]
    assert poor.credit(world.state.height, RULES) >= RULES.min_credit
    with pytest.raises(InvalidInputError, match="enough credit"):
        world.step(world.certificate(name, Verdict.DEREGISTER))
    world.step(world.certificate(name, Verdict.DECOMMISSION))
    while world.state.nodes[pubkey(name)].credit(world.state.height, RULES) >= 0:
        world.step()
    state = world.step(world.certificate(name, Verdict.DEREGISTER))
    gone = state.departed[poor.contract_id]
    assert gone.leaving == Leaving.DEREGISTERED
    world.exit(poor.contract_id)
    state = world.step()
    assert [back.due for back in state.returns.values()] == [gone.removal_height + RULES.deregistration_lock]
    state = world.steps(gone.removal_height + RULES.deregistration_lock - state.height - 1)
    assert claimable(state, address(f"{name} 0")) == 0
    assert claimable(world.step(), address(f"{name} 0")) == REQUIREMENT


def test_who_voted_twice_is_taken_out_for_as_long_as_anybody_is() -> None:
    world = network()
    before = world.state
    punished, gone = pubkey(3), pubkey(4)
    numbers = {key: node.contract_id for key, node in before.nodes.items()}
    world.request_exit(numbers[gone])
    world.steps(RULES.unlock_duration + 2)
    assert world.state.departed[numbers[gone]].leaving == Leaving.EXPIRED
    given = replace(world.input(), offenders=tuple(sorted((punished, gone, pubkey(77)))))
    state = apply(world.state, given)
    for key in (punished, gone):
        assert key not in state.nodes and state.departed[numbers[key]].leaving == Leaving.DEREGISTERED
    assert state.departed[numbers[punished]].liquidation_height == state.height + RULES.exit_buffer
    assert {note.contract_id for note in state.notes} == {numbers[punished], numbers[gone]}
    # Others find the same of the same, also from its bytes; and nothing else but this order is taken.
    again = decode(Input, encode(given))
    assert again == given and apply(restore(snapshot(world.state)), again).root == state.root
    with pytest.raises(InvalidInputError, match="ordered by key"):
        apply(world.state, replace(given, offenders=given.offenders[::-1]))
    world.state = state
    world.exit(numbers[punished])
    world.exit(numbers[gone])
    dues = {back.contract_id: back.due for back in world.step().returns.values()}
    assert dues[numbers[punished]] == state.height + RULES.deregistration_lock
    assert dues[numbers[gone]] == state.departed[numbers[gone]].removal_height + RULES.deregistration_lock


# Signers.


@pytest.mark.parametrize(
    ("members", "absent"),
    [
        (1, 0),
        (2, 0),
        (3, 1),
        (100, 33),
        (1001, 333),
        (1050, 350),
        (1500, 500),
        (1513, 504),
        (12000, 4000),
        (100_000, 4000),
    ],
)
def test_absent_signers(members: int, absent: int) -> None:
    assert absent_allowed(members) == absent
