"""ServiceNodeRewards: who joins, one by one and as a list, and every reason not to, in their order."""

from __future__ import annotations

from typing import Any

from allium.appchain.parameters import SESH
from tests.support.chain import NO_SIGNATURE, REQUIREMENT, ZERO, Chain, Node, seeds, stakes, words


def test_a_solo_node_joins(chain: Chain) -> None:
    node = Node(id=1)
    before = chain.balance(chain.alice)
    receipt = chain.send(chain.adding(node, chain.alice, fee=65_535), chain.alice)
    contributors = (((chain.alice, chain.alice), REQUIREMENT),)
    assert chain.events(receipt, chain.rewards) == [
        ("NewServiceNodeV2", 1, chain.alice, node.key, node.params(65_535), contributors)
    ]
    assert chain.events(receipt, chain.token) == [("Transfer", chain.alice, chain.rewards.address, REQUIREMENT)]
    [log] = [log for log in receipt["logs"] if log["address"] == chain.rewards.address]
    sizes = words(bytes(log["data"]))
    assert sizes == (
        int(chain.alice, 16),
        *node.key,
        *node.params(65_535),
        0x100,
        1,
        int(chain.alice, 16),
        int(chain.alice, 16),
        REQUIREMENT,
    )
    assert chain.balance(chain.alice) == before - REQUIREMENT
    assert chain.balance(chain.rewards.address) == REQUIREMENT
    added = chain.w3.eth.get_block(receipt["blockNumber"])["timestamp"]
    assert chain.entry(node) == (
        0,
        0,
        chain.alice,
        node.key,
        added,
        0,
        0,
        REQUIREMENT,
        [((chain.alice, chain.alice), REQUIREMENT)],
        node.params()[0],
    )
    rewards = chain.rewards.functions
    assert rewards.serviceNodeIDs(node.secret.public).call() == 1
    assert rewards.serviceNodeIDs(node.secret.public[:32]).call() == 0
    assert rewards.ed25519ToServiceNodeID(node.params()[0]).call() == 1
    assert rewards.aggregatePubkey().call() == node.key
    assert rewards.allServiceNodeIDs().call() == [[1], [node.key]]
    assert rewards.lastHeightPubkeyWasAggregated().call() == receipt["blockNumber"]


def test_a_node_of_several_joins(chain: Chain) -> None:
    contributors = [
        ((chain.alice, chain.dave), 6_250 * SESH),
        ((chain.bob, chain.bob), 10_000 * SESH),
        ((chain.bob, chain.carol), 8_750 * SESH),
    ]
    node = Node(id=1)
    # Whoever sends pays; the proof names the first contributor.
    receipt = chain.send(chain.adding(node, chain.alice, contributors), chain.carol)
    assert chain.events(receipt, chain.rewards) == [
        ("NewServiceNodeV2", 1, chain.carol, node.key, node.params(), tuple(contributors))
    ]
    assert chain.events(receipt, chain.token) == [("Transfer", chain.carol, chain.rewards.address, REQUIREMENT)]
    assert chain.entry(node)[2] == chain.alice
    assert chain.entry(node)[8] == contributors


