"""ServiceNodeContribution: whole lives of a shared node, every event and every refusal."""

from __future__ import annotations

import pytest

from allium.appchain.parameters import SESH
from allium.staking import abi, artifacts
from tests.support.chain import DAY, REQUIREMENT, ZERO, Chain, Node, stakes
from tests.support.shared_node import FINALIZED, OPEN, WAIT_FOR_FINALIZED, WAIT_FOR_OPERATOR, SharedNode, reserve

# --- contributing


def test_a_node_of_four_fills_and_joins_by_itself(chain: Chain) -> None:
    shared = SharedNode(chain)
    assert shared.contribute(chain.alice, 10_000 * SESH) == [
        ("OpenForPublicContribution",),
        ("NewContribution", chain.alice, chain.alice, 10_000 * SESH),
    ]
    assert shared.status().call() == OPEN
    assert shared.operatorContribution().call() == 10_000 * SESH
    assert shared.contribute(chain.bob, 5_000 * SESH, chain.dave) == [
        ("NewContribution", chain.bob, chain.dave, 5_000 * SESH)
    ]
    shared.contribute(chain.carol, 5_000 * SESH)
    last = chain.others[0]
    receipt = chain.send(shared.contributeFunds(5_000 * SESH, ZERO), last)
    assert chain.events(receipt, shared.contract) == [
        ("Filled",),
        ("NewContribution", last, last, 5_000 * SESH),
        ("Finalized",),
    ]
    contributors = (
        ((chain.alice, chain.alice), 10_000 * SESH),
        ((chain.bob, chain.dave), 5_000 * SESH),
        ((chain.carol, chain.carol), 5_000 * SESH),
        ((last, last), 5_000 * SESH),
    )
    assert chain.events(receipt, chain.rewards) == [
        ("NewServiceNodeV2", 1, shared.contract.address, shared.node.key, shared.node.params(100), contributors)
    ]
    assert shared.status().call() == FINALIZED
    assert chain.rewards.functions.serviceNodes(1).call()[2] == chain.alice
    assert chain.balance(shared.contract.address) == 0
    assert chain.balance(chain.rewards.address) == REQUIREMENT
    assert shared.totalContribution().call() == REQUIREMENT
    assert shared.getContributions().call() == [
        [chain.alice, chain.bob, chain.carol, last],
        [chain.alice, chain.dave, chain.carol, last],
        [10_000 * SESH, 5_000 * SESH, 5_000 * SESH, 5_000 * SESH],
    ]
    assert shared.contributorAddressesLength().call() == 4
    assert tuple(shared.contributorAddresses(1).call()) == (chain.bob, chain.dave)
    assert tuple(shared._contributorAddresses(1).call()) == (chain.bob, chain.dave)
    assert shared.refused(shared.contributorAddresses(4), chain.bob) == ("Panic", 50)
    assert shared.refused(shared.contributeFunds(1, ZERO), chain.bob) == ("ContributeFundsNotPossible", FINALIZED)
    assert shared.refused(shared.finalize(), chain.alice) == ("FinalizeNotPossible", FINALIZED)
    # Each contributor may ask the node to leave.
    chain.send(chain.rewards.functions.initiateExitBLSPublicKey(1), chain.alice)


def test_an_operator_finalizes_by_hand(chain: Chain) -> None:
    shared = SharedNode(chain, manual=True)
    assert shared.refused(shared.finalize(), chain.alice) == ("FinalizeNotPossible", WAIT_FOR_OPERATOR)
    shared.contribute(chain.alice, 6_250 * SESH)
    assert shared.contribute(chain.bob, 18_750 * SESH) == [
        ("Filled",),
        ("NewContribution", chain.bob, chain.bob, 18_750 * SESH),
    ]
    assert shared.status().call() == WAIT_FOR_FINALIZED
    assert shared.refused(shared.contributeFunds(1, ZERO), chain.bob) == (
        "ContributeFundsNotPossible",
        WAIT_FOR_FINALIZED,
    )
    assert shared.said(shared.finalize(), chain.alice) == [("Finalized",)]
    assert chain.rewards.functions.totalNodes().call() == 1


