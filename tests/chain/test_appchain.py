"""The state machine: who may join, how a node lives and leaves, and that every node finds the same."""

from __future__ import annotations

import ast
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl import bindings

import allium.appchain
from allium._native import verify_ed25519
from allium.appchain import merkle, proofs
from allium.appchain.admission import InvalidInputError, admissible, objection
from allium.appchain.certificates import Certificate, Verdict, vote_hash
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
from allium.appchain.encoding import EncodingError, decode, encode
from allium.appchain.events import registration_message
from allium.appchain.input import Input, Observation
from allium.appchain.ledger import ledger, model
from allium.appchain.ledger.ledger import RECORD
from allium.appchain.ledger.shares import Payee, split
from allium.appchain.machine import apply
from allium.appchain.nodes import Leaving, Node, Refusal
from allium.appchain.parameters import MAINNET, SESH
from allium.appchain.state import State, genesis, restore, snapshot
from allium.appchain.swarms import MIN_SIZE, UNASSIGNED, stable_order, update
from allium.appchain.table import Table
from allium.appchain.types import (
    Address,
    AtomicSesh,
    Blocks,
    ContractId,
    Hash,
    Height,
    Index,
    L2Height,
    MilliAtomic,
    Reasons,
    Seconds,
    Signature,
)
from tests.support.appchain_world import RATE, REQUIREMENT, RULES, World, address, bls, negative, pubkey, sign, stakes

QUARTER = REQUIREMENT // 4


def network(count: int = 12) -> World:
    """`count` nodes that were registered in one height, old enough to be judged and to have credit."""
    world = World()
    for name in range(count):
        world.register(name)
    world.step()
    world.step()
    return world


# Joining.


def test_registers_what_the_contract_says() -> None:
    world = World()
    number = world.register(1, stakes(QUARTER, REQUIREMENT - QUARTER), fee=1000)
    state = world.step()
    node = state.nodes[pubkey(1)]
    assert (node.contract_id, node.bls_key, node.fee) == (number, bls(1), 1000)
    assert (node.operator, node.requirement) == (address("staker 0"), REQUIREMENT)
    assert (node.registration_height, node.active_since, node.swarm) == (1, 1, 0)
    assert [note.text for note in state.notes] == ["registered"]