def test_the_reasons_not_to_join_in_their_order(chain: Chain) -> None:
    first = chain.join(chain.alice)
    many = [((chain.bob, chain.bob), REQUIREMENT)] * 11
    add = chain.rewards.functions.addBLSPublicKey
    assert chain.refused(add(first.key, NO_SIGNATURE, first.params(), many), chain.alice) == (
        "MaxContributorsExceeded",
    )
    for amount in (REQUIREMENT - 1, REQUIREMENT + 1):
        refusal = chain.refused(
            add(first.key, NO_SIGNATURE, first.params(), [((chain.bob, chain.bob), amount)]), chain.alice
        )
        assert refusal == ("ContributionTotalMismatch", REQUIREMENT, amount)
    small = [((chain.bob, chain.bob), 6_250 * SESH - 1), ((chain.bob, chain.bob), 18_750 * SESH + 1)]
    assert chain.refused(add(first.key, NO_SIGNATURE, first.params(), small), chain.alice) == (
        "InsufficientOperatorContribution",
        6_250 * SESH - 1,
    )
    assert chain.refused(add(first.key, NO_SIGNATURE, first.params(), []), chain.alice) == (
        "BLSPubkeyAlreadyExists",
        1,
    )
    new = Node()
    assert chain.refused(add(new.key, NO_SIGNATURE, new.params(), []), chain.alice) == ("InvalidBLSProofOfPossession",)
    assert chain.refused(chain.adding(new, chain.alice), chain.bob) == ("InvalidBLSProofOfPossession",)
    assert chain.refused(add((0, 0), NO_SIGNATURE, new.params(), []), chain.alice) == ("NullBLSPubkey",)
    nameless = Node(ed25519=bytes(32))
    assert chain.refused(chain.adding(nameless, chain.alice), chain.alice) == ("NullEd25519Pubkey",)
    same = Node(ed25519=first.ed25519)
    assert chain.refused(chain.adding(same, chain.alice), chain.alice) == ("Ed25519PubkeyAlreadyExists", 1)
    chain.send(chain.token.functions.approve(chain.rewards.address, REQUIREMENT - 1), chain.bob)
    assert chain.refused(chain.adding(new, chain.bob), chain.bob) == (
        "ERC20InsufficientAllowance",
        chain.rewards.address,
        REQUIREMENT - 1,
        REQUIREMENT,
    )


def test_an_operator_of_a_quarter_and_ten_contributors_are_welcome(chain: Chain) -> None:
    others = [((account, account), 2_000 * SESH) for account in chain.w3.eth.accounts[:8]]
    contributors = [*stakes((chain.alice, 6_250)), *others, *stakes((chain.dave, 2_750))]
    node = chain.join(chain.alice, contributors)
    assert len(chain.entry(node)[8]) == 10


def test_so_many_nodes_may_join_in_a_block(chain: Chain) -> None:
    adding = [chain.adding(Node(), chain.alice) for _ in range(21)]
    block = [
        {"from": chain.alice, "to": call.address, "data": call._encode_transaction_data(), "gas": "0x100000"}
        for call in adding
    ]
    with chain.mining_by_hand():
        hashes = [chain.rpc("eth_sendTransaction", transaction) for transaction in block]
        chain.rpc("evm_mine")
    receipts = [chain.w3.eth.get_transaction_receipt(sent) for sent in hashes]
    assert len({receipt["blockNumber"] for receipt in receipts}) == 1
    assert [receipt["status"] for receipt in receipts] == [1] * 20 + [0]
    trace = chain.rpc("debug_traceTransaction", hashes[-1], {"tracer": "callTracer"})
    assert trace["output"][:10] == "0xd13edcea"  # MaxPubkeyAggregationsExceeded
    rewards = chain.rewards.functions
    assert rewards.numPubkeyAggregationsForHeight().call() == 20
    assert rewards.totalNodes().call() == 20
    assert rewards.blsNonSignerThreshold().call() == 6
    # The next block starts afresh.
    chain.send(adding[-1], chain.alice)
    assert rewards.numPubkeyAggregationsForHeight().call() == 1


