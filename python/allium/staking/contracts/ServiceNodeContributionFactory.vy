# pragma version ~=0.4.3
"""
@title Makes the contracts in which several people collect the stake of one node
@license Apache-2.0 OR MIT
"""

from . import owned
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


interface ServiceNodeRewards:
    def maxContributors() -> uint256: view


event NewServiceNodeContributionContract:
    contributorContract: indexed(address)
    serviceNodePubkey: uint256
    operator: address


VERSION: public(constant(uint64)) = 1

# Where the code of ServiceNodeContribution lies (ERC-5202).
BLUEPRINT: immutable(address)

stakingRewardsContract: public(address)
deployedContracts: public(HashMap[address, bool])


@deploy
def __init__(blueprint: address):
    BLUEPRINT = blueprint


@external
def initialize(_stakingRewardsContract: address):
    owned._initialize()
    self.stakingRewardsContract = _stakingRewardsContract


@external
def deploy(
    key: types.G1Point,
    sig: types.BLSSignatureParams,
    params: types.ServiceNodeParams,
    reserved: DynArray[types.ReservedContributor, types.MAX_NAMED],
    manualFinalize: bool,
) -> address:
    pausable._when_not_paused()
    made: address = create_from_blueprint(
        BLUEPRINT,
        self.stakingRewardsContract,
        staticcall ServiceNodeRewards(self.stakingRewardsContract).maxContributors(),
        key,
        sig,
        params,
        reserved,
        msg.sender,
        manualFinalize,
    )
    self.deployedContracts[made] = True
    log NewServiceNodeContributionContract(
        contributorContract=made, serviceNodePubkey=params.serviceNodePubkey, operator=msg.sender
    )
    return made


@external
@view
def owns(contractAddress: address) -> bool:
    return self.deployedContracts[contractAddress]
