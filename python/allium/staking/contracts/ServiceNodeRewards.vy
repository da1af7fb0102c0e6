# pragma version ~=0.4.3
"""
@title Who is a node, and what the network has signed that it may be paid
@license Apache-2.0 OR MIT
@notice Stakes come in, the network's aggregated BLS signatures say who leaves and what anybody has earned in all.
        The contract holds the stakes and the rewards; the network tells its ABI only, so its storage is its own.
"""

from ethereum.ercs import IERC20

from . import bn254
from . import owned
from . import panic
from . import pausable
from . import types

initializes: owned
initializes: pausable[owned := owned]

exports: (
    owned.owner,
    owned.pendingOwner,
    owned.transferOwnership,
    owned.acceptOwnership,
    owned.renounceOwnership,
    pausable.paused,
    pausable.pause,
    pausable.unpause,
)


event NewSeededServiceNode:
    serviceNodeID: indexed(uint64)
    blsPubkey: types.G1Point
    ed25519Pubkey: uint256


event NewServiceNodeV2:
    serviceNodeID: indexed(uint64)
    initiator: address
    pubkey: types.G1Point
    serviceNode: types.ServiceNodeParams
    contributors: DynArray[types.Contributor, types.MAX_CONTRIBUTORS]


event RewardsBalanceUpdated:
    recipientAddress: indexed(address)
    amount: uint256
    previousBalance: uint256


event RewardsClaimed:
    recipientAddress: indexed(address)
    amount: uint256


event BLSNonSignerThresholdMaxUpdated:
    newMax: uint256


event ClaimThresholdUpdated:
    newThreshold: uint256


event ClaimCycleUpdated:
    newValue: uint256


event LiquidationRatiosUpdated:
    liquidatorRatio: uint256
    poolRatio: uint256
    recipientRatio: uint256


event ServiceNodeLiquidated:
    serviceNodeID: indexed(uint64)
    initiator: address
    pubkey: types.G1Point


event ServiceNodeExit:
    serviceNodeID: indexed(uint64)
    initiator: address
    returnedAmount: uint256
    pubkey: types.G1Point


event ServiceNodeExitRequest:
    serviceNodeID: indexed(uint64)
    initiator: address
    pubkey: types.G1Point


event StakingRequirementUpdated:
    newRequirement: uint256


event SignatureExpiryUpdated:
    newExpiry: uint256


# Lifetime totals.
struct Recipient:
    rewards: uint256
    claimed: uint256


VERSION: public(constant(uint64)) = 1
LIST_SENTINEL: public(constant(uint64)) = 0
MAX_SERVICE_NODE_EXIT_WAIT_TIME: public(constant(uint256)) = 30 * 86_400
MAX_PERMITTED_PUBKEY_AGGREGATIONS_LOWER_BOUND: public(constant(uint256)) = 20
MIN_TIME_BEFORE_REPEATED_LEAVE_REQUEST: public(constant(uint256)) = 3600
SMALL_CONTRIBUTOR_LEAVE_DELAY: public(constant(uint256)) = 30 * 86_400
SMALL_CONTRIBUTOR_DIVISOR: public(constant(uint256)) = 4

# How old a node is before the network's signature can remove it, in seconds. Two hours but on networks for tests.
MINIMUM_EXIT_AGE: immutable(uint256)

isStarted: public(bool)
designatedToken: public(IERC20)
foundationPool: public(IERC20)
nextServiceNodeID: public(uint64)
totalNodes: public(uint256)
blsNonSignerThreshold: public(uint256)
blsNonSignerThresholdMax: public(uint256)
signatureExpiry: public(uint256)
proofOfPossessionTag: public(bytes32)
rewardTag: public(bytes32)
exitTag: public(bytes32)
liquidateTag: public(bytes32)
hashToG2Tag: public(bytes32)
stakingRequirement: public(uint256)
maxContributors: public(uint256)
liquidatorRewardRatio: public(uint256)
poolShareOfLiquidationRatio: public(uint256)
recipientRatio: public(uint256)
recipients: public(HashMap[address, Recipient])
lastHeightPubkeyWasAggregated: public(uint256)
numPubkeyAggregationsForHeight: public(uint256)
claimThreshold: public(uint256)
claimCycle: public(uint256)
currentClaimTotal: public(uint256)
currentClaimCycle: public(uint256)
# By X || Y, 32 bytes each.
serviceNodeIDs: public(HashMap[Bytes[64], uint64])
ed25519ToServiceNodeID: public(HashMap[uint256, uint64])
# `next` and `prev` are in _links, `operator` is the first contributor: a word of storage costs as much as all the rest.
_nodes: HashMap[uint64, types.ServiceNode]
# A ring in the order of joining, closed by LIST_SENTINEL: by node, prev << 64 | next.
_links: HashMap[uint64, uint256]
_aggregate: types.G1Point


