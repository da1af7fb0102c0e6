"""That something is in a state, shown to somebody who knows the state's root and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from allium.appchain import merkle
from allium.appchain.encoding import EncodingError, decode
from allium.appchain.ledger.ledger import RECORD
from allium.appchain.merkle import MerklePath
from allium.appchain.nodes import Node
from allium.appchain.state import State
from allium.appchain.types import Address, Hash, Index, MilliAtomic, PublicKey


class Section(IntEnum):
    """The leaves of a state's root."""

    HEADER = 0
    NODES = 1
    DEPARTED = 2
    RETURNS = 3
    ACCOUNTS = 4


@dataclass(frozen=True)
class Proof:
    """A leaf of one section, the way from it to the section's root, and from there to the state's."""

    section: Section
    leaf: bytes
    inner: MerklePath
    outer: MerklePath


def of_node(state: State, key: PublicKey) -> Proof:
    """That a node is registered, and how; raises `KeyError` when it is not."""
    return _proof(state, Section.NODES, state.nodes.leaves, state.nodes.leaf_of(key))


def of_balance(state: State, address: Address) -> Proof:
    """What an address has accrued; raises `KeyError` for one that was never credited."""
    for index, leaf in enumerate(state.accounts):
        if _record(leaf, address) is not None:
            return _proof(state, Section.ACCOUNTS, state.accounts, index)
    raise KeyError(address)


def node(root: Hash, key: PublicKey, proof: Proof) -> Node | None:
    """The node that `proof` shows to be in the state of `root`; `None` when it shows no such thing."""
    if not _holds(root, Section.NODES, proof):
        return None
    try:
        entries = decode(tuple[Node, ...], proof.leaf)
    except EncodingError:
        return None
    return next((entry for entry in entries if entry.pubkey == key), None)


def balance(root: Hash, address: Address, proof: Proof) -> MilliAtomic | None:
    """What `proof` shows an address to have accrued; `None` when it shows no such thing."""
    return _record(proof.leaf, address) if _holds(root, Section.ACCOUNTS, proof) else None


def _proof(state: State, section: Section, leaves: list[bytes], index: int) -> Proof:
    return Proof(section, leaves[index], merkle.path(leaves, index), merkle.path(state.sections, section))


def _holds(root: Hash, section: Section, proof: Proof) -> bool:
    inner = merkle.climb(proof.leaf, proof.inner)
    placed = proof.section == section and (proof.outer.index, proof.outer.count) == (Index(section), len(Section))
    return placed and inner is not None and merkle.climb(inner, proof.outer) == root


def _record(leaf: bytes, address: Address) -> MilliAtomic | None:
    for start in range(0, len(leaf), RECORD):
        if leaf[start : start + 20] == address:
            return MilliAtomic(int.from_bytes(leaf[start + 20 : start + RECORD], "big"))
    return None
