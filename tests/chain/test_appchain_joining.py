"""Who may join: what the contract says, the keys, the signature and the stakes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from nacl import bindings

from allium.appchain.claims import SignatureRefusedError, claimable, may_exit, may_liquidate, non_signers
from allium.appchain.events import registration_message
from allium.appchain.nodes import Refusal
from allium.appchain.parameters import SESH
from allium.appchain.types import Seconds, Signature
from tests.support.appchain_world import (
    QUARTER,
    REQUIREMENT,
    RULES,
    World,
    address,
    bls,
    negative,
    pubkey,
    sign,
    stakes,
)


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


def test_a_seeded_node_is_a_node_like_every_other() -> None:
    world = World()
    world.register(1)
    number = world.seed(2, stakes(QUARTER, 3 * QUARTER, owner="two"))
    state = world.step()
    node = state.nodes[pubkey(2)]
    assert (node.contract_id, node.fee, len(node.contributors)) == (number, 0, 2)
    assert state.locked[address("two 1")] == 3 * QUARTER
    assert non_signers(state, {bls(1)}) == [number]
    # Nobody may take it out, least of all for a share of the stake.
    with pytest.raises(SignatureRefusedError):
        may_exit(state, bls(2), Seconds(0), Seconds(0))
    with pytest.raises(SignatureRefusedError):
        may_liquidate(state, bls(2), Seconds(0), Seconds(0))
    world.exit(number)
    state = world.step()
    world.step()
    assert not state.departed and [back.amount for back in state.returns.values()] == [QUARTER, 3 * QUARTER]


def test_a_seed_that_left_at_once_or_has_wrong_stakes_is_refused() -> None:
    world = World()
    world.register(1)
    gone = world.seed(2, ())
    short = world.seed(3, stakes(QUARTER))
    state = world.step()
    refusals = {number: departed.refusal for number, departed in state.departed.items()}
    assert refusals == {gone: Refusal.NO_CONTRIBUTORS, short: Refusal.UNDERFUNDED}
