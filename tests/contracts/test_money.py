"""The token on both chains, the pool of rewards and the splitter of fees."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web3.contract import Contract

from allium.appchain.parameters import SESH
from allium.devnet import anvil
from allium.staking import abi, artifacts
from tests.support.chain import DAY, ZERO, Chain

SUPPLY = 240_000_000 * SESH
YEAR = 365 * DAY


# --- SESH


def test_the_token(chain: Chain) -> None:
    token = chain.token.functions
    assert token.name().call() == "Session Token"
    assert token.symbol().call() == "SESH"
    assert token.decimals().call() == 9
    assert token.VERSION().call() == 2
    assert token.totalSupply().call() == SUPPLY
    accounts = [*chain.w3.eth.accounts, chain.pool.address]
    assert sum(chain.balance(account) for account in accounts) == SUPPLY


def test_transfers(chain: Chain) -> None:
    token = chain.token.functions
    before = chain.balance(chain.alice), chain.balance(chain.bob)
    receipt = chain.send(token.transfer(chain.bob, 5), chain.alice)
    assert chain.events(receipt, chain.token) == [("Transfer", chain.alice, chain.bob, 5)]
    assert (chain.balance(chain.alice), chain.balance(chain.bob)) == (before[0] - 5, before[1] + 5)
    chain.send(token.transfer(chain.alice, 3), chain.alice)
    assert chain.balance(chain.alice) == before[0] - 5
    assert chain.refused(token.transfer(ZERO, 1), chain.alice) == ("ERC20InvalidReceiver", ZERO)
    too_much = chain.balance(chain.alice) + 1
    assert chain.refused(token.transfer(chain.bob, too_much), chain.alice) == (
        "ERC20InsufficientBalance",
        chain.alice,
        too_much - 1,
        too_much,
    )
    chain.rpc("anvil_impersonateAccount", ZERO)
    assert chain.refused(token.transfer(chain.bob, 0), ZERO) == ("ERC20InvalidSender", ZERO)
    chain.rpc("anvil_stopImpersonatingAccount", ZERO)


def test_allowances(chain: Chain) -> None:
    token = chain.token.functions
    receipt = chain.send(token.approve(chain.bob, 10), chain.alice)
    assert chain.events(receipt, chain.token) == [("Approval", chain.alice, chain.bob, 10)]
    receipt = chain.send(token.transferFrom(chain.alice, chain.carol, 4), chain.bob)
    assert chain.events(receipt, chain.token) == [("Transfer", chain.alice, chain.carol, 4)]
    assert token.allowance(chain.alice, chain.bob).call() == 6
    assert chain.refused(token.transferFrom(chain.alice, chain.carol, 7), chain.bob) == (
        "ERC20InsufficientAllowance",
        chain.bob,
        6,
        7,
    )
    assert chain.refused(token.approve(ZERO, 1), chain.alice) == ("ERC20InvalidSpender", ZERO)
    # Without a limit none is counted down.
    chain.send(token.approve(chain.bob, 2**256 - 1), chain.alice)
    chain.send(token.transferFrom(chain.alice, chain.carol, 4), chain.bob)
    assert token.allowance(chain.alice, chain.bob).call() == 2**256 - 1


def test_permits(chain: Chain) -> None:
    token = chain.token.functions
    fields, name, version, chain_id, address, _, _ = token.eip712Domain().call()
    assert (fields, name, version, chain_id, address) == (
        b"\x0f",
        "Session Token",
        "1",
        chain.addresses.chain_id,
        chain.token.address,
    )

    def permit(amount: int, deadline: int, nonce: int = 0, signer: int = 1) -> Any:
        message = encode_typed_data(
            {"name": name, "version": version, "chainId": chain_id, "verifyingContract": address},
            {
                "Permit": [
                    {"name": "owner", "type": "address"},
                    {"name": "spender", "type": "address"},
                    {"name": "value", "type": "uint256"},
                    {"name": "nonce", "type": "uint256"},
                    {"name": "deadline", "type": "uint256"},
                ]
            },
            {
                "owner": chain.alice,
                "spender": chain.bob,
                "value": amount,
                "nonce": nonce,
                "deadline": deadline,
            },
        )
        assert message.header == token.DOMAIN_SEPARATOR().call()
        signed = Account.sign_message(message, anvil.account(signer).key)
        r, s = (part.to_bytes(32, "big") for part in (signed.r, signed.s))
        return token.permit(chain.alice, chain.bob, amount, deadline, signed.v, r, s)

    deadline = chain.now + 100
    receipt = chain.send(permit(7, deadline), chain.dave)
    assert chain.events(receipt, chain.token) == [("Approval", chain.alice, chain.bob, 7)]
    assert token.nonces(chain.alice).call() == 1
    assert chain.refused(permit(7, deadline), chain.dave)[0] == "ERC2612InvalidSigner"  # the nonce is used
    assert chain.refused(permit(8, deadline, 1, signer=2), chain.dave) == (
        "ERC2612InvalidSigner",
        chain.bob,
        chain.alice,
    )
    late = chain.now - 1
    assert chain.refused(permit(8, late, 1), chain.dave) == ("ERC2612ExpiredSignature", late)


def test_the_constructor_refuses_nothing_and_nobody(chain: Chain) -> None:
    artifact, published = artifacts.load("SESH"), abi.load("SESH")
    for supply, receiver in ((0, chain.alice), (5, ZERO)):
        assert chain.create_refused(artifact, published, supply, receiver, ZERO, ZERO)[0] == "Error"


def test_registration_with_a_bridge(chain: Chain) -> None:
    bridge = chain.probe("Gateway")
    arguments = (100, chain.alice, bridge.address, bridge.address)
    token = chain.create(artifacts.load("SESH"), abi.load("SESH"), *arguments, name="SESH")
    assert (token.functions.gateway().call(), token.functions.router().call()) == (bridge.address,) * 2
    assert chain.refused(token.functions.isArbitrumEnabled(), chain.bob) == ("Error", "NOT_EXPECTED_CALL")
    call = token.functions.registerTokenOnL2(chain.dave, 1, 2, 3, 4, 5, 60, 70, chain.carol)
    receipt = chain.send(call, chain.bob, value=130)
    assert chain.events(receipt, bridge) == [
        ("TokenRegistered", token.address, chain.dave, 3, 5, 1, chain.carol, 60),
        ("GatewaySet", token.address, bridge.address, 4, 5, 2, chain.carol, 70),
    ]
    assert chain.refused(token.functions.isArbitrumEnabled(), chain.bob) == ("Error", "NOT_EXPECTED_CALL")


# --- SESHL2


def test_the_token_on_a_second_chain(chain: Chain) -> None:
    token = chain.create(artifacts.load("SESHL2"), abi.load("SESHL2"), name="SESHL2")
    call = token.functions.initialize(chain.bob, chain.token.address)
    assert chain.events(chain.send(call, chain.alice), token) == [("Initialized", 1)]
    assert chain.refused(call, chain.alice) == ("InvalidInitialization",)
    assert token.functions.l2Gateway().call() == chain.bob
    assert token.functions.l1Address().call() == chain.token.address
    assert token.functions.totalSupply().call() == 0
    for name in ("bridgeMint", "bridgeBurn"):
        assert chain.refused(token.functions[name](chain.carol, 1), chain.alice) == ("Error", "NOT_GATEWAY")
    receipt = chain.send(token.functions.bridgeMint(chain.carol, 9), chain.bob)
    assert chain.events(receipt, token) == [("Transfer", ZERO, chain.carol, 9)]
    assert chain.refused(token.functions.bridgeMint(ZERO, 9), chain.bob) == ("ERC20InvalidReceiver", ZERO)
    receipt = chain.send(token.functions.bridgeBurn(chain.carol, 4), chain.bob)
    assert chain.events(receipt, token) == [("Transfer", chain.carol, ZERO, 4)]
    assert token.functions.totalSupply().call() == token.functions.balanceOf(chain.carol).call() == 5
    assert chain.refused(token.functions.bridgeBurn(chain.carol, 6), chain.bob) == (
        "ERC20InsufficientBalance",
        chain.carol,
        5,
        6,
    )
    chain.send(token.functions.transfer(chain.dave, 5), chain.carol)


# --- RewardRatePool


def fill(chain: Chain, amount: int) -> Contract:
    """A pool of this balance, in the name of bob."""
    pool = chain.create(artifacts.load("RewardRatePool"), abi.load("RewardRatePool"), name="RewardRatePool")
    chain.send(pool.functions.initialize(chain.bob, chain.token.address), chain.owner)
    chain.send(chain.token.functions.transfer(pool.address, amount), chain.owner)
    return pool


@pytest.mark.parametrize(
    ("balance", "block", "day", "year"),
    [
        (100_000, 57458143, 41369863013, 15100000000000),
        (40_000_000, 22983257229, 16547945205479, 6040000000000000),
        (62_000_000, 35624048706, 25649315068493, 9362000000000000),
        (62_900_000, 36141171993, 26021643835616, 9497900000000000),
        (63_177_550, 36300647070, 26136465890410, 9539810050000000),
    ],
)
def test_what_the_pool_releases(chain: Chain, balance: int, block: int, day: int, year: int) -> None:
    """`spec/economics` §2."""
    calculate = chain.pool.functions.calculatePayoutAmount
    for elapsed, expected in ((120, block), (DAY, day), (YEAR, year), (0, 0)):
        assert calculate(balance * SESH, elapsed).call() == expected


@pytest.mark.parametrize(
    ("start", "steps", "seconds", "paid", "left"),
    [
        (100_000, 365, DAY, 14017916502388, 85982083497612),
        (100_000, 12, 2_628_000, 14097571610714, 85902428389286),
        (100_000, 2, YEAR, 15100000000000 + 12819900000000, 72080100000000),
        (40_000_000, 365, DAY, 5607166601021080, 34392833398978920),
        (63_177_550, 365, DAY, 8856176207358577, 54321373792641423),
    ],
)
def test_what_the_pool_pays_in_steps(chain: Chain, start: int, steps: int, seconds: int, paid: int, left: int) -> None:
    """`spec/economics` §2: the balances are real, and so are the payouts."""
    pool = fill(chain, start * SESH)
    before = chain.balance(chain.bob)
    pay = pool.functions.payoutReleased()
    time = pool.functions.lastPaidOutTime().call()
    payout = {"from": chain.carol, "to": pay.address, "data": pay._encode_transaction_data(), "gas": "0x20000"}
    with chain.mining_by_hand():
        for _ in range(steps):
            time += seconds
            chain.rpc("eth_sendTransaction", payout)
            chain.rpc("evm_mine", time)
    assert pool.functions.totalPaidOut().call() == paid == chain.balance(chain.bob) - before
    assert chain.balance(pool.address) == left == start * SESH - paid
    assert pool.functions.calculateTotalDeposited().call() == start * SESH
    assert pool.functions.lastPaidOutTime().call() == time


def test_the_rate_does_not_count_what_is_released_already(chain: Chain) -> None:
    pool = fill(chain, 63_177_550 * SESH)
    start = pool.functions.lastPaidOutTime().call()
    for elapsed, rate in ((3600, 36300021339), (86_400, 36285629542)):
        chain.at_time(start + elapsed)
        assert pool.functions.rewardRate().call() == rate
    snapshot = chain.rpc("evm_snapshot")
    chain.send(pool.functions.payoutReleased(), chain.alice)
    left = chain.balance(pool.address)
    assert pool.functions.rewardRate().call() == pool.functions.calculatePayoutAmount(left, 120).call()
    chain.rpc("evm_revert", snapshot)


def test_a_payout_and_what_it_says(chain: Chain) -> None:
    pool = fill(chain, 100_000 * SESH)
    time = pool.functions.lastPaidOutTime().call() + DAY
    receipt = chain.send_at(time, pool.functions.payoutReleased(), chain.carol)
    assert chain.events(receipt, pool) == [("FundsReleased", 41369863013)]
    assert chain.events(receipt, chain.token) == [("Transfer", pool.address, chain.bob, 41369863013)]
    assert pool.functions.calculateReleasedAmount().call() == 41369863013


def test_the_pools_owner(chain: Chain) -> None:
    pool = chain.pool.functions
    assert pool.beneficiary().call() == chain.rewards.address
    assert pool.SESH().call() == chain.token.address
    assert pool.VERSION().call() == 1
    assert (pool.ANNUAL_SIMPLE_PAYOUT_RATE().call(), pool.BASIS_POINTS().call()) == (151, 1000)
    change = pool.setBeneficiary(chain.dave)
    assert chain.refused(change, chain.alice) == ("OwnableUnauthorizedAccount", chain.alice)
    assert chain.events(chain.send(change, chain.owner), chain.pool) == [("BeneficiaryUpdated", chain.dave)]
    assert pool.beneficiary().call() == chain.dave
    assert chain.refused(pool.initialize(ZERO, ZERO), chain.owner) == ("InvalidInitialization",)
    chain.send(pool.transferOwnership(chain.alice), chain.owner)
    assert pool.pendingOwner().call() == chain.alice
    chain.send(pool.acceptOwnership(), chain.alice)
    assert pool.owner().call() == chain.alice
    chain.send(pool.renounceOwnership(), chain.alice)
    assert pool.owner().call() == ZERO


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 400 * DAY), st.integers(0, 10**15)), min_size=1, max_size=6))
def test_nothing_is_lost_in_a_pool(chain: Chain, steps: list[tuple[int, int]]) -> None:
    """`spec/economics` §9, 4: paid and left are what was deposited, for any steps of time."""
    snapshot = chain.rpc("evm_snapshot")
    pool = fill(chain, 10**15)
    deposited, before = 10**15, chain.balance(chain.bob)
    time = chain.now
    for elapsed, more in steps:
        chain.send(chain.token.functions.transfer(pool.address, more), chain.owner)
        deposited += more
        time = max(time + elapsed, chain.now + 1)
        chain.send_at(time, pool.functions.payoutReleased(), chain.carol)
        paid = pool.functions.totalPaidOut().call()
        assert paid == chain.balance(chain.bob) - before
        assert paid + chain.balance(pool.address) == deposited == pool.functions.calculateTotalDeposited().call()
    chain.rpc("evm_revert", snapshot)


# --- FeeSplitter


@pytest.mark.parametrize(
    ("fee", "pool", "liquidity"),
    [
        (0, 0, 0),
        (1, 0, 1),
        (9, 8, 1),
        (10, 9, 1),
        (99, 89, 10),
        (7_000_000_000, 6_300_000_000, 700_000_000),
        (12_345_678_901, 11_111_111_010, 1_234_567_891),
    ],
)
def test_a_fee_is_split(chain: Chain, fee: int, pool: int, liquidity: int) -> None:
    """`spec/economics` §7."""
    splitter = chain.splitter.functions
    chain.send(splitter.setTreasury(chain.dave), chain.owner)
    chain.send(chain.token.functions.approve(chain.splitter.address, fee), chain.bob)
    before = chain.balance(chain.pool.address), chain.balance(chain.dave)
    receipt = chain.send(splitter.pay(fee), chain.bob)
    assert chain.events(receipt, chain.splitter) == [("Split", chain.bob, fee, pool, liquidity)]
    # What was only transferred waits for anybody.
    chain.send(chain.token.functions.transfer(chain.splitter.address, fee), chain.bob)
    receipt = chain.send(splitter.flush(), chain.carol)
    assert chain.events(receipt, chain.splitter) == [("Split", chain.carol, fee, pool, liquidity)]
    after = chain.balance(chain.pool.address), chain.balance(chain.dave)
    assert after == (before[0] + 2 * pool, before[1] + 2 * liquidity)
    assert pool + liquidity == fee
    assert chain.balance(chain.splitter.address) == 0


def test_the_splitters_owner(chain: Chain) -> None:
    splitter = chain.splitter.functions
    assert splitter.SESH().call() == chain.token.address
    assert splitter.pool().call() == chain.pool.address
    assert splitter.treasury().call() == splitter.owner().call() == chain.owner
    assert (splitter.VERSION().call(), splitter.POOL_PERCENT().call()) == (1, 90)
    change = splitter.setTreasury(chain.dave)
    assert chain.refused(change, chain.alice) == ("OwnableUnauthorizedAccount", chain.alice)
    assert chain.refused(splitter.setTreasury(ZERO), chain.owner) == ("NullAddress",)
    assert chain.events(chain.send(change, chain.owner), chain.splitter) == [("TreasuryUpdated", chain.dave)]
    assert chain.refused(splitter.pay(1), chain.alice)[0] == "ERC20InsufficientAllowance"
    chain.send(splitter.transferOwnership(chain.alice), chain.owner)
    chain.send(splitter.acceptOwnership(), chain.alice)
    assert (splitter.owner().call(), splitter.pendingOwner().call()) == (chain.alice, ZERO)
    chain.send(splitter.renounceOwnership(), chain.alice)
