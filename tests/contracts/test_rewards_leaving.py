"""ServiceNodeRewards: who leaves or is liquidated, and every reason not to be, in their order."""

from __future__ import annotations

import pytest

from allium.appchain.parameters import SESH
from tests.support.chain import DAY, HOUR, REQUIREMENT, ZERO, Chain, Node, stakes

MONTH = 30 * DAY


def test_a_contributor_asks_to_leave(chain: Chain) -> None:
    contributors = stakes((chain.alice, 12_500), (chain.bob, 6_250), (chain.carol, 6_250))
    node = chain.join(chain.alice, contributors)
    ask = chain.rewards.functions.initiateExitBLSPublicKey(node.id)
    assert chain.refused(ask, chain.dave) == ("CallerNotContributor", node.id, chain.dave)
    nobodys = chain.rewards.functions.initiateExitBLSPublicKey(77)
    assert chain.refused(nobodys, chain.alice) == ("CallerNotContributor", 77, chain.alice)
    receipt = chain.send(ask, chain.bob)  # a quarter is not small
    asked = chain.w3.eth.get_block(receipt["blockNumber"])["timestamp"]
    assert chain.events(receipt, chain.rewards) == [("ServiceNodeExitRequest", node.id, chain.bob, node.key)]
    assert not chain.events(receipt, chain.token)
    assert chain.entry(node)[5:7] == (asked, asked)
    chain.at_time(asked + 3599)
    assert chain.refused(ask, chain.alice) == ("LeaveRequestTooEarly", node.id, asked + 3600, chain.now)
    chain.send_at(asked + 3600, ask, chain.alice)
    assert chain.entry(node)[5:7] == (asked, asked + 3600)


def test_small_contributors_wait_thirty_days(chain: Chain) -> None:
    contributors = [
        ((chain.alice, chain.alice), 18_750 * SESH + 1),
        ((chain.bob, chain.bob), 6_250 * SESH - 1),
    ]
    node = chain.join(chain.alice, contributors)
    added = chain.entry(node)[4]
    ask = chain.rewards.functions.initiateExitBLSPublicKey(node.id)
    chain.at_time(added + MONTH - 1)
    assert chain.refused(ask, chain.bob) == ("SmallContributorLeaveTooEarly", node.id, chain.bob)
    snapshot = chain.rpc("evm_snapshot")
    chain.send_at(added + MONTH, ask, chain.bob)
    assert chain.entry(node)[5] == added + MONTH
    chain.rpc("evm_revert", snapshot)


def test_a_small_contributor_may_repeat_what_another_asked(chain: Chain) -> None:
    contributors = [
        ((chain.alice, chain.alice), 18_750 * SESH + 1),
        ((chain.bob, chain.bob), 6_250 * SESH - 1),
    ]
    node = chain.join(chain.alice, contributors)
    ask = chain.rewards.functions.initiateExitBLSPublicKey(node.id)
    chain.send(ask, chain.alice)
    chain.at_time(chain.now + HOUR)
    chain.send(ask, chain.bob)


def test_the_network_lets_a_node_go(chain: Chain) -> None:
    nodes = [chain.join(chain.alice) for _ in range(4)]
    leaver = nodes[1]
    chain.at_time(chain.now + 2 * HOUR)
    held = chain.balance(chain.rewards.address)
    receipt = chain.send(chain.exiting(leaver, nodes[1:], chain.now, nodes[:1]), chain.dave)
    assert chain.events(receipt, chain.rewards) == [("ServiceNodeExit", leaver.id, chain.dave, REQUIREMENT, leaver.key)]
    assert chain.balance(chain.rewards.address) == held  # the stake stays until the network adds it to a reward
    rewards = chain.rewards.functions
    assert rewards.totalNodes().call() == 3
    assert rewards.blsNonSignerThreshold().call() == 1
    assert rewards.serviceNodes(leaver.id).call() == (0, 0, ZERO, (0, 0), 0, 0, 0, 0, [], 0)
    assert rewards.serviceNodeIDs(leaver.secret.public).call() == 0
    assert rewards.ed25519ToServiceNodeID(leaver.params()[0]).call() == 0
    assert rewards.allServiceNodeIDs().call()[0] == [1, 3, 4]
    assert rewards.serviceNodes(3).call()[:2] == (4, 1)
    # Those who are left sign without it, and it may come back under a new id.
    chain.send(chain.rewarding(chain.bob, 5, [nodes[0], nodes[2], nodes[3]]), chain.bob)
    chain.send(chain.adding(leaver, chain.alice), chain.alice)
    assert rewards.serviceNodeIDs(leaver.secret.public).call() == 5


def test_the_last_node_leaves_and_a_first_one_comes(chain: Chain) -> None:
    node = chain.join(chain.alice)
    chain.at_time(chain.now + 2 * HOUR)
    chain.send(chain.exiting(node, [node], chain.now), chain.alice)
    assert chain.rewards.functions.aggregatePubkey().call() == (0, 0)
    second = chain.join(chain.bob)
    assert chain.rewards.functions.aggregatePubkey().call() == second.key


