"""What one network's rules are (`spec/appchain` §1). Part of the state, so a chain is known by them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b

from allium.appchain.encoding import encode
from allium.appchain.types import Address, AtomicSesh, Blocks, Hash, L2Height

#: What `SESH` is counted in.
SESH = 1_000_000_000
#: How fast the EVM chain goes on at most.
L2_BLOCKS_PER_SECOND = 4
#: Inputs of networks of many machines are no closer together.
_SLOW_SECONDS = 30


@dataclass(frozen=True)
class Parameters:
    """The rules of one network. Durations are in blocks of it, amounts in atomic SESH."""

    name: str
    l2_chain_id: int
    #: The rewards contract, whose events are the inputs.
    rewards_contract: Address
    #: The block of the EVM chain after which its events count.
    l2_start: L2Height
    #: How far apart inputs are meant to be, and for how long one pays.
    block_seconds: int

    #: Of the first registrations; events change it.
    staking_requirement: AtomicSesh
    max_contributors: int
    #: A node earns once it has been active for this long.
    payable_after: Blocks
    #: From a request to leave until the node has left.
    unlock_duration: Blocks
    #: How long the stake of a deregistered node stays locked, from its removal.
    deregistration_lock: Blocks
    #: From removal until anybody may liquidate.
    exit_buffer: Blocks
    #: How many nodes one input may take out.
    max_deactivations: int

    #: Blocks of credit per day of uptime, and the day.
    credit_per_day: Blocks
    day: Blocks
    initial_credit: Blocks
    max_credit: Blocks
    #: With less, a node that fails is deregistered and not decommissioned.
    min_credit: Blocks

    #: How many are drawn to test others, and at least how many they test.
    testers: int
    tested: int
    #: How old a vote may be.
    vote_lifetime: Blocks

    #: A block pays the least rate of this many before it; until there are as many, `initial_reward`.
    reward_window: int
    initial_reward: AtomicSesh
    #: The rate falls by at most 1/`fall` and rises by at most 1/`rise` per block; 0 does not limit it.
    reward_fall: int
    reward_rise: int

    #: For how many heights back balances can be told.
    history: Blocks

    @property
    def l2_stride(self) -> int:
        """At which heights of the EVM chain it is looked: multiples of this, so that a proposer has little choice.

        About one for each input. A chain on one machine makes a block at a time, and each is looked at.
        """
        return L2_BLOCKS_PER_SECOND * self.block_seconds if self.block_seconds >= _SLOW_SECONDS else 1

    @cached_property
    def chain(self) -> Hash:
        """Which chain it is: what is signed for one of other rules means nothing here."""
        return Hash(blake2b(encode(self), digest_size=32, person=b"allium.chain").digest())


MAINNET = Parameters(
    name="mainnet",
    l2_chain_id=42161,
    rewards_contract=Address(bytes.fromhex("C2B9fC251aC068763EbDfdecc792E3352E351c00")),
    l2_start=L2Height(0),
    block_seconds=120,
    staking_requirement=AtomicSesh(25_000 * SESH),
    max_contributors=10,
    payable_after=Blocks(720),
    unlock_duration=Blocks(10_800),
    deregistration_lock=Blocks(21_600),
    exit_buffer=Blocks(5_040),
    max_deactivations=10,
    credit_per_day=Blocks(24),
    day=Blocks(720),
    initial_credit=Blocks(60),
    max_credit=Blocks(1_440),
    min_credit=Blocks(60),
    testers=20,
    tested=50,
    vote_lifetime=Blocks(60),
    reward_window=15,
    initial_reward=AtomicSesh(22_983_257_229),
    reward_fall=25_000,
    reward_rise=50_000,
    history=Blocks(360),
)


def devnet(l2_chain_id: int, rewards_contract: Address, l2_start: L2Height, block_seconds: int = 1) -> Parameters:
    """The rules of a network on one machine: mainnet's, with clocks that a test can wait for.

    The rate is taken as the pool gives it, because a pool of a few SESH could never raise it within the limits.
    """
    return replace(
        MAINNET,
        name="devnet",
        l2_chain_id=l2_chain_id,
        rewards_contract=rewards_contract,
        l2_start=l2_start,
        block_seconds=block_seconds,
        payable_after=Blocks(4),
        unlock_duration=Blocks(10),
        deregistration_lock=Blocks(30),
        exit_buffer=Blocks(15),
        day=Blocks(24),
        initial_credit=Blocks(10),
        max_credit=Blocks(100),
        min_credit=Blocks(10),
        reward_window=1,
        initial_reward=AtomicSesh(0),
        reward_fall=0,
        reward_rise=0,
    )
