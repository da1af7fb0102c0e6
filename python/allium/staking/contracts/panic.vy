# pragma version ~=0.4.3
"""
@title Arithmetic that says why it cannot be done, as Solidity does
@license Apache-2.0 OR MIT
"""

# Solidity's codes for a number that does not fit, and for a place that is not in a list.
OVERFLOW: constant(uint256) = 17
NO_SUCH_PLACE: constant(uint256) = 50


@internal
@pure
def _panic(code: uint256):
    raw_revert(abi_encode(code, method_id=method_id("Panic(uint256)")))


@internal
@pure
def _plus(a: uint256, b: uint256) -> uint256:
    sum: uint256 = unsafe_add(a, b)
    if sum < a:
        self._panic(OVERFLOW)
    return sum


@internal
@pure
def _minus(a: uint256, b: uint256) -> uint256:
    if b > a:
        self._panic(OVERFLOW)
    return unsafe_sub(a, b)


@internal
@pure
def _times(a: uint256, b: uint256) -> uint256:
    product: uint256 = unsafe_mul(a, b)
    if a != 0 and unsafe_div(product, a) != b:
        self._panic(OVERFLOW)
    return product