@deploy
def __init__(minimumExitAge: uint256):
    MINIMUM_EXIT_AGE = minimumExitAge


@external
def initialize(
    token_: address,
    foundationPool_: address,
    stakingRequirement_: uint256,
    maxContributors_: uint256,
    liquidatorRewardRatio_: uint256,
    poolShareOfLiquidationRatio_: uint256,
    recipientRatio_: uint256,
):
    owned._initialize()
    if recipientRatio_ < 1:
        raw_revert(method_id("PositiveNumberRequirement()"))
    self._check_penalty(liquidatorRewardRatio_, poolShareOfLiquidationRatio_, recipientRatio_)
    self.nextServiceNodeID = 1
    self.blsNonSignerThresholdMax = 4000
    self.signatureExpiry = 600
    self.claimThreshold = 1_000_000 * 10**9
    self.claimCycle = 43_200
    self.proofOfPossessionTag = self._tag(b"BLS_SIG_TRYANDINCREMENT_POP")
    self.rewardTag = self._tag(b"BLS_SIG_TRYANDINCREMENT_REWARD")
    self.exitTag = self._tag(b"BLS_SIG_TRYANDINCREMENT_EXIT")
    self.liquidateTag = self._tag(b"BLS_SIG_TRYANDINCREMENT_LIQUIDATE")
    self.hashToG2Tag = self._tag(b"BLS_SIG_HASH_TO_FIELD_TAG")
    self.designatedToken = IERC20(token_)
    self.foundationPool = IERC20(foundationPool_)
    self.stakingRequirement = stakingRequirement_
    self.maxContributors = maxContributors_
    self.liquidatorRewardRatio = liquidatorRewardRatio_
    self.poolShareOfLiquidationRatio = poolShareOfLiquidationRatio_
    self.recipientRatio = recipientRatio_


@internal
@view
def _tag(base: Bytes[33]) -> bytes32:
    return keccak256(concat(base, convert(chain.id, bytes32), convert(self, bytes20)))


# --- who may call, and when


@internal
@view
def _when_started():
    if not self.isStarted:
        raw_revert(method_id("ContractNotStarted()"))


@internal
@view
def _check_signers_may(absent: uint256):
    pausable._when_not_paused()
    self._when_started()
    if absent > self.blsNonSignerThreshold:
        raw_revert(
            abi_encode(
                panic._minus(self.totalNodes, absent),
                self.totalNodes - self.blsNonSignerThreshold,
                method_id=method_id("InsufficientBLSSignatures(uint256,uint256)"),
            )
        )


# --- joining


@external
def addBLSPublicKey(
    blsPubkey: types.G1Point,
    blsSignature: types.BLSSignatureParams,
    serviceNodeParams: types.ServiceNodeParams,
    contributors: DynArray[types.Contributor, types.MAX_NAMED],
):
    self._when_started()
    pausable._when_not_paused()
    self._check_count(len(contributors))
    required: uint256 = self.stakingRequirement
    staked: DynArray[types.Contributor, types.MAX_CONTRIBUTORS] = []
    if len(contributors) == 0:
        staked = [
            types.Contributor(staker=types.Staker(addr=msg.sender, beneficiary=msg.sender), stakedAmount=required)
        ]
    else:
        total: uint256 = 0
        for contributor: types.Contributor in contributors:
            total = panic._plus(total, contributor.stakedAmount)
            staked.append(contributor)
        self._check_total(total, required)
        if panic._times(staked[0].stakedAmount, SMALL_CONTRIBUTOR_DIVISOR) < required:
            raw_revert(
                abi_encode(staked[0].stakedAmount, method_id=method_id("InsufficientOperatorContribution(uint256)"))
            )
    self._check_new_key(blsPubkey)
    operator: address = staked[0].staker.addr
    self._check_possession(blsPubkey, blsSignature, operator, serviceNodeParams.serviceNodePubkey)
    id: uint64 = self._add(blsPubkey, serviceNodeParams.serviceNodePubkey, required, block.timestamp)
    self._nodes[id].contributors = staked
    self._update_threshold()
    log NewServiceNodeV2(
        serviceNodeID=id,
        initiator=msg.sender,
        pubkey=blsPubkey,
        serviceNode=serviceNodeParams,
        contributors=staked,
    )
    assert extcall self.designatedToken.transferFrom(msg.sender, self, required, default_return_value=True)


