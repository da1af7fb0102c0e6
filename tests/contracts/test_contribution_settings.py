"""ServiceNodeContribution before anybody contributes: its factory, and what the operator sets and reserves."""

from __future__ import annotations

from typing import Any

from allium.appchain.parameters import SESH
from allium.staking import abi, artifacts
from tests.support.chain import REQUIREMENT, ZERO, Chain, Node
from tests.support.shared_node import OPEN, WAIT_FOR_OPERATOR, SharedNode, reserve

# --- the factory


def test_the_factory_makes_a_contract(chain: Chain) -> None:
    shared = SharedNode(chain, reserve((chain.alice, 25), (chain.bob, 10)), manual=True, fee=250)
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
    shared = SharedNode(chain)
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
    shared = SharedNode(chain)
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
    shared = SharedNode(chain)
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
    shared = SharedNode(chain)
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
    shared = SharedNode(chain)
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
