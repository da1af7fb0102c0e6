# pragma version ~=0.4.3
"""
@title What ServiceNodeRewards computes inside, for tests to look at
@license Apache-2.0 OR MIT
"""

import bn254
import types


@external
@view
def hash_to_g2(message: Bytes[148], tag: bytes32) -> uint256[4]:
    return bn254._hash_to_g2(message, tag)


@external
@view
def sqrt(re: uint256, im: uint256) -> (uint256, uint256):
    return bn254._sqrt(re, im)


@external
@view
def add(a: types.G1Point, b: types.G1Point) -> types.G1Point:
    return bn254._add(a, b)


@external
@view
def verify(key: types.G1Point, message: Bytes[148], tag: bytes32, signature: types.BLSSignatureParams) -> bool:
    return bn254._verify(key, message, tag, signature)