def test_the_reasons_not_to_contribute_in_their_order(chain: Chain) -> None:
    shared = SharedNode(chain, reserve((chain.alice, 25), (chain.bob, 50)))
    rewards = chain.rewards.functions
    give = shared.contributeFunds
    snapshot = chain.rpc("evm_snapshot")
    chain.send(rewards.setStakingRequirement(5), chain.owner)
    assert shared.refused(give(1, ZERO), chain.bob) == ("RewardsContractMaxContributorsChanged", REQUIREMENT, 5)
    chain.rpc("evm_revert", snapshot)
    assert shared.refused(give(1, ZERO), chain.bob) == ("FirstContributionMustBeOperator", chain.bob, chain.alice)
    quarter = REQUIREMENT // 4
    assert shared.refused(give(quarter - 1, ZERO), chain.alice) == (
        "ContributionBelowReservedAmount",
        quarter - 1,
        quarter,
    )
    shared.contribute(chain.alice, quarter)
    assert shared.totalReservedContribution().call() == 2 * quarter
    assert shared.getReserved().call()[2] == [True, False]
    least = (quarter - 1) // 8 + 1
    assert shared.minimumContribution().call() == least
    assert shared.refused(give(least - 1, ZERO), chain.carol) == ("ContributionBelowMinAmount", least - 1, least)
    assert shared.refused(give(quarter + 1, ZERO), chain.carol) == (
        "ContributionExceedsStakingRequirement",
        2 * quarter + 1,
        2 * quarter,
        REQUIREMENT,
    )
    assert shared.refused(give(2 * quarter - 1, ZERO), chain.bob) == (
        "ContributionBelowReservedAmount",
        2 * quarter - 1,
        2 * quarter,
    )
    poor = chain.others[0]
    chain.send(chain.token.functions.transfer(chain.owner, chain.balance(poor)), poor)
    assert shared.refused(give(quarter, ZERO), poor) == ("ERC20InsufficientBalance", poor, 0, quarter)
    # A top-up has no minimum, and the operator may bring more than was reserved.
    shared.contribute(chain.alice, 1)
    shared.contribute(chain.bob, 2 * quarter)
    assert shared.contribute(chain.carol, quarter - 1)[0] == ("Filled",)


def test_ten_people_share_a_node(chain: Chain) -> None:
    chain.send(chain.rewards.functions.setStakingRequirement(1000), chain.owner)
    shared = SharedNode(chain)
    people = [chain.alice, *[account for account in chain.w3.eth.accounts if account != chain.alice]]
    assert len(people) == 10
    chain.send(shared.updateReservedContributors([(chain.alice, 250), (people[9], 84)]), chain.alice)
    for account in people[:9]:
        shared.contribute(account, max(250 if account == chain.alice else 0, shared.minimumContribution().call()))
    # No place but the reserved one is left.
    stranger = chain.rewards.address
    chain.rpc("anvil_impersonateAccount", stranger)
    assert shared.refused(shared.contributeFunds(1, ZERO), stranger) == (
        "CalcMinContributionGivenBadContribArgs",
        10,
        10,
    )
    chain.rpc("anvil_stopImpersonatingAccount", stranger)
    missing = 1000 - shared.totalContribution().call()
    assert shared.contribute(people[9], missing)[0] == ("Filled",)
    assert shared.status().call() == FINALIZED
    assert len(chain.rewards.functions.serviceNodes(1).call()[8]) == 10


def test_a_changed_number_of_contributors_is_noticed(chain: Chain) -> None:
    node = Node()
    artifact, published = artifacts.load("ServiceNodeContribution"), abi.load("ServiceNodeContribution")
    made = chain.create(
        artifact,
        published,
        chain.rewards.address,
        9,
        node.key,
        chain.possession(node, chain.alice),
        node.params(),
        [],
        chain.alice,
        False,
    )
    give = made.functions.contributeFunds(REQUIREMENT, ZERO)
    assert chain.refused(give, chain.alice) == ("RewardsContractMaxContributorsChanged", 9, 10)


