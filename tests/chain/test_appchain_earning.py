"""What a node earns, and how it is known what each address has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from allium.appchain.certificates import Verdict
from allium.appchain.claims import Code, SignatureRefusedError, Stakes, claimable
from allium.appchain.claims import stakes as stakes_of
from allium.appchain.ledger import ledger
from allium.appchain.ledger.shares import Payee, split
from allium.appchain.table import Table
from allium.appchain.types import AtomicSesh, Blocks, ContractId, Height, MilliAtomic
from tests.support.appchain_world import QUARTER, RATE, REQUIREMENT, RULES, World, address, network, stakes


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