@external
def validateProofOfPossession(
    blsPubkey: types.G1Point, blsSignature: types.BLSSignatureParams, caller: address, serviceNodePubkey: uint256
):
    self._check_possession(blsPubkey, blsSignature, caller, serviceNodePubkey)


@internal
@view
def _check_possession(
    key: types.G1Point, signature: types.BLSSignatureParams, operator: address, ed25519: uint256
):
    message: Bytes[148] = concat(
        self.proofOfPossessionTag,
        convert(key.X, bytes32),
        convert(key.Y, bytes32),
        convert(operator, bytes20),
        convert(ed25519, bytes32),
    )
    if not bn254._verify(key, message, self.hashToG2Tag, signature):
        raw_revert(method_id("InvalidBLSProofOfPossession()"))


@internal
@view
def _check_count(contributors: uint256):
    if contributors > min(self.maxContributors, types.MAX_CONTRIBUTORS):
        raw_revert(method_id("MaxContributorsExceeded()"))


@internal
@pure
def _check_total(total: uint256, required: uint256):
    if total != required:
        raw_revert(
            abi_encode(required, total, method_id=method_id("ContributionTotalMismatch(uint256,uint256)"))
        )


@internal
@view
def _check_new_key(key: types.G1Point):
    id: uint64 = self.serviceNodeIDs[abi_encode(key)]
    if id != 0:
        raw_revert(abi_encode(id, method_id=method_id("BLSPubkeyAlreadyExists(uint64)")))


@internal
def _add(key: types.G1Point, ed25519: uint256, deposit: uint256, added: uint256) -> uint64:
    if key.X == 0 or key.Y == 0:
        raw_revert(method_id("NullBLSPubkey()"))
    if ed25519 == 0:
        raw_revert(method_id("NullEd25519Pubkey()"))
    self._check_new_key(key)
    known: uint64 = self.ed25519ToServiceNodeID[ed25519]
    if known != 0:
        raw_revert(abi_encode(known, method_id=method_id("Ed25519PubkeyAlreadyExists(uint64)")))
    if self.isStarted:
        if block.number > self.lastHeightPubkeyWasAggregated:
            self.lastHeightPubkeyWasAggregated = block.number
            self.numPubkeyAggregationsForHeight = 0
        self.numPubkeyAggregationsForHeight += 1
        if self.numPubkeyAggregationsForHeight > self._permitted_aggregations():
            raw_revert(method_id("MaxPubkeyAggregationsExceeded()"))

    id: uint64 = self.nextServiceNodeID
    self.nextServiceNodeID = id + 1
    last: uint64 = self._prev(LIST_SENTINEL)
    self._link(last, id)
    self._link(id, LIST_SENTINEL)
    self._nodes[id].blsPubkey = key
    self._nodes[id].addedTimestamp = added
    self._nodes[id].deposit = deposit
    self._nodes[id].ed25519Pubkey = ed25519
    self.serviceNodeIDs[abi_encode(key)] = id
    self.ed25519ToServiceNodeID[ed25519] = id
    total: uint256 = self.totalNodes
    self.totalNodes = total + 1
    if total == 0:
        self._aggregate = key
    else:
        self._aggregate = bn254._add(self._aggregate, key)
    return id