ELEVEN = [QUARTER, *[(REQUIREMENT - QUARTER) // 10] * 10]


@pytest.mark.parametrize(
    ("amounts", "fee", "refusal"),
    [
        ([], 0, Refusal.NO_CONTRIBUTORS),
        (ELEVEN, 0, Refusal.TOO_MANY_CONTRIBUTORS),
        ([QUARTER - 1, REQUIREMENT - QUARTER + 1], 0, Refusal.OPERATOR_BELOW_MINIMUM),
        ([QUARTER, 0, REQUIREMENT - QUARTER], 0, Refusal.EMPTY_CONTRIBUTION),
        ([REQUIREMENT - 1], 0, Refusal.UNDERFUNDED),
        ([REQUIREMENT + 1], 0, Refusal.OVERFUNDED),
        ([QUARTER, REQUIREMENT - QUARTER + 1], 0, Refusal.OVERFUNDED),
        ([REQUIREMENT], 10_001, Refusal.FEE_TOO_HIGH),
    ],
)
def test_refuses_wrong_stakes_and_gives_them_back(amounts: list[int], fee: int, refusal: Refusal) -> None:
    world = World()
    number = world.register(1, stakes(*amounts), fee)
    state = world.step()
    assert not state.nodes
    assert state.departed[number].refusal == refusal
    assert state.notes[0].text == f"registration refused: {refusal.text}"
    assert may_liquidate(state, bls(1), Seconds(0), Seconds(0)).contract_id == number
    world.exit(number, sum(amounts))
    state = world.steps(2)
    assert not state.departed
    assert [claimable(state, address(f"staker {index}")) for index in range(len(amounts))] == amounts


def test_refuses_one_contributor_twice() -> None:
    world = World()
    first, second = stakes(QUARTER, REQUIREMENT - QUARTER)
    number = world.register(1, [first, replace(second, address=first.address)])
    assert world.step().departed[number].refusal == Refusal.SAME_CONTRIBUTOR_TWICE
    world.exit(number)
    assert claimable(world.steps(2), first.address) == REQUIREMENT


@pytest.mark.parametrize(
    "signature",
    [
        Signature(bytes(64)),
        sign(1, pubkey(1) + bls(2)),
        sign(2, pubkey(1) + bls(1)),
        sign(1, bls(1) + pubkey(1)),
    ],
)
def test_refuses_a_registration_that_the_node_did_not_sign(signature: Signature) -> None:
    world = World()
    number = world.register(1, signature=signature)
    state = world.step()
    assert state.departed[number].refusal == Refusal.WRONG_SIGNATURE
    assert "did not sign" in state.notes[0].text
    assert not state.nodes


def test_refuses_keys_in_use() -> None:
    world = World()
    world.register(1)
    again = world.register(1, bls_key=bls(3))
    same_bls = world.register(2, bls_key=bls(1))
    state = world.step()
    assert state.departed[again].refusal == Refusal.PUBKEY_IN_USE
    assert state.departed[same_bls].refusal == Refusal.BLS_KEY_IN_USE
    assert list(state.nodes) == [pubkey(1)]
    later = world.register(1, bls_key=bls(4))
    assert world.step().departed[later].refusal == Refusal.PUBKEY_IN_USE


def test_refuses_the_negative_of_a_key_in_use() -> None:
    key, _ = negative(1, b"")
    x25519 = [bindings.crypto_sign_ed25519_pk_to_curve25519(one) for one in (key, pubkey(1))]
    assert key != pubkey(1) and x25519[0] == x25519[1]
    world = World()
    first = world.register(1)
    world.step()
    _, signature = negative(1, registration_message(key, bls(2)))
    again = world.register(2, key=key, signature=signature, bls_key=bls(2))
    state = world.step()
    assert state.departed[again].refusal == Refusal.PUBKEY_IN_USE
    assert list(state.nodes) == [pubkey(1)]
    # When the first has left there is nobody with that key.
    world.request_exit(first)
    world.steps(RULES.unlock_duration + 2)
    world.exit(first)
    world.exit(again)
    world.step()
    world.register(2, key=key, signature=signature, bls_key=bls(2))
    assert list(world.step().nodes) == [key]


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


def test_a_proposer_has_no_choice_that_moves_the_randomness() -> None:
    """Neither time, certificates, events nor the rate count, and of the EVM chain's blocks few may be taken."""
    world = network()
    worker = world.worker()
    plain = world.input()
    beacon = apply(world.state, plain).quorums[-1].beacon
    certificate = world.certificate(worker, Verdict.DECOMMISSION)
    for other in (
        replace(plain, time=Seconds(plain.time + 1)),
        replace(plain, certificates=(certificate,)),
        replace(plain, observation=replace(plain.observation, reward_rate=AtomicSesh(1))),
    ):
        assert apply(world.state, other).quorums[-1].beacon == beacon
    # What another proposer chose before does not move it either.
    follow = world.input()
    after = [apply(world.state, each) for each in (plain, replace(plain, certificates=(certificate,)))]
    assert after[0].root != after[1].root
    seen = replace(follow.observation, l2_height=L2Height(plain.observation.l2_height + 1))
    nexts = [apply(state, replace(plain, height=Height(plain.height + 1), observation=seen)) for state in after]
    assert nexts[0].quorums[-1].beacon == nexts[1].quorums[-1].beacon != beacon

    state = genesis(MAINNET)
    stride = MAINNET.l2_stride
    assert stride == 480 and RULES.l2_stride == 1
    taken = []
    for height in range(1, 3 * stride):
        seen = Observation(L2Height(height), Hash(bytes(32)), AtomicSesh(0), ())
        try:
            apply(state, Input(Height(1), Seconds(1), seen, ()))
        except InvalidInputError:
            continue
        taken.append(height)
    assert taken == [stride, 2 * stride]


def test_keys_of_a_node_on_its_way_out_are_in_use_until_it_left() -> None:
    world = World()
    number = world.register(1)
    world.step()
    world.request_exit(number)
    world.steps(RULES.unlock_duration + 2)
    early = world.register(1, bls_key=bls(5))
    assert world.step().departed[early].refusal == Refusal.PUBKEY_IN_USE
    world.exit(number)
    world.exit(early)
    world.step()
    world.register(1)
    assert pubkey(1) in world.step().nodes


def test_the_requirement_counts_for_later_registrations() -> None:
    world = World()
    world.register(1)
    world.require(20_000 * SESH)
    world.register(2, stakes(20_000 * SESH))
    refused = world.register(3)
    state = world.step()
    assert set(state.nodes) == {pubkey(1), pubkey(2)}
    assert state.departed[refused].refusal == Refusal.OVERFUNDED


def test_a_number_given_twice_changes_nothing() -> None:
    world = World()
    world.register(1)
    world.next_id = 1
    world.register(2)
    state = world.step()
    assert list(state.nodes) == [pubkey(1)]
    assert "gave this number before" in state.notes[-1].text


def test_a_seeded_node_counts_as_member_and_may_leave() -> None:
    world = World()
    world.register(1)
    number = world.seed(2)
    state = world.step()
    assert state.departed[number].leaving == Leaving.SEEDED
    assert non_signers(state, {bls(1)}) == [number]
    assert may_exit(state, bls(2), Seconds(0), Seconds(0)).contract_id == number
    world.exit(number)
    state = world.step()
    assert not state.departed and not state.returns


# Earning.


def test_a_node_earns_once_it_is_old_enough() -> None:
    world = World()
    world.register(1)
    state = world.step()
    assert state.ledger.payees == {}
    state = world.steps(RULES.payable_after - 1)
    assert claimable(state, address("1 0 beneficiary")) == 0
    state = world.step()
    assert claimable(state, address("1 0 beneficiary")) == RATE // 120
    assert claimable(state, address("1 0")) == 0


def test_the_reward_is_the_least_of_the_window_and_moves_within_limits() -> None:
    rules = replace(RULES, reward_window=3, initial_reward=AtomicSesh(50_000), reward_fall=25_000, reward_rise=50_000)
    world = World(rules)
    world.register(1)
    world.step(rate=50_000 * 120)
    rates = [50_000, 40_000, 60_000, 60_000, 60_000, 60_000]
    paid = []
    for rate in rates:
        before = claimable(world.state, address("1 0 beneficiary"))
        world.step(rate=rate * 120)
        paid.append(claimable(world.state, address("1 0 beneficiary")) - before)
    assert world.state.rates == (49_998, 49_998, 49_998)  # below 50 000 a rate can only fall
    assert paid == [0, 0, 0, 49_998, 49_998, 49_998]


def test_a_block_is_worth_what_it_lasts() -> None:
    world = World(replace(RULES, block_seconds=30))
    assert world.step(rate=1001).rates == (250,)


def test_balances_of_recent_heights() -> None:
    world = network()
    down = world.worker()
    known = {}
    for height in range(40):
        if height == 8:
            world.step(world.certificate(down, Verdict.DECOMMISSION))
        elif height == 20:
            world.request_exit(ContractId(1))
            world.step()
        elif height == 34:
            world.exit(ContractId(1))
            world.step()
        else:
            world.step(rate=RATE + height)
        for name in range(12):
            for who in (address(f"{name} 0"), address(f"{name} 0 beneficiary")):
                known[world.state.height, who] = claimable(world.state, who)
    assert claimable(world.state, address("0 0")) == REQUIREMENT
    for (height, who), amount in known.items():
        assert claimable(world.state, who, height) == amount
    with pytest.raises(SignatureRefusedError, match="not for") as refused:
        claimable(world.state, address(0), Height(world.state.height + 1))
    assert refused.value.code == Code.GONE


def test_what_an_address_has_is_found_without_a_look_at_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many addresses are asked for, and at which height, the nodes are gone through once."""
    world = World()
    for name in range(30):
        world.register(name, stakes(QUARTER, REQUIREMENT - QUARTER, owner=name % 7))
    state = world.steps(RULES.payable_after + 6)
    looks = 0
    whole = Table.values

    def count(table: Table[object, object]) -> object:
        nonlocal looks
        looks += 1
        return whole(table)

    monkeypatch.setattr(Table, "values", count)
    for name in range(7):
        held = sum(number % 7 == name for number in range(30))
        assert stakes_of(state, address(f"{name} 0")) == Stakes(AtomicSesh(held * QUARTER), AtomicSesh(0))
    assert stakes_of(state, address("nobody")) == Stakes(AtomicSesh(0), AtomicSesh(0))
    assert looks <= 3
    splits: list[object] = []

    def counted(income: MilliAtomic, payee: Payee) -> list[MilliAtomic]:
        splits.append(payee)
        return split(income, payee)

    monkeypatch.setattr(ledger, "split", counted)
    before = Height(state.height - 3)
    for _ in range(100):
        assert claimable(state, address("nobody"), before) == 0
    assert not splits and claimable(state, address("1 0 beneficiary"), before) > 0
    assert len(splits) == 3 * sum(number % 7 == 1 for number in range(30))


def test_forgets_balances_beyond_its_history() -> None:
    world = World(replace(RULES, history=Blocks(5)))
    world.register(1)
    state = world.steps(10)
    assert claimable(state, address("1 0 beneficiary"), Height(5)) == RATE // 120
    with pytest.raises(SignatureRefusedError, match="from 5 to 10, not for 4"):
        claimable(state, address("1 0 beneficiary"), Height(4))


# Leaving.


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


# Verdicts.


def test_decommissioned_and_back() -> None:
    world = network()
    world.steps(3)
    name = world.worker()
    before = world.state.nodes[pubkey(name)]
    state = world.step(world.certificate(name, Verdict.DECOMMISSION, reasons=0x09))
    node = state.nodes[pubkey(name)]
    assert (node.decommissioned, node.swarm, node.decommission_count) == (True, UNASSIGNED, 1)
    assert (node.reasons_any, node.reasons_all) == (0x09, 0x09)
    assert pubkey(name) not in state.ledger.payees
    assert pubkey(name) in state.quorums[-1].roster.decommissioned
    earned = claimable(state, address(f"{name} 0 beneficiary"))
    world.steps(2)
    state = world.step(world.certificate(name, Verdict.RECOMMISSION, reasons=0))
    node, down = state.nodes[pubkey(name)], state.height - node.last_decommission_height
    at_decommission = before.credit(Height(state.height - down), RULES)
    assert not node.decommissioned and node.swarm != UNASSIGNED
    assert node.recommission_credit == max(0, at_decommission - 2 * down)
    state = world.steps(RULES.payable_after - 1)
    assert claimable(state, address(f"{name} 0 beneficiary")) == earned
    assert claimable(world.step(), address(f"{name} 0 beneficiary")) > earned


def test_a_change_of_address_is_noted_once() -> None:
    world = network()
    name = world.worker()
    height = world.state.height
    world.step(world.certificate(name, Verdict.IP_CHANGE))
    assert world.state.nodes[pubkey(name)].last_ip_change_height == height + 1
    with pytest.raises(InvalidInputError, match="is known"):
        world.step(world.certificate(name, Verdict.IP_CHANGE, height))


def test_a_new_node_has_too_little_credit_to_be_decommissioned_again() -> None:
    rules = replace(RULES, initial_credit=Blocks(3))
    world = World(rules)
    for name in range(12):
        world.register(name)
    world.step()
    world.step()
    name = world.worker()
    with pytest.raises(InvalidInputError, match="not enough credit"):
        world.step(world.certificate(name, Verdict.DECOMMISSION))
    state = world.step(world.certificate(name, Verdict.DEREGISTER))
    assert pubkey(name) not in state.nodes


def broken(world: World, how: str) -> Certificate:
    name = world.worker()
    good = world.certificate(name, Verdict.DECOMMISSION)
    first, second, *rest = good.votes
    match how:
        case "few":
            return replace(good, votes=good.votes[:-1])
        case "twice":
            return replace(good, votes=(first, first, *rest))
        case "unordered":
            return replace(good, votes=(second, first, *rest))
        case "stranger":
            return replace(good, votes=(*good.votes[:-1], replace(good.votes[-1], validator=Index(99))))
        case "forged":
            return replace(good, votes=(replace(first, signature=Signature(bytes(64))), second, *rest))
        case "other reasons":
            return replace(good, votes=tuple(replace(vote, reasons=Reasons(vote.reasons + 1)) for vote in good.votes))
        case "other verdict":
            return replace(good, verdict=Verdict.DEREGISTER)
        case "other chain":
            elsewhere = World(replace(RULES, name="elsewhere"))
            elsewhere.state, elsewhere._names = (
                replace(world.state, parameters=elsewhere.state.parameters),
                world._names,
            )
            return elsewhere.certificate(name, Verdict.DECOMMISSION)
        case "no worker":
            return replace(good, worker=Index(99))
        case "future":
            return replace(good, height=Height(good.height + 1))
    raise AssertionError(how)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("few", "are needed"),
        ("twice", "one of each"),
        ("unordered", "one of each"),
        ("stranger", "no validator"),
        ("forged", "wrong signature"),
        ("other reasons", "wrong signature"),
        ("other verdict", "enough credit"),
        ("other chain", "wrong signature"),
        ("no worker", "no worker"),
        ("future", "do not count"),
    ],
)
def test_refuses_certificates_that_are_none(how: str, says: str) -> None:
    world = network()
    certificate = broken(world, how)
    assert says in (objection(world.state, certificate) or "")
    assert admissible(world.state, [certificate]) == ()
    before = world.state
    with pytest.raises(InvalidInputError, match=says):
        world.step(certificate)
    assert world.state is before


#: What is done to a signature: its two halves, as numbers.
BENT: dict[str, Callable[[int, int], tuple[int, int]]] = {
    "nothing": lambda r, s: (r, s),
    "a bit of the point": lambda r, s: (r ^ 1 << 77, s),
    "a bit of the number": lambda r, s: (r, s ^ 1 << 99),
    "a number beyond the order": lambda r, s: (r, s + 2**252 + 27742317777372353535851937790883648493),
    "the neutral point": lambda r, s: (1, s),
    "a point not reduced": lambda r, s: (2**255 - 18, s),
    "all": lambda r, s: (0, 0),
}
TWELVE = network()


@given(st.lists(st.sampled_from([*["nothing"] * 20, *BENT]), min_size=12, max_size=12), st.data())
def test_certificates_are_judged_alike_whoever_verifies(how: list[str], data: st.DataObject) -> None:
    """One signature after the other by libsodium, or side by side by the engine."""
    good = TWELVE.certificate(TWELVE.worker(), Verdict.DECOMMISSION, votes=12)
    picked = data.draw(st.lists(st.sampled_from(range(12)), min_size=7, max_size=12, unique=True).map(sorted))
    votes = []
    for index in picked:
        halves = [
            int.from_bytes(half, "little")
            for half in (good.votes[index].signature[:32], good.votes[index].signature[32:])
        ]
        bent = b"".join(half.to_bytes(32, "little") for half in BENT[how[index]](*halves))
        votes.append(replace(good.votes[index], signature=Signature(bent)))
    certificate = replace(good, votes=tuple(votes))
    plain, native = TWELVE.state, replace(TWELVE.state, verifier=verify_ed25519)
    why = objection(plain, certificate)
    assert objection(native, certificate) == why
    expected = (
        "are needed"
        if len(picked) < 8
        else "wrong signature"
        if any(how[index] != "nothing" for index in picked)
        else None
    )
    assert why is None if expected is None else expected in (why or "")
    chosen = admissible(plain, [certificate])
    assert admissible(native, [certificate]) == chosen == (() if why else (certificate,))
    given = TWELVE.input(*chosen)
    after = apply(native, given)
    assert after.root == apply(plain, given).root and after.verifier is verify_ed25519


def test_a_certificate_counts_once_and_not_for_long() -> None:
    world = network()
    certificate = world.certificate(world.worker(), Verdict.DECOMMISSION)
    old = network()
    old.steps(RULES.vote_lifetime - 1)
    assert objection(old.state, certificate) is None
    old.step()
    assert objection(old.state, certificate) == "votes about this height do not count, or not any more"
    world.step(certificate)
    assert "decommissioned since" in (objection(world.state, certificate) or "")


def test_a_height_takes_out_only_so_many() -> None:
    world = World(replace(RULES, max_deactivations=2))
    for name in range(20):
        world.register(name)
    world.step()
    world.step()
    drawn = world.state.quorum(world.state.height)
    assert drawn is not None and len(drawn.validators) == 20 and drawn.workers == drawn.validators
    for name in range(20, 26):
        world.register(name)
    world.steps(2)
    drawn = world.state.quorum(world.state.height)
    assert drawn is not None and drawn.threshold == 14
    assert len(drawn.workers) == 26 and set(drawn.workers[6:]) == set(drawn.validators)
    certificates = [world.certificate(name, Verdict.DECOMMISSION) for name in range(6)]
    with pytest.raises(InvalidInputError, match="more than 2"):
        world.step(*certificates)
    state = world.step(*admissible(world.state, [*certificates, *certificates]))
    assert sum(node.decommissioned for node in state.nodes.values()) == 2


def test_votes_hash_as_specified() -> None:
    hashes = [vote_hash(Height(123456), Index(7), verdict).hex() for verdict in Verdict]
    assert hashes == [
        "c746adf27a97b269540e8d57b4fc451dd35e7353e100a87f984878b0209246e9",
        "4590e1a3dc2ee00593ab8b97c439407717e657188a294f3e0a46bf9f4e05ef78",
        "6e76655ee0d1ae58b0bd61ab75df7bc37893d270ab7ed2539f9648e8ad7eb830",
        "3d1888b48400b4d3a8ccc0a7a6396216f35975c5b47867adf9fb3c81b0d80769",
    ]


# Credit.


def node_of(credit: int, since: int, down: int | None = None) -> Node:
    return Node(
        pubkey=pubkey(1),
        bls_key=bls(1),
        contract_id=ContractId(1),
        contributors=stakes(REQUIREMENT),
        fee=0,  # type: ignore[arg-type]
        registration_height=Height(1),
        active_since=Height(since),
        recommission_credit=Blocks(credit),
        decommissioned=down is not None,
        last_decommission_height=Height(down or 0),
    )


@pytest.mark.parametrize(
    ("up", "credit"),
    [(0, 60), (1, 60), (29, 60), (30, 61), (720, 84), (7200, 300), (41399, 1439), (41400, 1440), (99_999, 1440)],
)
def test_credit_is_earned(up: int, credit: int) -> None:
    assert node_of(60, 1000).credit(Height(1000 + up), MAINNET) == credit


def test_credit_is_used_up() -> None:
    node = node_of(60, 1000, down=1720)
    assert [node.credit(Height(1720 + down), MAINNET) for down in (0, 84, 85)] == [84, 0, -1]


@pytest.mark.parametrize(("credit", "down", "left"), [(1000, 100, 800), (1000, 500, 0), (60, 10, 40)])
def test_credit_after_recommission(credit: int, down: int, left: int) -> None:
    world = network()
    name = world.worker()
    world.step(world.certificate(name, Verdict.DECOMMISSION))
    node = replace(world.state.nodes[pubkey(name)], recommission_credit=Blocks(credit))
    node = replace(node, active_since=node.last_decommission_height)
    rules = replace(RULES, max_credit=Blocks(1440))
    world.state = replace(
        world.state,
        parameters=rules,
        nodes=world.state.nodes.changed({pubkey(name): node}),
    )
    world.steps(down - 1)
    after = world.step(world.certificate(name, Verdict.RECOMMISSION)).nodes[pubkey(name)]
    assert after.active_since == node.last_decommission_height + down
    assert after.recommission_credit == left


# Swarms.


def test_swarms_form_and_keep_their_size() -> None:
    world = World()
    for name in range(40):
        world.register(name)
    state = world.step()
    sizes: dict[int, int] = {}
    for node in state.nodes.values():
        sizes[node.swarm] = sizes.get(node.swarm, 0) + 1
    assert UNASSIGNED not in sizes and min(sizes.values()) >= MIN_SIZE and len(sizes) > 1


def test_stable_order_as_specified() -> None:
    formed = update({}, range(1500), 1, stable_order)
    sizes: dict[int, int] = {}
    for members in formed.values():
        sizes[len(members)] = sizes.get(len(members), 0) + 1
    assert (len(formed), sizes) == (214, {5: 15, 6: 37, 7: 93, 8: 69})


# Inputs.


def test_refuses_inputs_that_do_not_follow() -> None:
    world = World()
    world.step()
    world.register(1)
    world.register(2)
    good = world.input()
    seen = good.observation
    first, second = seen.events
    late = replace(first, position=replace(first.position, l2_height=L2Height(seen.l2_height + 1)))
    stale = replace(first, position=replace(first.position, l2_height=world.state.l2_height))
    for bad, says in (
        (replace(good, height=Height(3)), "does not follow"),
        (replace(good, height=Height(1)), "does not follow"),
        (replace(good, time=Seconds(0)), "time"),
        (replace(good, observation=replace(seen, l2_height=L2Height(100), events=())), "is before"),
        (replace(good, observation=replace(seen, l2_height=L2Height(101), events=())), "another hash"),
        (replace(good, observation=replace(seen, reward_rate=AtomicSesh(2**54 + 1))), "reward rate"),
        (replace(good, observation=replace(seen, events=(second, first))), "order"),
        (replace(good, observation=replace(seen, events=(first, first))), "order"),
        (replace(good, observation=replace(seen, events=(late,))), "up to the new one"),
        (replace(good, observation=replace(seen, events=(stale,))), "after the last height"),
        (replace(good, observation=replace(seen, events=(first,) * 4097)), "more events"),
    ):
        with pytest.raises(InvalidInputError, match=says):
            apply(world.state, bad)
    assert len(apply(world.state, good).nodes) == 2


# Encoding, roots, proofs.


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


# Determinism.


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, int]:
    return draw(st.integers(0, 2**32)), draw(st.integers(5, 40))


def live(world: World, seed: int, heights: int) -> None:
    """A random history: joins good and bad, requests, exits, verdicts."""
    chance = random.Random(seed)
    names, numbers = iter(range(1000)), []
    for _ in range(heights):
        for _ in range(chance.randrange(4)):
            parts = chance.randrange(1, 5)
            amounts = [REQUIREMENT // parts] * parts
            amounts[0] += REQUIREMENT - sum(amounts) + chance.choice([0, 0, 0, 1])
            name = next(names)
            numbers.append(world.register(name, stakes(*amounts, owner=name % 7), chance.randrange(10_100)))
        if numbers and chance.random() < 0.3:
            world.request_exit(chance.choice(numbers))
        if numbers and chance.random() < 0.2:
            world.exit(chance.choice(numbers), REQUIREMENT - chance.choice([0, 0, 50 * SESH]))
        certificates = []
        drawn = world.state.quorum(world.state.height)
        for worker in drawn.workers if drawn else ():
            if chance.random() < 0.2:
                name = world._names[worker]
                certificates.append(world.certificate(name, chance.choice(list(Verdict))))
        world.step(*admissible(world.state, certificates), rate=chance.randrange(2**40))


@settings(max_examples=25, deadline=None)
@given(histories())
def test_random_histories(history: tuple[int, int]) -> None:
    """Both ledgers, a restart at every height and the invariants of `spec/economics` §9."""
    plain, fast = World(arithmetic=model.Accruals()), World()
    live(plain, *history)
    total, restarted = 0, fast.state
    kept: dict[Height, bytes] = {}
    for given_input in plain.inputs:
        before = fast.state
        fast.state = apply(fast.state, given_input)
        restarted = apply(restore(snapshot(restarted)), given_input)
        assert fast.state.root == restarted.root
        assert_nobody_lost(before, fast.state)
        kept[fast.state.height] = fast.state.ledger.accounts()
        now = money(fast.state)
        credited = sum(b.amount for b in before.returns.values() if b.due <= fast.state.height) * 1000
        assert 0 <= now - total - credited <= 1000 * max((*before.rates, RULES.initial_reward), default=0)
        total = now
        assert_whole(fast.state)
    assert fast.state.root == plain.state.root
    for height, accounts in kept.items():
        for at in range(0, len(accounts), RECORD):
            amount = int.from_bytes(accounts[at + 20 : at + RECORD], "big")
            assert plain.state.ledger.balance(Address(accounts[at : at + 20]), height) == amount


def assert_nobody_lost(before: State, after: State) -> None:
    """No balance falls."""
    accounts = before.ledger.accounts()
    for at in range(0, len(accounts), RECORD):
        who = Address(accounts[at : at + 20])
        assert after.ledger.balance(who) >= before.ledger.balance(who)


def money(state: State) -> int:
    accounts = state.ledger.accounts()
    return sum(int.from_bytes(accounts[at + 20 : at + RECORD], "big") for at in range(0, len(accounts), RECORD))


def assert_whole(state: State) -> None:
    """What must hold in every state."""
    for key, node in state.nodes.items():
        assert (node.swarm == UNASSIGNED) == node.decommissioned
        assert (key in state.ledger.payees) == node.is_payable(state.height, state.parameters)
        assert node.contract_id not in state.departed
        assert node.requirement == REQUIREMENT
    assert set(state.ledger.payees) <= set(state.nodes)
    assert all(back.due > state.height for back in state.returns.values())
    swarm_sizes: dict[int, int] = {}
    for node in state.nodes.values():
        if not node.decommissioned:
            swarm_sizes[node.swarm] = swarm_sizes.get(node.swarm, 0) + 1
    assert len(swarm_sizes) <= 1 or min(swarm_sizes.values()) >= MIN_SIZE


_REPLAY = """
import sys
from allium.appchain.encoding import decode
from allium.appchain.input import Input
from allium.appchain.machine import apply
from allium.appchain.parameters import Parameters
from allium.appchain.state import genesis
from allium.appchain.ledger import model
rules, *inputs = sys.stdin.read().split()
arithmetic = model.Accruals() if sys.argv[1] == "model" else None
state = genesis(decode(Parameters, bytes.fromhex(rules)), arithmetic)
for given in inputs:
    state = apply(state, decode(Input, bytes.fromhex(given)))
    print(state.root.hex())
"""


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_other_processes_find_the_same_roots(seed: int) -> None:
    world = World()
    live(world, seed, 30)
    state, roots = genesis(RULES), []
    for given_input in world.inputs:
        state = apply(state, given_input)
        roots.append(state.root.hex())
    text = "\n".join([encode(RULES).hex(), *(encode(each).hex() for each in world.inputs)])
    for hashing, kind in (("0", "fast"), ("1", "fast"), ("2", "model")):
        done = subprocess.run(
            [sys.executable, "-c", _REPLAY, kind],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hashing, "PYTHONPATH": str(Path(allium.appchain.__file__).parents[2])},
        )
        assert done.stdout.split() == roots


def test_the_machine_reads_no_clock_and_no_file() -> None:
    """It imports nothing that does I/O, and nothing of it is a float; nor is what it uses of the ledger."""
    folder = Path(allium.appchain.__file__).parent
    forbidden = {"asyncio", "io", "os", "pathlib", "random", "secrets", "socket", "sqlite3", "time", "datetime"}
    ledger = [folder / "ledger" / f"{name}.py" for name in ("ledger", "model", "shares")]
    code = "import sys, allium.appchain.machine; print(*(name for name in sys.modules if name.startswith('allium.')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name.split(".")[1] for name in loaded} == {"appchain"}
    for path in [*folder.glob("*.py"), *ledger]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not forbidden & {alias.name.split(".")[0] for alias in node.names}, path
            if isinstance(node, ast.ImportFrom):
                module = node.module or ""
                assert module.split(".")[0] not in forbidden, path
                assert not module.startswith("allium.") or module.split(".")[1] == "appchain", path
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), path
            assert not isinstance(node, ast.Div), path


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


BUSY = snapshot(busy().state)
BUSY_ROOT = restore(BUSY).root
