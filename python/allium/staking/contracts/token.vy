# pragma version ~=0.4.3
"""
@title An ERC-20 token with OpenZeppelin 5's errors
@license Apache-2.0 OR MIT
"""

from ethereum.ercs import IERC20

from . import panic

name: public(constant(String[13])) = "Session Token"
symbol: public(constant(String[4])) = "SESH"
decimals: public(constant(uint8)) = 9
VERSION: public(constant(uint64)) = 2

totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])


@external
def transfer(to: address, amount: uint256) -> bool:
    self._transfer(msg.sender, to, amount)
    return True


@external
def approve(spender: address, amount: uint256) -> bool:
    self._approve(msg.sender, spender, amount)
    return True


@external
def transferFrom(sender: address, to: address, amount: uint256) -> bool:
    allowed: uint256 = self.allowance[sender][msg.sender]
    if allowed != max_value(uint256):
        if allowed < amount:
            raw_revert(
                abi_encode(
                    msg.sender,
                    allowed,
                    amount,
                    method_id=method_id("ERC20InsufficientAllowance(address,uint256,uint256)"),
                )
            )
        self.allowance[sender][msg.sender] = allowed - amount
    self._transfer(sender, to, amount)
    return True


@internal
def _approve(holder: address, spender: address, amount: uint256):
    if spender == empty(address):
        raw_revert(abi_encode(spender, method_id=method_id("ERC20InvalidSpender(address)")))
    self.allowance[holder][spender] = amount
    log IERC20.Approval(owner=holder, spender=spender, value=amount)


@internal
def _transfer(sender: address, to: address, amount: uint256):
    if sender == empty(address):
        raw_revert(abi_encode(sender, method_id=method_id("ERC20InvalidSender(address)")))
    self._check_receiver(to)
    self._take(sender, amount)
    self._give(to, amount)
    log IERC20.Transfer(sender=sender, receiver=to, value=amount)


@internal
def _mint(to: address, amount: uint256):
    self._check_receiver(to)
    self.totalSupply = panic._plus(self.totalSupply, amount)
    self._give(to, amount)
    log IERC20.Transfer(sender=empty(address), receiver=to, value=amount)


@internal
def _burn(holder: address, amount: uint256):
    self._take(holder, amount)
    self.totalSupply -= amount
    log IERC20.Transfer(sender=holder, receiver=empty(address), value=amount)


@internal
@pure
def _check_receiver(to: address):
    if to == empty(address):
        raw_revert(abi_encode(to, method_id=method_id("ERC20InvalidReceiver(address)")))


@internal
def _take(holder: address, amount: uint256):
    balance: uint256 = self.balanceOf[holder]
    if balance < amount:
        raw_revert(
            abi_encode(
                holder, balance, amount, method_id=method_id("ERC20InsufficientBalance(address,uint256,uint256)")
            )
        )
    self.balanceOf[holder] = balance - amount


@internal
def _give(to: address, amount: uint256):
    # The supply fits, so every balance does.
    self.balanceOf[to] = unsafe_add(self.balanceOf[to], amount)
