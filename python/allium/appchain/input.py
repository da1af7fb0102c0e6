"""What one height is made of: the only thing that nodes have to agree on."""

from __future__ import annotations

from dataclasses import dataclass

from allium.appchain.certificates import Certificate
from allium.appchain.events import Event
from allium.appchain.types import AtomicSesh, Hash, Height, L2Height, PublicKey, Seconds

#: How many events and how many certificates one input may have.
MAX_EVENTS = 4096
MAX_CERTIFICATES = 256
#: A rate beyond this is no rate: it could not be paid in 64 bits of milli-atomic units.
MAX_RATE = AtomicSesh(2**54)


@dataclass(frozen=True)
class Observation:
    """What the EVM chain holds final, as one node sees it."""

    l2_height: L2Height
    #: Of the block at `l2_height`.
    l2_hash: Hash
    #: `rewardRate()` of the pool there, per 120 s.
    reward_rate: AtomicSesh
    #: All of the rewards contract since the height that was asked about, up to `l2_height`, in their order.
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Input:
    """One height."""

    height: Height
    #: When it was proposed; never less than the one before.
    time: Seconds
    observation: Observation
    #: About one node each, by height and worker.
    certificates: tuple[Certificate, ...]
    #: Nodes that are proven to have voted twice in the agreement, by key.
    offenders: tuple[PublicKey, ...] = ()
