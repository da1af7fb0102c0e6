# pragma version ~=0.4.3
"""
@title The SESH token where it was issued: a fixed supply, permits, and registration with a bridge
@license Apache-2.0 OR MIT
"""

from . import eip712
from . import token

initializes: token
initializes: eip712

exports: (
    token.__interface__,
    eip712.eip712Domain,
)


interface L1CustomGateway:
    def registerTokenToL2(
        l2Address: address, maxGas: uint256, gasPriceBid: uint256, maxSubmissionCost: uint256, creditBack: address
    ) -> uint256: payable


interface L1GatewayRouter:
    def setGateway(
        gateway: address, maxGas: uint256, gasPriceBid: uint256, maxSubmissionCost: uint256, creditBack: address
    ) -> uint256: payable


PERMIT: constant(bytes32) = keccak256(
    "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)

gateway: public(immutable(address))
router: public(immutable(address))
nonces: public(HashMap[address, uint256])
_registering: bool


@deploy
def __init__(totalSupply_: uint256, receiverGenesisAddress: address, _gateway: address, _router: address):
    assert receiverGenesisAddress != empty(address), "Shared: zero address"
    assert totalSupply_ > 0, "Shared: zero amount"
    eip712.__init__(token.name)
    gateway = _gateway
    router = _router
    token._mint(receiverGenesisAddress, totalSupply_)


@external
def permit(holder: address, spender: address, amount: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32):
    if block.timestamp > deadline:
        raw_revert(abi_encode(deadline, method_id=method_id("ERC2612ExpiredSignature(uint256)")))
    nonce: uint256 = self.nonces[holder]
    self.nonces[holder] = nonce + 1
    asked: bytes32 = keccak256(abi_encode(PERMIT, holder, spender, amount, nonce, deadline))
    signer: address = eip712._signer(asked, v, r, s)
    if signer != holder:
        raw_revert(abi_encode(signer, holder, method_id=method_id("ERC2612InvalidSigner(address,address)")))
    token._approve(holder, spender, amount)


@external
@view
def DOMAIN_SEPARATOR() -> bytes32:
    return eip712._separator()


@external
@view
def isArbitrumEnabled() -> uint8:
    assert self._registering, "NOT_EXPECTED_CALL"
    return 177


@external
@payable
def registerTokenOnL2(
    l2CustomTokenAddress: address,
    maxSubmissionCostForCustomGateway: uint256,
    maxSubmissionCostForRouter: uint256,
    maxGasForCustomGateway: uint256,
    maxGasForRouter: uint256,
    gasPriceBid: uint256,
    valueForGateway: uint256,
    valueForRouter: uint256,
    creditBackAddress: address,
):
    self._registering = True
    extcall L1CustomGateway(gateway).registerTokenToL2(
        l2CustomTokenAddress,
        maxGasForCustomGateway,
        gasPriceBid,
        maxSubmissionCostForCustomGateway,
        creditBackAddress,
        value=valueForGateway,
    )
    extcall L1GatewayRouter(router).setGateway(
        gateway, maxGasForRouter, gasPriceBid, maxSubmissionCostForRouter, creditBackAddress, value=valueForRouter
    )
    self._registering = False