@pytest.mark.parametrize("call_name", ["exiting", "liquidating"])
def test_the_reasons_not_to_leave_in_their_order(chain: Chain, call_name: str) -> None:
    nodes = [chain.join(chain.alice) for _ in range(4)]
    leaving = getattr(chain, call_name)
    leaver, stranger = nodes[0], Node()
    added = chain.entry(leaver)[4]
    assert chain.refused(leaving(stranger, nodes[2:], 0, nodes[:2]), chain.bob) == ("InsufficientBLSSignatures", 2, 3)
    assert chain.refused(leaving(stranger, nodes, 0), chain.bob) == ("BLSPubkeyDoesNotExist", stranger.key)
    now = chain.now
    assert chain.refused(leaving(leaver, nodes, now - 601), chain.bob) == (
        "SignatureExpired",
        leaver.id,
        now - 601,
        now,
    )
    assert chain.refused(leaving(leaver, nodes, now - 600), chain.bob) == ("ExitTooEarly", leaver.id, added, now)
    chain.at_time(added + 2 * HOUR - 1)
    assert chain.refused(leaving(leaver, nodes, chain.now), chain.bob) == (
        "ExitTooEarly",
        leaver.id,
        added,
        added + 2 * HOUR - 1,
    )
    chain.at_time(added + 2 * HOUR)
    now = chain.now
    name, signers = chain.refused(leaving(leaver, nodes[1:], now), chain.bob)
    assert (name, signers) == ("InvalidBLSSignature", chain.rewards.functions.aggregatePubkey().call())
    other = "liquidating" if call_name == "exiting" else "exiting"
    wrong = getattr(chain, other)(leaver, nodes, now).arguments  # the other message's signature
    function = leaving(leaver, nodes, now)
    swapped = chain.rewards.functions[function.fn_name](*wrong)
    assert chain.refused(swapped, chain.bob)[0] == "InvalidBLSSignature"
    chain.send(leaving(leaver, nodes[1:], now + 10 * DAY, nodes[:1]), chain.bob)  # a time to come is accepted


def test_anybody_lets_a_node_go_that_asked_thirty_days_ago(chain: Chain) -> None:
    nodes = [chain.join(chain.alice) for _ in range(2)]
    leave = chain.rewards.functions.exitBLSPublicKeyAfterWaitTime
    assert chain.refused(leave(1), chain.dave) == ("LeaveRequestNotInitiatedYet", 1)
    assert chain.refused(leave(0), chain.dave) == ("LeaveRequestNotInitiatedYet", 0)
    assert chain.refused(leave(55), chain.dave) == ("LeaveRequestNotInitiatedYet", 55)
    chain.send(chain.rewards.functions.initiateExitBLSPublicKey(1), chain.alice)
    asked = chain.now
    chain.at_time(asked + MONTH - 1)
    assert chain.refused(leave(1), chain.dave) == ("LeaveRequestTooEarly", 1, asked + MONTH, chain.now)
    receipt = chain.send_at(asked + MONTH, leave(1), chain.dave)
    assert chain.events(receipt, chain.rewards) == [("ServiceNodeExit", 1, chain.dave, REQUIREMENT, nodes[0].key)]
    assert chain.rewards.functions.totalNodes().call() == 1


@pytest.mark.parametrize(
    ("deposit", "ratios", "liquidator", "pool", "returned"),
    [
        (25_000 * SESH, (3, 17, 9980), 7_500_000_000, 42_500_000_000, 24_950_000_000_000),
        (20_000 * SESH, (3, 17, 9980), 6_000_000_000, 34_000_000_000, 19_960_000_000_000),
        (120 * SESH, (1, 1, 8), 12_000_000_000, 12_000_000_000, 96_000_000_000),
        (25_000 * SESH + 1, (3, 17, 9980), 7_500_000_000, 42_500_000_001, 24_950_000_000_000),
        (100, (0, 0, 1), 0, 0, 100),
        (100, (0, 1, 4), 0, 20, 80),
        (101, (1, 0, 9), 10, 0, 91),
    ],
)
def test_a_liquidation_is_split(
    chain: Chain, deposit: int, ratios: tuple[int, int, int], liquidator: int, pool: int, returned: int
) -> None:
    """`spec/economics` §6."""
    rewards = chain.rewards.functions
    chain.send(rewards.setStakingRequirement(deposit), chain.owner)
    chain.send(rewards.setLiquidationRatios(*ratios), chain.owner)
    node = chain.join(chain.alice)
    chain.at_time(chain.now + 2 * HOUR)
    receipt = chain.send(chain.liquidating(node, [node], chain.now), chain.dave)
    assert chain.events(receipt, chain.rewards) == [
        ("ServiceNodeLiquidated", node.id, chain.dave, node.key),
        ("ServiceNodeExit", node.id, chain.dave, returned, node.key),
    ]
    paid = [("Transfer", chain.rewards.address, chain.dave, liquidator)] if ratios[0] else []
    paid += [("Transfer", chain.rewards.address, chain.pool.address, pool)] if ratios[1] else []
    assert chain.events(receipt, chain.token) == paid
    assert liquidator + pool + returned == deposit


def test_a_liquidation_with_none_and_one_and_too_many_absent(chain: Chain) -> None:
    nodes = [chain.join(chain.alice) for _ in range(5)]
    chain.at_time(chain.now + 2 * HOUR)
    now = chain.now
    assert chain.refused(chain.liquidating(nodes[0], nodes[2:], now, nodes[:2]), chain.dave) == (
        "InsufficientBLSSignatures",
        3,
        4,
    )
    chain.send(chain.liquidating(nodes[0], nodes, now), chain.dave)
    chain.send(chain.liquidating(nodes[1], nodes[1:4], now, nodes[4:]), chain.dave)
    assert chain.rewards.functions.totalNodes().call() == 3
