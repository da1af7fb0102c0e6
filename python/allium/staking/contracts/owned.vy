# pragma version ~=0.4.3
"""
@title One initialisation and an owner who hands over in two steps, with OpenZeppelin 5's events and errors
@license Apache-2.0 OR MIT
@notice The deployed contracts sit behind proxies and are set up by `initialize`; so are these, without a proxy.
"""

event Initialized:
    version: uint64


event OwnershipTransferStarted:
    previousOwner: indexed(address)
    newOwner: indexed(address)


event OwnershipTransferred:
    previousOwner: indexed(address)
    newOwner: indexed(address)


owner: public(address)
pendingOwner: public(address)
_initialized: bool


@internal
def _initialize():
    if self._initialized:
        raw_revert(method_id("InvalidInitialization()"))
    self._initialized = True
    self._transfer(msg.sender)
    log Initialized(version=1)


@internal
@view
def _only_owner():
    if msg.sender != self.owner:
        raw_revert(abi_encode(msg.sender, method_id=method_id("OwnableUnauthorizedAccount(address)")))


@internal
def _transfer(newOwner: address):
    self.pendingOwner = empty(address)
    log OwnershipTransferred(previousOwner=self.owner, newOwner=newOwner)
    self.owner = newOwner


@external
def transferOwnership(newOwner: address):
    self._only_owner()
    self.pendingOwner = newOwner
    log OwnershipTransferStarted(previousOwner=self.owner, newOwner=newOwner)


@external
def acceptOwnership():
    if msg.sender != self.pendingOwner:
        raw_revert(abi_encode(msg.sender, method_id=method_id("OwnableUnauthorizedAccount(address)")))
    self._transfer(msg.sender)


@external
def renounceOwnership():
    self._only_owner()
    self._transfer(empty(address))