def test_beneficiaries(chain: Chain) -> None:
    shared = SharedNode(chain, manual=True)
    change = shared.updateBeneficiary
    assert shared.refused(change(chain.dave), chain.alice) == (
        "BeneficiaryUpdatingDisabledNodeIsNotOpen",
        shared.node.params()[0],
    )
    shared.contribute(chain.alice, 6_250 * SESH, chain.carol)
    assert shared.refused(change(chain.dave), chain.bob) == ("NonContributorUpdatedBeneficiary", chain.bob)
    assert shared.said(change(chain.dave), chain.alice) == [("UpdateStakerBeneficiary", chain.alice, chain.dave)]
    assert tuple(shared.contributorAddresses(0).call()) == (chain.alice, chain.dave)
    assert shared.said(change(chain.dave), chain.alice) == []  # he was it already
    assert shared.contribute(chain.alice, 1, chain.dave) == [("NewContribution", chain.alice, chain.dave, 1)]
    # A top-up without a beneficiary sets it back.
    assert shared.contribute(chain.alice, 1) == [
        ("UpdateStakerBeneficiary", chain.alice, chain.alice),
        ("NewContribution", chain.alice, chain.alice, 1),
    ]
    shared.contribute(chain.alice, 18_750 * SESH - 2, chain.bob)
    assert shared.status().call() == WAIT_FOR_FINALIZED
    shared.said(change(chain.carol), chain.alice)
    chain.send(shared.finalize(), chain.alice)
    assert shared.refused(change(chain.dave), chain.alice)[0] == "BeneficiaryUpdatingDisabledNodeIsNotOpen"
    assert chain.rewards.functions.serviceNodes(1).call()[8] == [((chain.alice, chain.carol), REQUIREMENT)]


# --- leaving


def test_a_contributor_withdraws_after_a_day(chain: Chain) -> None:
    shared = SharedNode(chain, reserve((chain.alice, 25), (chain.bob, 25)), manual=True)
    quarter = REQUIREMENT // 4
    shared.contribute(chain.alice, quarter)
    before = chain.balance(chain.bob)
    shared.contribute(chain.bob, quarter)
    shared.contribute(chain.carol, 2 * quarter)
    given = shared.contributionTimestamp(chain.bob).call()
    leave = shared.withdrawContribution()
    assert shared.status().call() == WAIT_FOR_FINALIZED
    assert shared.said(leave, chain.dave) == []  # gave nothing, gets nothing
    assert shared.status().call() == WAIT_FOR_FINALIZED
    chain.at_time(given + DAY - 1)
    assert shared.refused(leave, chain.bob) == ("WithdrawTooEarly", given, given + DAY - 1, DAY)
    receipt = chain.send_at(given + DAY, leave, chain.bob)
    assert chain.events(receipt, shared.contract) == [("WithdrawContribution", chain.bob, quarter)]
    assert chain.balance(chain.bob) == before
    assert shared.status().call() == OPEN
    assert shared.contributions(chain.bob).call() == 0
    assert shared.getContributions().call()[0] == [chain.alice, chain.carol]
    assert shared.getReserved().call()[2] == [True, False]  # the place is kept for him
    assert shared.totalReservedContribution().call() == quarter
    assert shared.refused(shared.contributeFunds(quarter, ZERO), chain.dave)[0] == "Panic"
    shared.contribute(chain.bob, quarter)
    assert shared.getContributions().call()[0] == [chain.alice, chain.carol, chain.bob]
    chain.send(shared.finalize(), chain.alice)
    # What has become a stake does not come back this way.
    chain.at_time(chain.now + DAY)
    held = chain.balance(chain.bob)
    assert shared.said(leave, chain.bob) == []
    assert chain.balance(chain.bob) == held


def test_the_place_of_one_who_left_in_the_middle_goes_to_the_last(chain: Chain) -> None:
    shared = SharedNode(chain)
    shared.contribute(chain.alice, 7_000 * SESH)
    for account in (chain.bob, chain.carol, chain.dave):
        shared.contribute(account, 4_000 * SESH)
    chain.at_time(chain.now + DAY)
    chain.send(shared.withdrawContribution(), chain.bob)
    assert shared.getContributions().call()[0] == [chain.alice, chain.dave, chain.carol]


