# pragma version ~=0.4.3
"""
@title A bridge's gateway and router in one, which writes down what it is asked and asks back as a real one does
@license Apache-2.0 OR MIT
"""


interface Token:
    def isArbitrumEnabled() -> uint8: view


event TokenRegistered:
    token: address
    l2Address: address
    maxGas: uint256
    gasPriceBid: uint256
    maxSubmissionCost: uint256
    creditBack: address
    paid: uint256


event GatewaySet:
    token: address
    gateway: address
    maxGas: uint256
    gasPriceBid: uint256
    maxSubmissionCost: uint256
    creditBack: address
    paid: uint256


@external
@payable
def registerTokenToL2(
    l2Address: address, maxGas: uint256, gasPriceBid: uint256, maxSubmissionCost: uint256, creditBack: address
) -> uint256:
    assert staticcall Token(msg.sender).isArbitrumEnabled() == 177
    log TokenRegistered(
        token=msg.sender,
        l2Address=l2Address,
        maxGas=maxGas,
        gasPriceBid=gasPriceBid,
        maxSubmissionCost=maxSubmissionCost,
        creditBack=creditBack,
        paid=msg.value,
    )
    return 1


@external
@payable
def setGateway(
    gateway: address, maxGas: uint256, gasPriceBid: uint256, maxSubmissionCost: uint256, creditBack: address
) -> uint256:
    assert staticcall Token(msg.sender).isArbitrumEnabled() == 177
    log GatewaySet(
        token=msg.sender,
        gateway=gateway,
        maxGas=maxGas,
        gasPriceBid=gasPriceBid,
        maxSubmissionCost=maxSubmissionCost,
        creditBack=creditBack,
        paid=msg.value,
    )
    return 2