def test_a_list_of_nodes_is_seeded(chain: Chain) -> None:
    idle = chain.unstarted()
    nodes, entries = seeds(chain, 7)
    entries[3] = (*entries[3][:3], stakes((chain.bob, 2500), *[(chain.alice, 2500)] * 9))
    receipt = chain.send(idle.functions.seedPublicKeyList(entries), chain.owner)
    assert chain.events(receipt, idle) == [
        ("NewSeededServiceNode", node.id, node.key, node.params()[0]) for node in nodes
    ]
    assert not chain.events(receipt, chain.token)
    # What is written to storage for the first time is nearly all of what it costs: 9 words of a node, 3 of a
    # contributor, the numbers of nodes and of absent signers, the sum of keys, the end of the ring.
    words = 7 * 9 + 16 * 3 + 5
    assert receipt["gasUsed"] < 21_000 + words * 22_100 * 1.08
    assert idle.functions.totalNodes().call() == 7
    assert idle.functions.blsNonSignerThreshold().call() == 2
    fourth = idle.functions.serviceNodes(4).call()
    assert fourth[:5] == (5, 3, chain.bob, nodes[3].key, 1004)
    assert fourth[7] == REQUIREMENT and len(fourth[8]) == 10
    assert idle.functions.allServiceNodeIDs().call() == [[*range(1, 8)], [node.key for node in nodes]]
    assert idle.functions.serviceNodes(0).call()[:2] == (1, 7)


