"""ServiceNodeContribution and its factory: every function, event and refusal, and whole lives of a shared node."""

from __future__ import annotations

from typing import Any

import pytest
from web3.contract import Contract

from allium.appchain.parameters import SESH
from allium.staking import abi, artifacts
from tests.support.chain import DAY, REQUIREMENT, ZERO, Chain, Node, stakes

WAIT_FOR_OPERATOR, OPEN, WAIT_FOR_FINALIZED, FINALIZED = range(4)


class Shared:
    """A contribution contract, operated by alice."""

    def __init__(self, chain: Chain, reserved: list[Any] | None = None, manual: bool = False, fee: int = 100) -> None:
        self.chain = chain
        self.node = Node()
        self.proof = chain.possession(self.node, chain.alice)
        call = chain.factory.functions.deploy(self.node.key, self.proof, self.node.params(fee), reserved or [], manual)
        self.receipt = chain.send(call, chain.alice)
        [(self.name, address, self.ed25519, self.operator)] = chain.events(self.receipt, chain.factory)
        self.contract: Contract = chain.at("ServiceNodeContribution", address)
        for account in chain.w3.eth.accounts:
            chain.send(chain.token.functions.approve(address, 2**255), account)

    def __getattr__(self, name: str) -> Any:
        return self.contract.functions[name]

    def contribute(self, account: str, amount: int, beneficiary: str = ZERO) -> list[tuple[Any, ...]]:
        """Contributes atomic units; what the contract said."""
        receipt = self.chain.send(self.contributeFunds(amount, beneficiary), account)
        return self.chain.events(receipt, self.contract)

    def refused(self, call: Any, account: str) -> tuple[Any, ...]:
        return self.chain.refused(call, account)

    def said(self, call: Any, account: str) -> list[tuple[Any, ...]]:
        """Sends; what the contract said."""
        return self.chain.events(self.chain.send(call, account), self.contract)


