"""What the portal's answers are made of: each member and its type (`spec/portal` §4). OpenAPI follows from them.

Amounts are atomic units. A number that JavaScript could not hold exactly is a string of its digits.
"""

from __future__ import annotations

from typing import Any

import msgspec

#: The greatest whole number that every reader of JSON holds exactly.
_EXACT = 2**53 - 1

Amount = int | str


def amount(units: int) -> Amount:
    """A number as the documents have it."""
    return units if -_EXACT <= units <= _EXACT else str(units)


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """How the network is, as of which block."""

    nettype: str
    version: str
    hard_fork: int
    block_height: int
    block_hash: str
    block_timestamp: int
    immutable_block_height: int
    immutable_block_hash: str
    pulse_target_timestamp: int
    node_count: int
    active_node_count: int
    max_stakers: int
    staking_requirement: Amount
    min_operator_contribution: Amount
    median_operator_fee: int
    total_staked: Amount
    l2_height: int
    l2_height_timestamp: int


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What a contract said."""

    name: str
    block: int
    log_index: int
    tx: str
    main_arg: str | None
    args: dict[str, Any]


class Contributor(msgspec.Struct, frozen=True, kw_only=True):
    """Who owns a part of a node's stake."""

    address: str
    beneficiary: str
    amount: Amount


class Stake(msgspec.Struct, frozen=True, kw_only=True):
    """A node that somebody staked for. Heights are the network's; 0 and null: there is none."""

    active: bool
    contract_id: int
    contributors: list[Contributor]
    deregistration_height: int | None
    events: list[Event]
    exit_type: str | None
    liquidation_height: int | None
    operator_address: str
    operator_fee: int
    pubkey_bls: str
    pubkey_ed25519: str
    registration_height: int
    requested_unlock_height: int
    service_node_pubkey: str
    staking_requirement: Amount
    total_contributed: Amount
    decommission_count: int
    payable: bool
    is_removable: bool
    is_liquidatable: bool
    swarm_id: str
    earned_downtime_blocks: int
    last_reward_block_height: int
    last_uptime_proof: int


#: The last members of `Stake`, in their order: numbers that are others at each height.
MOVING = ("earned_downtime_blocks", "last_reward_block_height", "last_uptime_proof")


class PotContributor(msgspec.Struct, frozen=True, kw_only=True):
    """Who staked in a contract, or has a place in it."""

    address: str
    beneficiary_address: str | None
    amount: Amount
    reserved: Amount


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """A contract that collects the stake of one node."""

    address: str
    service_node_pubkey: str
    pubkey_bls: str | None
    operator_address: str
    fee: int | None
    manual_finalize: bool
    status: int
    contributors: list[PotContributor]
    events: list[Event]


class Vesting(msgspec.Struct, frozen=True, kw_only=True):
    """A contract that holds tokens until a day. Times are Unix seconds."""

    address: str
    beneficiary: str
    initial_beneficiary: str
    initial_amount: Amount
    revoker: str
    time_start: int
    time_end: int
    transferable_beneficiary: bool


class Rewards(msgspec.Struct, frozen=True, kw_only=True):
    """What an address has earned and staked; lifetime totals where the name says so."""

    amount: Amount
    lifetime_rewards: Amount
    lifetime_locked_stakes: Amount
    lifetime_unlocked_stakes: Amount
    lifetime_liquidated_stakes: Amount
    locked_stakes: Amount
    timelocked_stakes: Amount
    claimed_stakes: Amount
    claimed_rewards: Amount


class SignedRewards(msgspec.Struct, frozen=True, kw_only=True):
    """What the network has signed that an address may claim."""

    amount: Amount
    height: int
    msg_to_sign: str
    signature: str
    aggregate_pubkey: str
    non_signer_indices: list[int]


class SignedLeave(msgspec.Struct, frozen=True, kw_only=True):
    """What the network has signed about a node that may be taken out."""

    bls_pubkey: str
    timestamp: int
    msg_to_sign: str
    signature: str
    aggregate_pubkey: str
    non_signer_indices: list[int]


class DailyRewards(msgspec.Struct, frozen=True, kw_only=True):
    """What an address had earned at the first block of a day."""

    block: int
    lifetime_rewards: Amount
    timestamp: int


class LeavingInfo(msgspec.Struct, frozen=True, kw_only=True):
    """By what the contract knows a node."""

    bls_public_key: str


class Leaving(msgspec.Struct, frozen=True, kw_only=True):
    """A node that the contract holds and the network does not."""

    service_node_pubkey: str
    type: str
    height: int
    liquidation_height: int
    version: int
    info: LeavingInfo


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """What a node signed to be registered."""

    operator: str
    pubkey_ed25519: str
    pubkey_bls: str
    sig_ed25519: str
    sig_bls: str
    timestamp: int
    contract: str | None = None


class ArbitrumInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the contracts hold."""

    block: int
    timestamp: int
    balance_reward_rate_pool: Amount
    balance_service_node_rewards: Amount


class Leader(msgspec.Struct, frozen=True, kw_only=True):
    """Who has earned much on a test network."""

    rank: int
    address: str
    lifetime_rewards: Amount
    staked: Amount
    nodes: int


class FaucetTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What the faucet of a test network gives: atomic units and wei, to an address once in so many seconds."""

    tokens: Amount
    wei: Amount
    seconds: int
    coded: bool


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """What a faucet has paid, and the hashes of the transactions."""

    address: str
    tokens: Amount
    wei: Amount
    transactions: list[str]


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """The token, as lists of coins ask for it."""

    staking_requirement: Amount
    staking_reward_pool: Amount
    contract_address: str


class Pagination(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list it is."""

    limit: int
    skip: int
    total: int


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What a token costs, in dollars. Times are Unix seconds: of the price, and from when on it is an old one."""

    usd: float
    usd_market_cap: float
    t_price: int
    t_stale: int
