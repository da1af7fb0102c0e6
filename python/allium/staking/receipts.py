"""The root of a block's receipts, which its header names: with it, what a provider gives of a block is all of it.

A trie by the place of each receipt (Ethereum's yellow paper, appendix D), of the receipts' own encoding (EIP-2718).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eth_utils.address import to_canonical_address
from eth_utils.crypto import keccak

#: Transactions whose receipts are encoded as those of Ethereum are: its own types, and Arbitrum's.
_KNOWN_TYPES = frozenset({*range(5), *range(0x64, 0x6B)})

_Pair = tuple[bytes, bytes]


class UnknownReceiptError(ValueError):
    """A receipt of a kind whose encoding is not known here: nothing can be said of the block."""


def root(receipts: Sequence[Mapping[str, Any]]) -> bytes:
    """The root of a block's receipts, as `web3` has them, in their order; raises `UnknownReceiptError`."""
    pairs = [(_nibbles(_rlp(_number(place))), _encoded(receipt)) for place, receipt in enumerate(receipts)]
    return keccak(_rlp(_node(sorted(pairs)) if pairs else b""))


def _encoded(receipt: Mapping[str, Any]) -> bytes:
    kind = int(receipt.get("type", 0))
    if kind not in _KNOWN_TYPES or "status" not in receipt:
        raise UnknownReceiptError(f"a receipt of type {kind}")
    logs = [
        [to_canonical_address(entry["address"]), [bytes(topic) for topic in entry["topics"]], bytes(entry["data"])]
        for entry in receipt["logs"]
    ]
    numbers = [_number(int(receipt[name])) for name in ("status", "cumulativeGasUsed")]
    body = _rlp([*numbers, bytes(receipt["logsBloom"]), logs])
    return body if kind == 0 else bytes([kind]) + body


def _number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _rlp(item: Any) -> bytes:
    """Bytes, or a list of items, as Ethereum encodes them (yellow paper, appendix B)."""
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < 0x80 else _headed(0x80, item)
    return _headed(0xC0, b"".join(map(_rlp, item)))


def _headed(kind: int, payload: bytes) -> bytes:
    if len(payload) < 56:
        return bytes([kind + len(payload)]) + payload
    length = _number(len(payload))
    return bytes([kind + 55 + len(length)]) + length + payload


def _nibbles(key: bytes) -> bytes:
    return bytes(nibble for byte in key for nibble in (byte >> 4, byte & 15))


def _node(pairs: Sequence[_Pair]) -> Any:
    """A node over pairs of nibbles and values, ascending: what its parent encodes."""
    if len(pairs) == 1:
        [(key, value)] = pairs
        return [_packed(key, leaf=True), value]
    first, last = pairs[0][0], pairs[-1][0]
    shared = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    if shared:
        below = [(key[shared:], value) for key, value in pairs]
        return [_packed(first[:shared], leaf=False), _reference(_node(below))]
    branches: list[Any] = [b""] * 17
    for nibble in range(16):
        if below := [(key[1:], value) for key, value in pairs if key[:1] == bytes([nibble])]:
            branches[nibble] = _reference(_node(below))
    branches[16] = next((value for key, value in pairs if not key), b"")
    return branches


def _reference(node: Any) -> Any:
    encoded = _rlp(node)
    return node if len(encoded) < 32 else keccak(encoded)


def _packed(nibbles: bytes, *, leaf: bool) -> bytes:
    """The hex-prefix encoding of a path."""
    odd = len(nibbles) % 2
    prefix = [2 * leaf + odd] if odd else [2 * leaf, 0]
    every = [*prefix, *nibbles]
    return bytes(every[place] << 4 | every[place + 1] for place in range(0, len(every), 2))