@pytest.mark.parametrize("call_name", ["withdrawContribution", "reset"])
def test_the_operator_ends_it_for_everybody(chain: Chain, call_name: str) -> None:
    shared = SharedNode(chain, reserve((chain.alice, 25), (chain.carol, 30)))
    accounts = (chain.alice, chain.bob)
    before = [chain.balance(account) for account in accounts]
    for account in accounts:
        shared.contribute(account, 8_000 * SESH)
    events = shared.said(shared.contract.functions[call_name](), chain.alice)
    assert events == [("UpdateReservedContributors", ()), ("Reset",)]
    assert [chain.balance(account) for account in accounts] == before
    assert shared.status().call() == WAIT_FOR_OPERATOR
    assert shared.getContributions().call() == [[], [], []]
    assert shared.getReserved().call() == [[], [], []]
    assert tuple(shared.serviceNodeParams().call()) == shared.node.params(100)
    assert tuple(shared.blsPubkey().call()) == shared.node.key


def test_a_contract_is_used_again_after_its_node_has_joined(chain: Chain) -> None:
    shared = SharedNode(chain)
    shared.contribute(chain.alice, REQUIREMENT)
    held = chain.balance(chain.alice)
    shared.said(shared.reset(), chain.alice)
    assert chain.balance(chain.alice) == held
    other = Node()
    again = shared.resetUpdateAndContribute(
        other.key,
        chain.possession(other, chain.alice),
        other.params(7),
        reserve((chain.alice, 40), (chain.bob, 60)),
        True,
        chain.dave,
        REQUIREMENT * 40 // 100,
    )
    assert shared.said(again, chain.alice) == [
        ("UpdateReservedContributors", ()),
        ("Reset",),
        ("UpdatePubkeys", other.key, other.params()[0]),
        ("UpdateFee", 7),
        ("UpdateReservedContributors", tuple(reserve((chain.alice, 40), (chain.bob, 60)))),
        ("UpdateManualFinalize", True),
        ("OpenForPublicContribution",),
        ("NewContribution", chain.alice, chain.dave, REQUIREMENT * 40 // 100),
    ]
    shared.contribute(chain.bob, REQUIREMENT * 60 // 100)
    chain.send(shared.finalize(), chain.alice)
    assert chain.rewards.functions.totalNodes().call() == 2


def test_what_was_sent_by_mistake_is_rescued(chain: Chain) -> None:
    shared = SharedNode(chain, manual=True)
    rescue = shared.rescueERC20(chain.token.address)
    assert shared.refused(rescue, chain.alice) == ("RescueBalanceIsEmpty", chain.token.address)
    before = chain.balance(chain.alice)
    chain.send(chain.token.functions.transfer(shared.contract.address, 77), chain.bob)
    chain.send(rescue, chain.alice)
    assert chain.balance(chain.alice) == before + 77
    shared.contribute(chain.alice, 10_000 * SESH)
    assert shared.refused(rescue, chain.alice) == ("RescueNotPossible", OPEN)
    shared.contribute(chain.alice, 15_000 * SESH)
    assert shared.refused(rescue, chain.alice) == ("RescueNotPossible", WAIT_FOR_FINALIZED)
    chain.send(shared.finalize(), chain.alice)
    chain.send(chain.token.functions.transfer(shared.contract.address, 78), chain.bob)
    before = chain.balance(chain.alice)
    chain.send(rescue, chain.alice)
    assert chain.balance(chain.alice) == before + 78


def test_a_key_that_joined_elsewhere_stops_the_finalizing(chain: Chain) -> None:
    shared = SharedNode(chain)
    chain.send(chain.adding(shared.node, chain.alice, stakes((chain.alice, 25_000))), chain.alice)
    refusal = shared.refused(shared.contributeFunds(REQUIREMENT, ZERO), chain.alice)
    assert refusal == ("BLSPubkeyAlreadyExists", 1)