@external
def __default__():
    """
    @notice seedPublicKeyList(SeedServiceNode[]). As a function with an argument, Vyper would first lay the list out in
            memory with room for the longest node at each place, for more gas than all the rest.
    """
    if len(msg.data) < 4 or slice(msg.data, 0, 4) != method_id(
        "seedPublicKeyList(((uint256,uint256),uint256,uint256,((address,address),uint256)[])[])"
    ):
        raw_revert(b"")
    self._seed()


@internal
def _seed():
    """
    @notice Reads the list from the call itself; one that is cut off ends in a bare revert, as the ABI's decoder's.
    """
    owned._only_owner()
    if self.isStarted:
        raw_revert(method_id("ContractAlreadyStarted()"))
    required: uint256 = self.stakingRequirement
    start: uint256 = 4 + self._word(4)
    for i: uint256 in range(self._word(start), bound=types.MAX_LISTED):
        node: uint256 = start + 32 + self._word(start + 32 + 32 * i)
        key: types.G1Point = types.G1Point(X=self._word(node), Y=self._word(node + 32))
        ed25519: uint256 = self._word(node + 64)
        list: uint256 = node + self._word(node + 128)
        count: uint256 = self._word(list)
        if count == 0:
            raw_revert(method_id("InsufficientContributors()"))
        self._check_count(count)
        id: uint64 = self._add(key, ed25519, required, self._word(node + 96))
        total: uint256 = 0
        for j: uint256 in range(count, bound=types.MAX_CONTRIBUTORS):
            contributor: types.Contributor = self._seeded_contributor(list + 32 + 96 * j)
            if contributor.staker.addr == empty(address):
                raw_revert(method_id("NullAddress()"))
            total = panic._plus(total, contributor.stakedAmount)
            self._nodes[id].contributors.append(contributor)
        self._check_total(total, required)
        log NewSeededServiceNode(serviceNodeID=id, blsPubkey=key, ed25519Pubkey=ed25519)
    self._update_threshold()


@internal
@view
def _seeded_contributor(position: uint256) -> types.Contributor:
    return abi_decode(slice(msg.data, position, 96), types.Contributor)


# --- being paid


@external
def updateRewardsBalance(
    recipientAddress: address,
    recipientRewards: uint256,
    blsSignature: types.BLSSignatureParams,
    ids: DynArray[uint64, types.MAX_NON_SIGNERS],
):
    self._check_signers_may(len(ids))
    self._update_rewards(recipientAddress, recipientRewards, blsSignature)


@internal
def _update_rewards(recipientAddress: address, recipientRewards: uint256, blsSignature: types.BLSSignatureParams):
    if recipientAddress == empty(address):
        raw_revert(method_id("NullAddress()"))
    previous: uint256 = self.recipients[recipientAddress].rewards
    if previous >= recipientRewards:
        raw_revert(method_id("RecipientRewardsTooLow()"))
    self._check_signature(
        6,
        concat(self.rewardTag, convert(recipientAddress, bytes20), convert(recipientRewards, bytes32)),
        blsSignature,
    )
    self.recipients[recipientAddress].rewards = recipientRewards
    log RewardsBalanceUpdated(
        recipientAddress=recipientAddress, amount=recipientRewards, previousBalance=previous
    )


@internal
@view
def _check_signature(index: uint256, message: Bytes[148], signature: types.BLSSignatureParams):
    """
    @notice Whether the network has signed, but for the nodes that the call's argument at word `index` names.
            Vyper lays what a function needs behind its longest possible arguments, and memory that far out is dear. So
            nothing else may be in functions with `ids`, and those, decoded and in bounds there, are read again here.
    """
    absent: types.G1Point = empty(types.G1Point)
    start: uint256 = 4 + self._word(4 + 32 * index)
    for i: uint256 in range(self._word(start), bound=types.MAX_NON_SIGNERS):
        id: uint64 = convert(self._word(start + 32 + 32 * i), uint64)
        absent = bn254._add(absent, self._nodes[id].blsPubkey)
    signers: types.G1Point = bn254._add(self._aggregate, bn254._negate(absent))
    # The neutral key, which is left when there are no nodes, would be content with the neutral signature.
    if signers.Y == 0 or not bn254._verify(signers, message, self.hashToG2Tag, signature):
        raw_revert(abi_encode(signers, method_id=method_id("InvalidBLSSignature((uint256,uint256))")))