def test_lists_that_are_far_too_long_have_their_reason(chain: Chain) -> None:
    node, idle = Node(), chain.unstarted()
    many = [((chain.alice, chain.alice), 1)] * 100
    call = chain.rewards.functions.addBLSPublicKey(node.key, NO_SIGNATURE, node.params(), many)
    assert chain.refused(call, chain.alice) == ("MaxContributorsExceeded",)
    seed = (node.key, node.params()[0], 1000, many)
    assert chain.refused(idle.functions.seedPublicKeyList([seed]), chain.owner) == ("MaxContributorsExceeded",)
    reserved = [(chain.alice, REQUIREMENT // 4)] * 100
    proof = chain.possession(node, chain.alice)
    for fee, reason in (
        (1, ("TooManyReservedContributors", 100, 10)),
        (10_001, ("FeeExceedsPossibleValue", 10_001, 10_000)),
    ):
        call = chain.factory.functions.deploy(node.key, proof, node.params(fee), reserved, False)
        assert chain.refused(call, chain.alice) == reason
    # Also where the owner lets in more than the contract can hold.
    idle = chain.unstarted(initialised=False)
    chain.send(
        idle.functions.initialize(chain.token.address, chain.pool.address, REQUIREMENT, 99, 3, 17, 9980), chain.owner
    )
    seed = (node.key, node.params()[0], 1000, many[:33])
    assert chain.refused(idle.functions.seedPublicKeyList([seed]), chain.owner) == ("MaxContributorsExceeded",)


def test_numbers_that_do_not_fit_panic_as_in_solidity(chain: Chain) -> None:
    rewards, most, overflow = chain.rewards.functions, 2**256 - 1, ("Panic", 17)
    node = Node()
    proof = chain.possession(node, chain.alice)
    for stakes_of in ([most, 1], [most]):
        parts = [((chain.alice, chain.alice), part) for part in stakes_of]
        call = rewards.addBLSPublicKey(node.key, proof, node.params(), parts)
        refusal = chain.refused(call, chain.alice)
        assert refusal == (overflow if len(stakes_of) > 1 else ("ContributionTotalMismatch", REQUIREMENT, most))
    member = chain.join(chain.alice)
    assert chain.refused(rewards.updateRewardsBalance(chain.alice, 5, NO_SIGNATURE, [9] * 5), chain.alice) == overflow
    leave = rewards.exitBLSPublicKeyWithSignature(member.key, most, NO_SIGNATURE, [])
    assert chain.refused(leave, chain.alice) == overflow
    for ratios in ((most, 1, 1), (most // 2, 0, 1)):
        assert chain.refused(rewards.setLiquidationRatios(*ratios), chain.owner) == overflow
    assert chain.refused(chain.pool.functions.calculatePayoutAmount(most, 5), chain.alice) == overflow


def test_the_reasons_not_to_seed(chain: Chain) -> None:
    idle = chain.unstarted()
    seed = idle.functions.seedPublicKeyList
    _, [entry, other] = seeds(chain, 2)
    key, ed25519, timestamp, contributors = entry

    def refused(*nodes: Any) -> tuple[Any, ...]:
        return chain.refused(seed(list(nodes)), chain.owner)

    assert chain.refused(seed([entry]), chain.alice) == ("OwnableUnauthorizedAccount", chain.alice)
    assert chain.refused(chain.rewards.functions.seedPublicKeyList([entry]), chain.owner) == ("ContractAlreadyStarted",)
    assert refused((key, ed25519, timestamp, [])) == ("InsufficientContributors",)
    assert refused((key, ed25519, timestamp, contributors * 11)) == ("MaxContributorsExceeded",)
    for null in ((0, 1), (1, 0), (0, 0)):
        assert refused((null, ed25519, timestamp, contributors)) == ("NullBLSPubkey",)
    assert refused((key, 0, timestamp, contributors)) == ("NullEd25519Pubkey",)
    assert refused(entry, (key, 5, timestamp, contributors)) == ("BLSPubkeyAlreadyExists", 1)
    assert refused(entry, (other[0], ed25519, timestamp, contributors)) == ("Ed25519PubkeyAlreadyExists", 1)
    assert refused((key, ed25519, timestamp, stakes((ZERO, 1)))) == ("NullAddress",)
    assert refused((key, ed25519, timestamp, stakes((chain.bob, 24_999)))) == (
        "ContributionTotalMismatch",
        REQUIREMENT,
        24_999 * SESH,
    )
    assert refused(entry, ((1, 1), 5, timestamp, contributors)) == (
        "Error",
        "Call to precompiled contract for add failed",
    )


def test_thresholds_follow_the_number_of_nodes(chain: Chain) -> None:
    """`spec/economics` §8, as far as seeding reaches in one test."""
    idle = chain.unstarted().functions
    _, entries = seeds(chain, 1050)
    seeded = 0

    def seed(size: int) -> None:
        nonlocal seeded
        while seeded < size:
            batch = entries[seeded : min(size, seeded + 40)]
            chain.send(idle.seedPublicKeyList(batch), chain.owner)
            seeded += len(batch)

    for size, absent, additions in (
        (1, 0, 20),
        (2, 0, 20),
        (3, 1, 20),
        (100, 33, 20),
        (1001, 333, 20),
        (1050, 350, 21),
    ):
        seed(size)
        assert idle.totalNodes().call() == size
        assert idle.blsNonSignerThreshold().call() == absent
        assert idle.maxPermittedPubkeyAggregations().call() == additions
    ids, keys = idle.allServiceNodeIDs().call()
    assert ids == [*range(1, 1051)]
    assert keys == [entry[0] for entry in entries]
    before = idle.aggregatePubkey().call()
    chain.send(idle.rederiveTotalNodesAndAggregatePubkey(), chain.alice)
    assert idle.aggregatePubkey().call() == before
    assert idle.totalNodes().call() == 1050


def test_the_cap_on_non_signers_waits_for_the_next_change_of_members(chain: Chain) -> None:
    for _ in range(6):
        chain.join(chain.alice)
    rewards = chain.rewards.functions
    chain.send(rewards.setBLSNonSignerThresholdMax(1), chain.owner)
    assert rewards.blsNonSignerThreshold().call() == 2
    chain.send(rewards.rederiveTotalNodesAndAggregatePubkey(), chain.owner)
    assert rewards.blsNonSignerThreshold().call() == 2
    chain.join(chain.alice)
    assert rewards.blsNonSignerThreshold().call() == 1


def test_the_sum_of_keys_is_derived_anew(chain: Chain) -> None:
    nodes = [chain.join(chain.alice) for _ in range(3)]
    rewards = chain.rewards.functions
    before = rewards.aggregatePubkey().call()
    assert not chain.send(rewards.rederiveTotalNodesAndAggregatePubkey(), chain.dave)["logs"]
    assert rewards.aggregatePubkey().call() == before
    assert rewards.totalNodes().call() == len(nodes)
