# pragma version ~=0.4.3
"""
@title Network fees: 90 % to the reserve of rewards, the rest to the network's liquidity
@license Apache-2.0 OR MIT
@notice With a fixed supply, burning a fee and issuing as much to the reserve is a transfer.
"""

from ethereum.ercs import IERC20

from . import owned

initializes: owned

exports: (
    owned.owner,
    owned.pendingOwner,
    owned.transferOwnership,
    owned.acceptOwnership,
    owned.renounceOwnership,
)


event Split:
    payer: indexed(address)
    fee: uint256
    toPool: uint256
    toLiquidity: uint256


event TreasuryUpdated:
    newTreasury: address


VERSION: public(constant(uint64)) = 1
POOL_PERCENT: public(constant(uint256)) = 90

SESH: public(immutable(address))
pool: public(immutable(address))
treasury: public(address)


@deploy
def __init__(_sesh: address, _pool: address, _treasury: address):
    owned._initialize()
    SESH = _sesh
    pool = _pool
    self._set_treasury(_treasury)


@external
def pay(fee: uint256):
    """
    @notice Takes `fee`, which the caller has approved, and splits it.
    """
    assert extcall IERC20(SESH).transferFrom(msg.sender, self, fee, default_return_value=True)
    self._split(fee)


@external
def flush():
    """
    @notice Splits what was transferred here without `pay`. Anybody may.
    """
    self._split(staticcall IERC20(SESH).balanceOf(self))


@external
def setTreasury(newTreasury: address):
    owned._only_owner()
    self._set_treasury(newTreasury)


@internal
def _set_treasury(treasury: address):
    if treasury == empty(address):
        raw_revert(method_id("NullAddress()"))
    self.treasury = treasury
    log TreasuryUpdated(newTreasury=treasury)


@internal
def _split(fee: uint256):
    to_pool: uint256 = fee * POOL_PERCENT // 100
    to_liquidity: uint256 = fee - to_pool
    log Split(payer=msg.sender, fee=fee, toPool=to_pool, toLiquidity=to_liquidity)
    assert extcall IERC20(SESH).transfer(pool, to_pool, default_return_value=True)
    assert extcall IERC20(SESH).transfer(self.treasury, to_liquidity, default_return_value=True)
