# pragma version ~=0.4.3
"""
@title The SESH token on a second chain, minted and burnt by the bridge alone
@license Apache-2.0 OR MIT
"""

from . import token

initializes: token

exports: token.__interface__


event Initialized:
    version: uint64


l2Gateway: public(address)
l1Address: public(address)
_initialized: bool


@external
def initialize(l2Gateway_: address, l1Address_: address):
    if self._initialized:
        raw_revert(method_id("InvalidInitialization()"))
    self._initialized = True
    self.l2Gateway = l2Gateway_
    self.l1Address = l1Address_
    log Initialized(version=1)


@external
def bridgeMint(account: address, amount: uint256):
    assert msg.sender == self.l2Gateway, "NOT_GATEWAY"
    token._mint(account, amount)


@external
def bridgeBurn(account: address, amount: uint256):
    assert msg.sender == self.l2Gateway, "NOT_GATEWAY"
    token._burn(account, amount)