@internal
@view
def _word(position: uint256) -> uint256:
    return convert(slice(msg.data, position, 32), uint256)


@external
def claimRewards(amount: uint256 = 0):
    # Vyper's way of overloading: without an argument everything is claimed.
    claimed: uint256 = amount
    if slice(msg.data, 0, 4) == method_id("claimRewards()"):
        claimed = self.recipients[msg.sender].rewards - self.recipients[msg.sender].claimed
    elif amount > self.recipients[msg.sender].rewards - self.recipients[msg.sender].claimed:
        raw_revert(method_id("MaxClaimExceeded()"))
    cycle: uint256 = block.timestamp // self.claimCycle
    if cycle > self.currentClaimCycle:
        self.currentClaimCycle = cycle
        self.currentClaimTotal = 0
    self.currentClaimTotal += claimed
    if self.currentClaimTotal > self.claimThreshold:
        raw_revert(method_id("ClaimThresholdExceeded()"))
    self.recipients[msg.sender].claimed += claimed
    log RewardsClaimed(recipientAddress=msg.sender, amount=claimed)
    self._pay(msg.sender, claimed)


@internal
def _pay(to: address, amount: uint256):
    assert extcall self.designatedToken.transfer(to, amount, default_return_value=True)


# --- leaving


@external
def initiateExitBLSPublicKey(serviceNodeID: uint64):
    pausable._when_not_paused()
    self._when_started()
    stake: uint256 = self._stake_of(serviceNodeID, msg.sender)
    if self._nodes[serviceNodeID].leaveRequestTimestamp == 0:
        if (
            SMALL_CONTRIBUTOR_DIVISOR * stake < self._nodes[serviceNodeID].deposit
            and block.timestamp
            < panic._plus(self._nodes[serviceNodeID].addedTimestamp, SMALL_CONTRIBUTOR_LEAVE_DELAY)
        ):
            raw_revert(
                abi_encode(
                    serviceNodeID, msg.sender, method_id=method_id("SmallContributorLeaveTooEarly(uint64,address)")
                )
            )
        self._nodes[serviceNodeID].leaveRequestTimestamp = block.timestamp
    else:
        self._check_leave_time(
            serviceNodeID,
            self._nodes[serviceNodeID].latestLeaveRequestTimestamp + MIN_TIME_BEFORE_REPEATED_LEAVE_REQUEST,
        )
    self._nodes[serviceNodeID].latestLeaveRequestTimestamp = block.timestamp
    log ServiceNodeExitRequest(
        serviceNodeID=serviceNodeID, initiator=msg.sender, pubkey=self._nodes[serviceNodeID].blsPubkey
    )


@internal
@view
def _stake_of(id: uint64, staker: address) -> uint256:
    for i: uint256 in range(len(self._nodes[id].contributors), bound=types.MAX_CONTRIBUTORS):
        if self._nodes[id].contributors[i].staker.addr == staker:
            return self._nodes[id].contributors[i].stakedAmount
    raw_revert(abi_encode(id, staker, method_id=method_id("CallerNotContributor(uint64,address)")))


@internal
@view
def _check_leave_time(id: uint64, end: uint256):
    if block.timestamp < end:
        raw_revert(
            abi_encode(
                id, end, block.timestamp, method_id=method_id("LeaveRequestTooEarly(uint64,uint256,uint256)")
            )
        )


@external
def exitBLSPublicKeyWithSignature(
    blsPubkey: types.G1Point,
    timestamp: uint256,
    blsSignature: types.BLSSignatureParams,
    ids: DynArray[uint64, types.MAX_NON_SIGNERS],
):
    self._check_signers_may(len(ids))
    self._exit_signed(blsPubkey, timestamp, blsSignature)


@internal
def _exit_signed(key: types.G1Point, timestamp: uint256, signature: types.BLSSignatureParams):
    id: uint64 = self._check_leaver(self.exitTag, key, timestamp, signature)
    self._exit(id, self._nodes[id].deposit)


