"""Who votes: nodes drawn from those that work, and how CometBFT names them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from hashlib import blake2b, sha256
from typing import Any

from allium.appchain.mt19937 import Mt19937
from allium.appchain.state import State
from allium.appchain.types import Hash, PublicKey
from allium.consensus.cometbft.abci_pb2 import PublicKey as ConsensusKey
from allium.consensus.cometbft.abci_pb2 import SimpleValidator, ValidatorUpdate

#: How many vote at most. All of them send to all.
SEATS = 150
#: Sequence of the generator that is used for nothing else: the one after those of `Quorum`.
_KIND: Any = 4

#: By key, nobody twice.
Committee = tuple[PublicKey, ...]


def draw(active: Sequence[PublicKey], beacon: Hash, seats: int = SEATS) -> Committee:
    """A committee of nodes that are ordered by key."""
    order = list(active)
    Mt19937.of_block(_KIND, beacon).shuffle(order)
    return tuple(sorted(order[:seats]))


def drawn_again(state: State, attempt: int) -> Committee:
    """Who goes on from a state at which the network stopped: others at every attempt, and of few nodes only half.

    Where all had a seat, those that are gone would have one each time.
    """
    active = state.quorums[-1].roster.active
    seed = blake2b(state.root + attempt.to_bytes(4, "little"), digest_size=32, person=b"allium.restart").digest()
    return draw(active, Hash(seed), min(SEATS, (len(active) + 1) // 2))


def seated(committee: Committee, before: State, after: State, offenders: Collection[PublicKey] = ()) -> Committee:
    """Who votes from two heights after `after` on.

    A day's first height draws anew. In between nobody is added, and members that no longer work or voted twice are
    taken out, unless that leaves none. Who was never registered has a seat from the beginning of the chain, until the
    first draw.
    """
    active = after.quorums[-1].roster.active
    if after.height % after.parameters.day == 0 and active:
        return draw(active, after.quorums[-1].beacon)
    kept = tuple(member for member in committee if member not in offenders and not _stopped(member, before, after))
    return kept or committee


def _stopped(member: PublicKey, before: State, after: State) -> bool:
    node = after.nodes.get(member)
    return member in before.nodes if node is None else node.decommissioned


def changes(before: Committee, after: Committee) -> list[ValidatorUpdate]:
    """What CometBFT has to be told. Everybody has one vote."""
    gone, new = set(before) - set(after), set(after) - set(before)
    return [
        ValidatorUpdate(pub_key=ConsensusKey(ed25519=key), power=power)
        for power, keys in ((0, gone), (1, new))
        for key in sorted(keys)
    ]


def address(key: bytes) -> bytes:
    """20 bytes by which CometBFT calls a key."""
    return sha256(key).digest()[:20]


def digest(committee: Iterable[PublicKey]) -> bytes:
    """The hash by which headers name a committee (RFC 6962's tree, by address)."""
    leaves = [
        SimpleValidator(pub_key=ConsensusKey(ed25519=key), voting_power=1).SerializeToString()
        for key in sorted(committee, key=address)
    ]
    return _tree(leaves)


def _tree(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) < 2:
        return sha256(b"\0" + leaves[0]).digest() if leaves else sha256().digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + _tree(leaves[:split]) + _tree(leaves[split:])).digest()
