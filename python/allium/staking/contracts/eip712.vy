# pragma version ~=0.4.3
"""
@title A contract's typed data (EIP-712, EIP-5267), and who has signed it, with OpenZeppelin 5's errors
@license Apache-2.0 OR MIT
"""

DOMAIN: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
VERSION: constant(String[1]) = "1"
# Name, version, chain and contract are fields of the domain; a salt is not.
FIELDS: constant(bytes1) = 0x0f
# Half of secp256k1's order. Of the two forms that each signature has, the one above is refused (EIP-2).
HALF: constant(uint256) = 57_896_044_618_658_097_711_785_492_504_343_953_926_418_782_139_537_452_191_302_581_570_759_080_747_168

NAME: immutable(String[32])


@deploy
def __init__(name: String[32]):
    NAME = name


@external
@view
def eip712Domain() -> (bytes1, String[32], String[1], uint256, address, bytes32, DynArray[uint256, 1]):
    return FIELDS, NAME, VERSION, chain.id, self, empty(bytes32), empty(DynArray[uint256, 1])


@internal
@view
def _separator() -> bytes32:
    return keccak256(abi_encode(DOMAIN, keccak256(NAME), keccak256(VERSION), chain.id, self))


@internal
@view
def _signer(hashed: bytes32, v: uint8, r: bytes32, s: bytes32) -> address:
    if convert(s, uint256) > HALF:
        raw_revert(abi_encode(s, method_id=method_id("ECDSAInvalidSignatureS(bytes32)")))
    signer: address = ecrecover(keccak256(concat(b"\x19\x01", self._separator(), hashed)), v, r, s)
    if signer == empty(address):
        raw_revert(method_id("ECDSAInvalidSignature()"))
    return signer
