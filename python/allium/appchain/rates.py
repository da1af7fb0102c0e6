"""Which reward a block pays (`spec/economics` §3)."""

from __future__ import annotations

from allium.appchain.parameters import Parameters
from allium.appchain.types import AtomicSesh

#: The contract's `rewardRate()` is for this long.
RATE_SECONDS = 120


def limited(before: AtomicSesh, wanted: AtomicSesh, parameters: Parameters) -> AtomicSesh:
    """The rate that follows `before` when the pool's is `wanted`."""
    least = before - before // parameters.reward_fall if parameters.reward_fall else 0
    most = before + before // parameters.reward_rise if parameters.reward_rise else wanted
    return AtomicSesh(min(max(wanted, least), most))


def paid(rates: tuple[AtomicSesh, ...], parameters: Parameters) -> AtomicSesh:
    """The reward of the block after those whose rates are in `rates`, newest last."""
    window = rates[-parameters.reward_window :]
    return min(window) if len(window) == parameters.reward_window else parameters.initial_reward


def follow(rates: tuple[AtomicSesh, ...], sample: AtomicSesh, parameters: Parameters) -> tuple[AtomicSesh, ...]:
    """`rates` with the one that the pool's `sample` (per 120 s) leads to, and without those that no longer matter."""
    before = rates[-1] if rates else parameters.initial_reward
    wanted = AtomicSesh(sample * parameters.block_seconds // RATE_SECONDS)
    return (*rates, limited(before, wanted, parameters))[-parameters.reward_window :]