def reserve(*pairs: tuple[str, int]) -> list[Any]:
    """Reservations, in percent of the requirement."""
    return [(address, REQUIREMENT * percent // 100) for address, percent in pairs]


# --- the factory


def test_the_factory_makes_a_contract(chain: Chain) -> None:
    shared = Shared(chain, reserve((chain.alice, 25), (chain.bob, 10)), manual=True, fee=250)
    assert shared.name == "NewServiceNodeContributionContract"
    assert (shared.ed25519, shared.operator) == (shared.node.params()[0], chain.alice)
    assert chain.events(shared.receipt, shared.contract) == [
        ("UpdateReservedContributors", ()),
        ("Reset",),
        ("UpdatePubkeys", shared.node.key, shared.node.params()[0]),
        ("UpdateFee", 250),
        ("UpdateReservedContributors", tuple(reserve((chain.alice, 25), (chain.bob, 10)))),
        ("UpdateManualFinalize", True),
    ]
    factory = chain.factory.functions
    assert factory.owns(shared.contract.address).call()
    assert factory.deployedContracts(shared.contract.address).call()
    assert not factory.owns(chain.alice).call()
    assert factory.VERSION().call() == 1
    assert factory.stakingRewardsContract().call() == chain.rewards.address
    assert shared.SESH().call() == chain.token.address
    assert shared.stakingRewardsContract().call() == chain.rewards.address
    assert shared.stakingRequirement().call() == REQUIREMENT
    assert shared.contract.functions.operator().call() == chain.alice
    assert shared.maxContributors().call() == 10
    assert shared.WITHDRAWAL_DELAY().call() == 86_400
    assert shared.MAX_FEE().call() == 10_000
    assert shared.status().call() == WAIT_FOR_OPERATOR
    assert shared.manualFinalize().call()
    assert tuple(shared.blsPubkey().call()) == shared.node.key
    assert tuple(shared.blsSignature().call()) == tuple(shared._blsSignature().call()) == shared.proof
    assert tuple(shared.serviceNodeParams().call()) == shared.node.params(250)
    assert tuple(shared._serviceNodeParams().call()) == shared.node.params(250)
    assert shared.getReserved().call() == [
        [chain.alice, chain.bob],
        [REQUIREMENT // 4, REQUIREMENT // 10],
        [False, False],
    ]
    assert shared.reservedContributions(chain.bob).call() == [REQUIREMENT // 10, False]
    assert shared.reservedContributionsAddresses(1).call() == chain.bob
    assert shared.totalReservedContribution().call() == REQUIREMENT * 35 // 100
    assert shared.getContributions().call() == [[], [], []]


def test_the_factorys_refusals(chain: Chain) -> None:
    factory = chain.factory.functions
    node = Node()
    proof = chain.possession(node, chain.alice)
    make = factory.deploy(node.key, proof, node.params(), [], False)
    assert chain.refused(make, chain.bob) == ("InvalidBLSProofOfPossession",)
    bad_fee = factory.deploy(node.key, proof, node.params(10_001), [], False)
    assert chain.refused(bad_fee, chain.alice) == ("FeeExceedsPossibleValue", 10_001, 10_000)
    assert chain.refused(factory.pause(), chain.alice) == ("OwnableUnauthorizedAccount", chain.alice)
    assert chain.events(chain.send(factory.pause(), chain.owner), chain.factory) == [("Paused", chain.owner)]
    assert factory.paused().call()
    assert chain.refused(make, chain.alice) == ("EnforcedPause",)
    assert chain.refused(factory.pause(), chain.owner) == ("EnforcedPause",)
    chain.send(factory.unpause(), chain.owner)
    assert chain.refused(factory.unpause(), chain.owner) == ("ExpectedPause",)
    chain.send(make, chain.alice)
    assert chain.refused(factory.initialize(ZERO), chain.owner) == ("InvalidInitialization",)


def test_the_factory_changes_hands(chain: Chain) -> None:
    factory = chain.factory.functions
    chain.send(factory.transferOwnership(chain.bob), chain.owner)
    assert factory.pendingOwner().call() == chain.bob
    chain.send(factory.acceptOwnership(), chain.bob)
    assert factory.owner().call() == chain.bob
    chain.send(factory.renounceOwnership(), chain.bob)
    assert factory.owner().call() == ZERO


def test_a_contract_without_a_factory(chain: Chain) -> None:
    node = Node()
    arguments: tuple[Any, ...] = (
        chain.rewards.address,
        10,
        node.key,
        chain.possession(node, chain.alice),
        node.params(),
        [],
    )
    artifact, published = artifacts.load("ServiceNodeContribution"), abi.load("ServiceNodeContribution")
    made = chain.create(artifact, published, *arguments, chain.alice, False)
    assert made.functions.operator().call() == chain.alice
    assert not chain.factory.functions.owns(made.address).call()
    assert chain.create_refused(artifact, published, *arguments, chain.bob, False) == ("InvalidBLSProofOfPossession",)


# --- what the operator sets


def test_only_the_operator_sets(chain: Chain) -> None:
    shared = Shared(chain)
    node = shared.node
    for call in (
        shared.updateManualFinalize(True),
        shared.updateFee(1),
        shared.updatePubkeys(node.key, shared.proof, 1, 2, 3),
        shared.updateReservedContributors([]),
        shared.finalize(),
        shared.reset(),
        shared.resetUpdateAndContribute(node.key, shared.proof, node.params(), [], False, ZERO, 0),
        shared.rescueERC20(chain.token.address),
    ):
        assert shared.refused(call, chain.bob) == ("OnlyOperatorIsAuthorised", chain.bob, chain.alice)


def test_what_the_operator_sets(chain: Chain) -> None:
    shared = Shared(chain)
    assert shared.said(shared.updateManualFinalize(True), chain.alice) == [("UpdateManualFinalize", True)]
    assert shared.manualFinalize().call()
    assert shared.said(shared.updateFee(10_000), chain.alice) == [("UpdateFee", 10_000)]
    assert shared.refused(shared.updateFee(10_001), chain.alice) == ("FeeExceedsPossibleValue", 10_001, 10_000)
    other = Node()
    keys = shared.updatePubkeys(other.key, chain.possession(other, chain.alice), other.params()[0], 8, 9)
    assert shared.said(keys, chain.alice) == [("UpdatePubkeys", other.key, other.params()[0])]
    assert tuple(shared.serviceNodeParams().call()) == (other.params()[0], 8, 9, 10_000)
    wrong = shared.updatePubkeys(other.key, chain.possession(other, chain.bob), other.params()[0], 8, 9)
    assert shared.refused(wrong, chain.alice) == ("InvalidBLSProofOfPossession",)
    reserved = reserve((chain.alice, 30))
    assert shared.said(shared.updateReservedContributors(reserved), chain.alice) == [
        ("UpdateReservedContributors", tuple(reserved))
    ]
    shared.contribute(chain.alice, REQUIREMENT * 30 // 100)
    for call in (shared.updateFee(10_001), keys, shared.updateReservedContributors([])):
        assert shared.refused(call, chain.alice) == ("RequireWaitForOperatorContribStatus", OPEN)
    shared.said(shared.updateManualFinalize(False), chain.alice)  # at any time


def test_reservations_that_fit(chain: Chain) -> None:
    shared = Shared(chain)
    a, b, c, d, e = chain.alice, chain.bob, chain.carol, chain.dave, chain.owner
    for reserved in (
        reserve((a, 25), (b, 10), (c, 10), (d, 15), (e, 40)),
        reserve((a, 25), (b, 70), (c, 5)),
        reserve((a, 100)),
        [],
    ):
        shared.said(shared.updateReservedContributors(reserved), chain.alice)
        assert shared.getReserved().call()[0] == [address for address, _ in reserved]
    # What was reserved before is not reserved any more.
    assert shared.reservedContributions(b).call() == [0, False]


def test_reservations_that_do_not_fit(chain: Chain) -> None:
    shared = Shared(chain)
    a, b, c = chain.alice, chain.bob, chain.carol
    percent = REQUIREMENT // 100

    def refused(*reserved: Any) -> tuple[Any, ...]:
        return shared.refused(shared.updateReservedContributors(list(reserved)), a)

    everybody = [(account, percent) for account in chain.w3.eth.accounts[:10]]
    assert refused(*everybody, (ZERO, percent)) == ("TooManyReservedContributors", 11, 10)
    assert refused((b, percent)) == ("FirstReservedContributorMustBeOperator", 0, a)
    assert refused((a, 25 * percent), (ZERO, percent)) == ("ReservedContributorHasZeroAddress", 1)
    assert refused((a, 25 * percent), (b, 25 * percent), (b, 1)) == ("DuplicateAddressInReservedContributor", 2)
    assert refused((a, 25 * percent - 1)) == (
        "ReservedContributionBelowMinAmount",
        0,
        25 * percent - 1,
        25 * percent,
    )
    # [25, 10, 5]: with 65 left and eight places, eight percent and an eighth are the least.
    assert refused((a, 25 * percent), (b, 10 * percent), (c, 5 * percent)) == (
        "ReservedContributionBelowMinAmount",
        2,
        5 * percent,
        65 * percent // 8,
    )
    assert refused((a, 25 * percent), (b, 5 * percent), (c, 70 * percent))[0] == "ReservedContributionBelowMinAmount"
    assert refused((a, 25 * percent), (b, 75 * percent + 1)) == (
        "ReservedContributionExceedsStakingRequirement",
        1,
        75 * percent + 1,
        75 * percent,
    )
    assert refused((a, 100 * percent), (b, 1)) == ("Panic", 0x11)


def test_least_contributions(chain: Chain) -> None:
    shared = Shared(chain)
    least = shared.calcMinimumContribution
    for remaining, contributors, most, expected in (
        (25_000 * SESH, 0, 10, 6_250_000_000_000),
        (18_750 * SESH, 1, 10, 2_083_333_333_334),
        (18_750 * SESH - 2_083_333_333_334, 2, 10, 2_083_333_333_334),
        (SESH, 9, 10, 1_000_000_000),
        (5, 0, 10, 2),
        (1, 0, 1, 1),
    ):
        assert least(remaining, contributors, most).call() == expected
    assert shared.refused(least(10, 9, 9), chain.bob) == ("CalcMinContributionGivenBadContribArgs", 9, 9)
    assert shared.refused(least(0, 10, 9), chain.bob) == ("CalcMinContributionGivenBadContribArgs", 10, 9)
    assert shared.refused(least(0, 0, 9), chain.bob) == ("Panic", 0x11)
    assert shared.minimumOperatorContribution(REQUIREMENT).call() == 6_250 * SESH
    assert shared.minimumOperatorContribution(5).call() == 2
    assert shared.refused(shared.minimumOperatorContribution(0), chain.bob) == ("Panic", 0x11)
    assert shared.minimumContribution().call() == 6_250 * SESH
    shared.contribute(chain.alice, 6_250 * SESH)
    assert shared.minimumContribution().call() == 2_083_333_333_334


# --- contributing


def test_a_node_of_four_fills_and_joins_by_itself(chain: Chain) -> None:
    shared = Shared(chain)
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
    assert shared.refused(shared.contributorAddresses(4), chain.bob) == ("",)
    assert shared.refused(shared.contributeFunds(1, ZERO), chain.bob) == ("ContributeFundsNotPossible", FINALIZED)
    assert shared.refused(shared.finalize(), chain.alice) == ("FinalizeNotPossible", FINALIZED)
    # Each contributor may ask the node to leave.
    chain.send(chain.rewards.functions.initiateExitBLSPublicKey(1), chain.alice)


def test_an_operator_finalizes_by_hand(chain: Chain) -> None:
    shared = Shared(chain, manual=True)
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
    shared = Shared(chain, reserve((chain.alice, 25), (chain.bob, 50)))
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
    shared = Shared(chain)
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
    shared = Shared(chain, manual=True)
    change = shared.updateBeneficiary
    assert shared.refused(change(chain.dave), chain.alice) == (
        "BeneficiaryUpdatingDisabledNodeIsNotOpen",
        shared.node.params()[0],
    )
    shared.contribute(chain.alice, 6_250 * SESH, chain.carol)
    assert shared.refused(change(chain.dave), chain.bob) == ("NonContributorUpdatedBeneficiary", chain.bob)
    assert shared.said(change(chain.dave), chain.alice) == [("UpdateStakerBeneficiary", chain.alice, chain.dave)]
    assert tuple(shared.contributorAddresses(0).call()) == (chain.alice, chain.dave)
    # A top-up without a beneficiary sets it back.
    assert shared.contribute(chain.alice, 1) == [
        ("UpdateStakerBeneficiary", chain.alice, chain.alice),
        ("NewContribution", chain.alice, chain.alice, 1),
    ]
    shared.contribute(chain.alice, 18_750 * SESH - 1, chain.bob)
    assert shared.status().call() == WAIT_FOR_FINALIZED
    shared.said(change(chain.carol), chain.alice)
    chain.send(shared.finalize(), chain.alice)
    assert shared.refused(change(chain.dave), chain.alice)[0] == "BeneficiaryUpdatingDisabledNodeIsNotOpen"
    assert chain.rewards.functions.serviceNodes(1).call()[8] == [((chain.alice, chain.carol), REQUIREMENT)]


# --- leaving


def test_a_contributor_withdraws_after_a_day(chain: Chain) -> None:
    shared = Shared(chain, reserve((chain.alice, 25), (chain.bob, 25)), manual=True)
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
    assert shared.said(leave, chain.bob) == [("WithdrawContribution", chain.bob, quarter)]
    assert chain.balance(chain.bob) == held


def test_the_place_of_one_who_left_in_the_middle_goes_to_the_last(chain: Chain) -> None:
    shared = Shared(chain)
    shared.contribute(chain.alice, 7_000 * SESH)
    for account in (chain.bob, chain.carol, chain.dave):
        shared.contribute(account, 4_000 * SESH)
    chain.at_time(chain.now + DAY)
    chain.send(shared.withdrawContribution(), chain.bob)
    assert shared.getContributions().call()[0] == [chain.alice, chain.dave, chain.carol]


@pytest.mark.parametrize("call_name", ["withdrawContribution", "reset"])
def test_the_operator_ends_it_for_everybody(chain: Chain, call_name: str) -> None:
    shared = Shared(chain, reserve((chain.alice, 25), (chain.carol, 30)))
    accounts = (chain.alice, chain.bob)
    before = [chain.balance(account) for account in accounts]
    for account in accounts:
        shared.contribute(account, 8_000 * SESH)
    events = shared.said(shared.contract.functions[call_name](), chain.alice)
    assert sorted(events[:2]) == sorted(("WithdrawContribution", account, 8_000 * SESH) for account in accounts)
    assert events[2:] == [("UpdateReservedContributors", ()), ("Reset",)]
    assert [chain.balance(account) for account in accounts] == before
    assert shared.status().call() == WAIT_FOR_OPERATOR
    assert shared.getContributions().call() == [[], [], []]
    assert shared.getReserved().call() == [[], [], []]
    assert tuple(shared.serviceNodeParams().call()) == shared.node.params(100)
    assert tuple(shared.blsPubkey().call()) == shared.node.key


def test_a_contract_is_used_again_after_its_node_has_joined(chain: Chain) -> None:
    shared = Shared(chain)
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
    shared = Shared(chain, manual=True)
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
    shared = Shared(chain)
    chain.send(chain.adding(shared.node, chain.alice, stakes((chain.alice, 25_000))), chain.alice)
    refusal = shared.refused(shared.contributeFunds(REQUIREMENT, ZERO), chain.alice)
    assert refusal == ("BLSPubkeyAlreadyExists", 1)
