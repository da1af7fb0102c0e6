"""Rewards to the last unit: every vector of `spec/economics`, and the fast ledger against the plain one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allium.appchain.ledger import accruals, model
from allium.appchain.ledger.ledger import Arithmetic, Ledger, TooOldError
from allium.appchain.ledger.shares import PORTIONS, Payee, portions, split
from allium.appchain.parameters import MAINNET, SESH
from allium.appchain.rates import follow, limited, paid
from allium.appchain.types import MILLI, AtomicSesh, BasisPoints, Blocks, Height, MilliAtomic
from tests.support.appchain_world import address, pubkey

KINDS = [accruals.Accruals, model.Accruals]
START = 22_983_257_229


def payee(fee: int, *amounts: int) -> Payee:
    beneficiaries = tuple(address(f"contributor {index}") for index in range(len(amounts)))
    return Payee(beneficiaries, tuple(map(AtomicSesh, amounts)), BasisPoints(fee))


@pytest.mark.parametrize(
    ("fee", "expected"),
    [
        (1, 1844674407370955),
        (250, 461168601842738790),
        (500, 922337203685477580),
        (1000, 1844674407370955161),
        (9999, 18444899399302180656),
        (10000, 18446744073709551612),
    ],
)
def test_portions(fee: int, expected: int) -> None:
    assert portions(BasisPoints(fee)) == expected


# reward, nodes, fee, stakes, income, operator's part of it, parts, lost
VECTORS = [
    (START, 1500, 0, [25_000 * SESH], 15322171486, 0, [15322171486], 0),
    (
        START,
        1500,
        1000,
        [12_500 * SESH, 6_250 * SESH, 6_250 * SESH],
        15322171486,
        1532217148,
        [6894977169, 3447488584, 3447488584],
        1,
    ),
    (
        36300647070,
        1513,
        250,
        [6_250 * SESH, 3_000 * SESH, *[1968_750_000_000] * 8],
        23992496411,
        599812410,
        [5848171000, 2807122080, *[1842173865] * 8],
        1,
    ),
    (START, 2000, 10000, [25_000 * SESH], 11491628614, 11491628614, [0], 0),
    (
        1000 * SESH,
        1,
        1000,
        [12_500 * SESH, 6_250 * SESH, 6_250 * SESH],
        1000000000000000,
        99999999999999,
        [450000000000000, 225000000000000, 225000000000000],
        1,
    ),
]


@pytest.mark.parametrize(("reward", "nodes", "fee", "stakes", "income", "operator", "parts", "lost"), VECTORS)
def test_split(
    reward: int, nodes: int, fee: int, stakes: list[int], income: int, operator: int, parts: list[int], lost: int
) -> None:
    shared = payee(fee, *stakes)
    assert reward * MILLI // nodes == income
    assert shared.portions * income // PORTIONS == operator
    assert split(MilliAtomic(income), shared) == [parts[0] + operator, *parts[1:]]
    assert income - operator - sum(parts) == lost


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("reward", "nodes", "fee", "stakes", "income", "operator", "parts", "lost"), VECTORS)
def test_ledgers_split(
    kind: type[Arithmetic],
    reward: int,
    nodes: int,
    fee: int,
    stakes: list[int],
    income: int,
    operator: int,
    parts: list[int],
    lost: int,
) -> None:
    ledger = Ledger(Blocks(1), arithmetic=kind())
    for name in range(nodes):
        ledger.enrol(pubkey(name) if name < 3 else name.to_bytes(32), payee(fee, *stakes))  # type: ignore[arg-type]
    ledger.pay(AtomicSesh(reward))
    expected = [parts[0] + operator, *parts[1:]]
    assert [ledger.balance(address(f"contributor {index}")) for index in range(len(stakes))] == [
        nodes * part for part in expected
    ]
    assert lost == income - sum(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_day(kind: type[Arithmetic]) -> None:
    ledger = Ledger(Blocks(1), arithmetic=kind())
    shared = payee(1000, 12_500 * SESH, 6_250 * SESH, 6_250 * SESH)
    solo = payee(0, 25_000 * SESH)
    ledger.enrol(pubkey(0), shared)
    for name in range(1, 1500):
        ledger.enrol(name.to_bytes(32), replace(solo, beneficiaries=(address(f"solo {name}"),)))  # type: ignore[arg-type]
    for _ in range(720):
        ledger.pay(AtomicSesh(START))
    accrued = [ledger.balance(address(f"contributor {index}")) for index in range(3)]
    assert accrued == [6067579908240, 2482191780480, 2482191780480]
    assert [amount // MILLI for amount in accrued] == [6067579908, 2482191780, 2482191780]
    assert ledger.balance(address("solo 1")) // MILLI == 11031963469


@pytest.mark.parametrize(
    ("before", "least", "most"),
    [
        (22983257229, 22982337899, 22983716894),
        (36300647070, 36299195045, 36301373082),
        (50000, 49998, 50001),
        (24999, 24999, 24999),
    ],
)
def test_limits_of_the_rate(before: int, least: int, most: int) -> None:
    assert limited(AtomicSesh(before), AtomicSesh(0), MAINNET) == least
    assert limited(AtomicSesh(before), AtomicSesh(2**50), MAINNET) == most
    assert limited(AtomicSesh(before), AtomicSesh(before), MAINNET) == before


def test_the_rate_climbs_for_a_month() -> None:
    assert MAINNET.initial_reward == 40_000_000 * SESH * 151 // 1000 // 365 // 720 == START
    rates: tuple[AtomicSesh, ...] = ()
    blocks, wanted = 0, AtomicSesh(36300647070)
    while not rates or rates[-1] < wanted:
        assert paid(rates, MAINNET) == (START if blocks < 15 else rates[0])
        rates = follow(rates, wanted, MAINNET)
        blocks += 1
    assert blocks == 22854
    falling = follow(rates, AtomicSesh(0), MAINNET)
    assert paid(falling, MAINNET) == min(falling[-1], falling[0]) == min(falling)


# The fast arithmetic against the plain one.

AMOUNTS = st.lists(st.integers(1, 2**59), min_size=1, max_size=10) | st.lists(
    st.sampled_from([1, 2, 3, 2**32, 2**59 - 1, 25_000 * SESH]), min_size=1, max_size=10
)
REWARDS = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**32, 2**63, 2**64 - 1])
FEES = st.integers(0, PORTIONS) | st.sampled_from([0, 1, PORTIONS - 1, PORTIONS])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("enrol"), AMOUNTS, FEES, st.randoms(use_true_random=False)),
        st.tuples(st.just("expel"), st.integers(0, 50)),
        st.tuples(st.just("credit"), st.integers(0, 20), st.integers(0, 2**100)),
        st.tuples(st.just("copy")),
        st.tuples(st.just("pay"), REWARDS),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_random_histories(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    fast: accruals.Accruals = accruals.Accruals()
    plain = model.Accruals()
    abandoned = []
    for _ in range(10):
        assert fast.open() == plain.open()
    for step in steps:
        match step:
            case ("enrol", amounts, fee, chance):
                accounts = [chance.randrange(10) for _ in amounts]
                fast.enrol(accounts, amounts, fee)
                plain.enrol(accounts, amounts, fee)
            case ("expel", index) if plain.nodes:
                fast.expel(index % plain.nodes)
                plain.expel(index % plain.nodes)
            case ("credit", account, milli):
                while account >= plain.accounts:
                    assert fast.open() == plain.open()
                fast.credit(account, milli)
                plain.credit(account, milli)
            case ("copy",):
                abandoned.append((fast, plain))
                fast, plain = fast.copy(), plain.copy()
            case ("pay", reward):
                before = sum(plain.balance(account) for account in range(plain.accounts))
                income = plain.pay(reward)
                assert fast.pay(reward) == income
                given_out = sum(plain.balance(account) for account in range(plain.accounts)) - before
                shares = sum(len(accounts) for accounts, _, _, _ in plain._nodes)
                assert (income * plain.nodes <= reward and reward - income * plain.nodes < max(1, plain.nodes)) or (
                    plain.nodes == 0 and given_out == 0
                )
                assert income * plain.nodes - shares - plain.nodes <= given_out <= income * plain.nodes
    for one, other in [*abandoned, (fast, plain)]:
        order = range(other.accounts)
        assert (one.accounts, one.nodes) == (other.accounts, other.nodes)
        assert one.balances(order) == other.balances(order)
        assert [one.balance(account) for account in order] == [other.balance(account) for account in order]


@settings(max_examples=300)
@given(REWARDS, FEES, AMOUNTS)
def test_one_share(reward: int, fee: int, amounts: list[int]) -> None:
    fast = accruals.Accruals()
    for _ in amounts:
        fast.open()
    fast.enrol(range(len(amounts)), amounts, fee)
    fast.pay(reward)
    operator = fee * reward // PORTIONS
    parts = [amount * (reward - operator) // sum(amounts) for amount in amounts]
    parts[0] += operator
    assert [fast.balance(account) for account in range(len(amounts))] == parts


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_exact_is_refused(kind: type[Arithmetic]) -> None:
    arithmetic = kind()
    arithmetic.open()
    for accounts, amounts, fee in (
        ([], [], 0),
        ([0], [], 0),
        ([0], [0], 0),
        ([0, 0], [-1, 2], 0),
        ([0], [2**63], 0),
        ([0], [1], PORTIONS + 1),
        ([0], [1], -1),
        ([1], [1], 0),
        ([-1], [1], 0),
    ):
        with pytest.raises(ValueError):
            arithmetic.enrol(accounts, amounts, fee)
    for reward in (-1, 2**64):
        with pytest.raises(OverflowError):
            arithmetic.pay(reward)
    with pytest.raises(OverflowError):
        arithmetic.credit(0, -1)
    arithmetic.credit(0, 2**128 - 1)
    with pytest.raises(OverflowError):
        arithmetic.credit(0, 1)
    assert arithmetic.balance(0) == 2**128 - 1
    for index in (0, 1):
        with pytest.raises(IndexError):
            arithmetic.expel(index)
    with pytest.raises(IndexError):
        arithmetic.balance(1)
    with pytest.raises(IndexError):
        arithmetic.balances([1])


def test_a_restored_ledger_knows_only_the_present() -> None:
    ledger = Ledger(Blocks(10), Height(5))
    ledger.enrol(pubkey(1), payee(500, 3, 4))
    ledger.credit(address("somebody"), AtomicSesh(7))
    ledger.pay(AtomicSesh(START))
    twin = Ledger.restored(Blocks(10), ledger.height, ledger.accounts(), ledger.payees)
    assert twin.accounts() == ledger.accounts()
    assert ledger.balance(address("somebody"), Height(5)) == 0
    with pytest.raises(TooOldError):
        twin.balance(address("somebody"), Height(5))
    ledger.pay(AtomicSesh(1))
    twin.pay(AtomicSesh(1))
    assert twin.accounts() == ledger.accounts()
    assert twin.balance(address("contributor 0"), Height(6)) == ledger.balance(address("contributor 0"), Height(6))
    for accounts in (bytes(35), ledger.accounts()[36:] + ledger.accounts()[:36], ledger.accounts()[:36] * 2):
        with pytest.raises(ValueError, match="ascending"):
            Ledger.restored(Blocks(10), Height(1), accounts, {})


def test_copies_go_their_own_ways() -> None:
    ledger = Ledger(Blocks(10))
    ledger.enrol(pubkey(1), payee(0, 1))
    ledger.pay(AtomicSesh(10))
    left, right = ledger.copy(), ledger.copy()
    left.credit(address("left"), AtomicSesh(1))
    left.pay(AtomicSesh(0))
    right.expel(pubkey(1))
    right.credit(address("right"), AtomicSesh(2))
    right.pay(AtomicSesh(10))
    assert (left.balance(address("left")), left.balance(address("right"))) == (1000, 0)
    assert (right.balance(address("left")), right.balance(address("right"))) == (0, 2000)
    assert (ledger.height, left.height, right.height) == (1, 2, 2)
    assert ledger.balance(address("left")) == 0 and set(ledger.payees) == {pubkey(1)}
    assert right.balance(address("contributor 0"), Height(1)) == 10_000
    with pytest.raises(ValueError, match="already"):
        left.enrol(pubkey(1), payee(0, 1))