@external
def exitBLSPublicKeyAfterWaitTime(serviceNodeID: uint64):
    pausable._when_not_paused()
    self._when_started()
    requested: uint256 = self._nodes[serviceNodeID].leaveRequestTimestamp
    if requested == 0:
        raw_revert(abi_encode(serviceNodeID, method_id=method_id("LeaveRequestNotInitiatedYet(uint64)")))
    self._check_leave_time(serviceNodeID, requested + MAX_SERVICE_NODE_EXIT_WAIT_TIME)
    self._exit(serviceNodeID, self._nodes[serviceNodeID].deposit)


@external
def liquidateBLSPublicKeyWithSignature(
    blsPubkey: types.G1Point,
    timestamp: uint256,
    blsSignature: types.BLSSignatureParams,
    ids: DynArray[uint64, types.MAX_NON_SIGNERS],
):
    self._check_signers_may(len(ids))
    self._liquidate(blsPubkey, timestamp, blsSignature)


@internal
def _liquidate(key: types.G1Point, timestamp: uint256, signature: types.BLSSignatureParams):
    id: uint64 = self._check_leaver(self.liquidateTag, key, timestamp, signature)
    log ServiceNodeLiquidated(serviceNodeID=id, initiator=msg.sender, pubkey=key)
    deposit: uint256 = self._nodes[id].deposit
    liquidator: uint256 = self.liquidatorRewardRatio
    pool: uint256 = self.poolShareOfLiquidationRatio
    sum: uint256 = panic._plus(liquidator + pool, self.recipientRatio)
    liquidator_amount: uint256 = panic._times(deposit, liquidator) // sum
    pool_amount: uint256 = panic._plus(panic._times(deposit, pool), sum - 1) // sum
    self._exit(id, deposit - liquidator_amount - pool_amount)
    if liquidator > 0:
        self._pay(msg.sender, liquidator_amount)
    if pool > 0:
        self._pay(self.foundationPool.address, pool_amount)


@internal
@view
def _check_leaver(
    tag: bytes32, key: types.G1Point, timestamp: uint256, signature: types.BLSSignatureParams
) -> uint64:
    id: uint64 = self.serviceNodeIDs[abi_encode(key)]
    if id == 0:
        raw_revert(abi_encode(key, method_id=method_id("BLSPubkeyDoesNotExist((uint256,uint256))")))
    if block.timestamp > panic._plus(timestamp, self.signatureExpiry):
        raw_revert(
            abi_encode(
                id, timestamp, block.timestamp, method_id=method_id("SignatureExpired(uint64,uint256,uint256)")
            )
        )
    added: uint256 = self._nodes[id].addedTimestamp
    if block.timestamp < panic._plus(added, MINIMUM_EXIT_AGE):
        raw_revert(
            abi_encode(id, added, block.timestamp, method_id=method_id("ExitTooEarly(uint64,uint256,uint256)"))
        )
    self._check_signature(
        7, concat(tag, convert(key.X, bytes32), convert(key.Y, bytes32), convert(timestamp, bytes32)), signature
    )
    return id


@internal
def _exit(id: uint64, returned: uint256):
    """
    @notice The stake stays here: it is paid when the network has added it to the lifetime total of who staked it.
    """
    key: types.G1Point = self._nodes[id].blsPubkey
    self._link(self._prev(id), self._next(id))
    self._links[id] = 0
    self._aggregate = bn254._add(self._aggregate, bn254._negate(key))
    self.serviceNodeIDs[abi_encode(key)] = 0
    self.ed25519ToServiceNodeID[self._nodes[id].ed25519Pubkey] = 0
    self._nodes[id] = empty(types.ServiceNode)
    self.totalNodes -= 1
    self._update_threshold()
    log ServiceNodeExit(serviceNodeID=id, initiator=msg.sender, returnedAmount=returned, pubkey=key)


