"""How the committee agrees up to where it sees the EVM chain: what a vote says of it, and what many amount to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from allium.appchain.encoding import EncodingError, decode, encode
from allium.appchain.input import MAX_RATE, Observation
from allium.appchain.rates import RATE_SECONDS
from allium.appchain.state import State
from allium.appchain.types import AtomicSesh, Hash, L2Height

_MAX_BYTES = 128


@dataclass(frozen=True)
class ObservationDigest:
    """What one member sees final of the EVM chain: an `Observation` with its events as a digest."""

    l2_height: L2Height
    l2_hash: Hash
    reward_rate: AtomicSesh
    events: Hash


@dataclass(frozen=True)
class ObservationVote:
    """One member's part in the last height."""

    power: int
    #: `None` when it did not vote, or sees nothing.
    seen: ObservationDigest | None


def of(observation: Observation) -> ObservationDigest:
    """What a vote says of `observation`."""
    digest = blake2b(encode(observation.events), digest_size=32, person=b"allium.events").digest()
    return ObservationDigest(observation.l2_height, observation.l2_hash, observation.reward_rate, Hash(digest))


def parse(extension: bytes) -> ObservationDigest | None:
    """What a vote's extension says, `None` when it is empty; raises `EncodingError`."""
    if not extension:
        return None
    if len(extension) > _MAX_BYTES:
        raise EncodingError("a sighting is shorter")
    read = decode(ObservationDigest, extension)
    if read.reward_rate > MAX_RATE:
        raise EncodingError(f"a reward rate of {read.reward_rate} is none")
    return read


def highest(votes: Iterable[ObservationVote]) -> L2Height | None:
    """The highest height that members with more than two thirds of the votes see final."""
    votes = list(votes)
    total, so_far = sum(vote.power for vote in votes), 0
    seeing = [(vote.seen.l2_height, vote.power) for vote in votes if vote.seen is not None]
    for height, power in sorted(seeing, reverse=True):
        so_far += power
        if 3 * so_far > 2 * total:
            return height
    return None


def is_supported(votes: Iterable[ObservationVote], observation: Observation) -> bool:
    """Whether so many members say the same of this very height, or see further."""
    votes, mine = list(votes), of(observation)
    power = sum(
        vote.power
        for vote in votes
        if vote.seen is not None and (vote.seen == mine or vote.seen.l2_height > mine.l2_height)
    )
    return 3 * power > 2 * sum(vote.power for vote in votes)


def nothing_new(state: State) -> Observation:
    """What is put in when the committee sees no further than before: the rate stays."""
    rate = state.rates[-1] if state.rates else state.parameters.initial_reward
    sample = -(-rate * RATE_SECONDS // state.parameters.block_seconds)
    return Observation(state.l2_height, state.l2_hash, AtomicSesh(sample), ())
