# pragma version ~=0.4.3
"""
@title The types of the staking contracts' ABI, and the bounds that Vyper wants for its arrays
@license Apache-2.0 OR MIT
"""

# Contributors of one node, and reservations of one contribution contract. `maxContributors` cannot usefully exceed it.
MAX_CONTRIBUTORS: constant(uint256) = 32
# How many of them a call may name for the refusal to have its reason.
MAX_NAMED: constant(uint256) = 128
# Non-signers that one call can name: more than a block has gas for.
MAX_NON_SIGNERS: constant(uint256) = 2**14
# Nodes that `allServiceNodeIDs` can list; more than the whole supply can stake (240,000,000 / 25,000).
MAX_LISTED: constant(uint256) = 10_000


struct G1Point:
    X: uint256
    Y: uint256


# x.re, x.im, y.re, y.im of a point of G2.
struct BLSSignatureParams:
    sigs0: uint256
    sigs1: uint256
    sigs2: uint256
    sigs3: uint256


struct ServiceNodeParams:
    serviceNodePubkey: uint256
    serviceNodeSignature1: uint256
    serviceNodeSignature2: uint256
    fee: uint16


struct Staker:
    addr: address
    beneficiary: address


struct Contributor:
    staker: Staker
    stakedAmount: uint256


struct ReservedContributor:
    addr: address
    amount: uint256


struct ServiceNode:
    next: uint64
    prev: uint64
    operator: address
    blsPubkey: G1Point
    addedTimestamp: uint256
    leaveRequestTimestamp: uint256
    latestLeaveRequestTimestamp: uint256
    deposit: uint256
    contributors: DynArray[Contributor, MAX_CONTRIBUTORS]
    ed25519Pubkey: uint256