@internal
def _update_threshold():
    self.blsNonSignerThreshold = min(self.totalNodes // 3, self.blsNonSignerThresholdMax)


@internal
@view
def _permitted_aggregations() -> uint256:
    return max(MAX_PERMITTED_PUBKEY_AGGREGATIONS_LOWER_BOUND, self.totalNodes * 2 // 100)


@external
def rederiveTotalNodesAndAggregatePubkey():
    total: uint256 = 0
    aggregate: types.G1Point = empty(types.G1Point)
    id: uint64 = self._next(LIST_SENTINEL)
    for _: uint64 in range(max_value(uint64)):
        if id == LIST_SENTINEL:
            break
        total += 1
        aggregate = bn254._add(aggregate, self._nodes[id].blsPubkey)
        id = self._next(id)
    self.totalNodes = total
    self._aggregate = aggregate


@internal
@view
def _next(id: uint64) -> uint64:
    return convert(self._links[id] & convert(max_value(uint64), uint256), uint64)


@internal
@view
def _prev(id: uint64) -> uint64:
    return convert(self._links[id] >> 64, uint64)


@internal
def _link(left: uint64, right: uint64):
    """
    @notice Makes two nodes neighbours.
    """
    self._links[left] = convert(self._prev(left), uint256) << 64 | convert(right, uint256)
    self._links[right] = convert(left, uint256) << 64 | convert(self._next(right), uint256)


# --- the owner


@external
def start():
    owned._only_owner()
    self.isStarted = True


@external
def setStakingRequirement(newRequirement: uint256):
    self._only_owner_positive(newRequirement)
    self.stakingRequirement = newRequirement
    log StakingRequirementUpdated(newRequirement=newRequirement)


@external
def setSignatureExpiry(newExpiry: uint256):
    self._only_owner_positive(newExpiry)
    self.signatureExpiry = newExpiry
    log SignatureExpiryUpdated(newExpiry=newExpiry)


@external
def setBLSNonSignerThresholdMax(newMax: uint256):
    self._only_owner_positive(newMax)
    self.blsNonSignerThresholdMax = newMax
    log BLSNonSignerThresholdMaxUpdated(newMax=newMax)


@external
def setClaimThreshold(newMax: uint256):
    self._only_owner_positive(newMax)
    self.claimThreshold = newMax
    log ClaimThresholdUpdated(newThreshold=newMax)


@external
def setClaimCycle(newCycle: uint256):
    self._only_owner_positive(newCycle)
    self.claimCycle = newCycle
    log ClaimCycleUpdated(newValue=newCycle)


@external
def setLiquidationRatios(liquidator: uint256, pool: uint256, recipient: uint256):
    self._only_owner_positive(recipient)
    self._check_penalty(liquidator, pool, recipient)
    self.liquidatorRewardRatio = liquidator
    self.poolShareOfLiquidationRatio = pool
    self.recipientRatio = recipient
    log LiquidationRatiosUpdated(liquidatorRatio=liquidator, poolRatio=pool, recipientRatio=recipient)


@internal
@view
def _only_owner_positive(setting: uint256):
    owned._only_owner()
    if setting == 0:
        raw_revert(method_id("PositiveNumberRequirement()"))


@internal
@pure
def _check_penalty(liquidator: uint256, pool: uint256, recipient: uint256):
    """
    @notice A penalty never exceeds the operator's quarter of the stake.
    """
    if panic._times(panic._plus(liquidator, pool), 3) > recipient:
        raw_revert(method_id("LiquidatorPenaltyTooHigh()"))


# --- views


@external
@view
def serviceNodes(serviceNodeID: uint64) -> types.ServiceNode:
    node: types.ServiceNode = self._nodes[serviceNodeID]
    node.next = self._next(serviceNodeID)
    node.prev = self._prev(serviceNodeID)
    if len(node.contributors) > 0:
        node.operator = node.contributors[0].staker.addr
    return node


@external
@view
def aggregatePubkey() -> types.G1Point:
    return self._aggregate


@external
@view
def maxPermittedPubkeyAggregations() -> uint256:
    return self._permitted_aggregations()


@external
@view
def allServiceNodeIDs() -> (DynArray[uint64, types.MAX_LISTED], DynArray[types.G1Point, types.MAX_LISTED]):
    ids: DynArray[uint64, types.MAX_LISTED] = []
    pubkeys: DynArray[types.G1Point, types.MAX_LISTED] = []
    id: uint64 = self._next(LIST_SENTINEL)
    for _: uint256 in range(types.MAX_LISTED):
        if id == LIST_SENTINEL:
            break
        ids.append(id)
        pubkeys.append(self._nodes[id].blsPubkey)
        id = self._next(id)
    return ids, pubkeys
