"""Merkle trees: a root for a list of leaves, and proofs that a leaf is in it.

Leaves and inner nodes are hashed with different personalisations of BLAKE2b-256, and the number of leaves is part of
the root, so that neither can pass for the other and no list for a longer one. A last node without a partner rises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from allium.appchain.types import Hash, Index

_LEAF, _NODE, _ROOT = b"allium.leaf", b"allium.node", b"allium.root"


@dataclass(frozen=True)
class MerklePath:
    """Where a leaf stands, and what has to be hashed with it on the way up."""

    index: Index
    count: Index
    siblings: tuple[Hash, ...]


def root(leaves: Sequence[bytes]) -> Hash:
    """The root of a list, which may be empty."""
    level = [_leaf(leaf) for leaf in leaves]
    while len(level) > 1:
        level = _above(level)
    return _finish(level[0] if level else b"", len(leaves))


def path(leaves: Sequence[bytes], index: int) -> MerklePath:
    """The way from the leaf at `index` to the root."""
    siblings, place, level = [], index, [_leaf(leaf) for leaf in leaves]
    while len(level) > 1:
        if (partner := place ^ 1) < len(level):
            siblings.append(Hash(level[partner]))
        level = _above(level)
        place >>= 1
    return MerklePath(Index(index), Index(len(leaves)), tuple(siblings))


def climb(leaf: bytes, way: MerklePath) -> Hash | None:
    """The root that `leaf` has at the end of `way`; `None` for a way that no tree has."""
    place, width = int(way.index), int(way.count)
    left, node = list(way.siblings), _leaf(leaf)
    if place >= width:
        return None
    while width > 1:
        if place ^ 1 < width:
            if not left:
                return None
            sibling = left.pop(0)
            node = _pair(sibling, node) if place & 1 else _pair(node, sibling)
        place, width = place >> 1, (width + 1) >> 1
    return None if left else _finish(node, way.count)


def _above(level: list[bytes]) -> list[bytes]:
    paired = [_pair(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)]
    return [*paired, level[-1]] if len(level) & 1 else paired


def _leaf(leaf: bytes) -> bytes:
    return blake2b(leaf, digest_size=32, person=_LEAF).digest()


def _pair(left: bytes, right: bytes) -> bytes:
    return blake2b(left + right, digest_size=32, person=_NODE).digest()


def _finish(top: bytes, count: int) -> Hash:
    return Hash(blake2b(count.to_bytes(8, "big") + top, digest_size=32, person=_ROOT).digest())
