"""The EVM side: the staking contracts, what clients know of them, and new networks."""


class StakingError(RuntimeError):
    """What was to be done on the chain was not; the text says what to do about it."""
