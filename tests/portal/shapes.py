"""Every answer of a portal, member by member, as the official front end's schema wants it (`spec/portal` §4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AtLeast:
    """An object that may carry more (`spec/portal` §4, stake object)."""

    members: dict[str, Any]


@dataclass(frozen=True)
class Each:
    """An object whose names are data."""

    value: Any


class _Amount:
    """A number, or the digits of one that JavaScript could not hold."""


AMOUNT = _Amount()
NULL = type(None)
HEX = str

NETWORK = {
    "nettype": str,
    "version": str,
    "hard_fork": int,
    "block_height": int,
    "block_hash": HEX,
    "block_timestamp": int,
    "immutable_block_height": int,
    "immutable_block_hash": HEX,
    "pulse_target_timestamp": int,
    "node_count": int,
    "active_node_count": int,
    "max_stakers": int,
    "staking_requirement": AMOUNT,
    "min_operator_contribution": AMOUNT,
    "median_operator_fee": int,
    "total_staked": AMOUNT,
    "l2_height": int,
    "l2_height_timestamp": int,
}
EVENT = {"name": str, "block": int, "log_index": int, "tx": HEX, "main_arg": (str, NULL), "args": dict}
STAKE = AtLeast(
    {
        "active": bool,
        "contract_id": int,
        "contributors": [{"address": str, "beneficiary": str, "amount": AMOUNT}],
        "deregistration_height": (int, NULL),
        "earned_downtime_blocks": int,
        "events": [EVENT],
        "exit_type": (str, NULL),
        "last_reward_block_height": int,
        "last_uptime_proof": int,
        "liquidation_height": (int, NULL),
        "operator_address": str,
        "operator_fee": int,
        "pubkey_bls": HEX,
        "pubkey_ed25519": HEX,
        "registration_height": int,
        "requested_unlock_height": int,
        "service_node_pubkey": HEX,
        "staking_requirement": AMOUNT,
        "total_contributed": AMOUNT,
    }
)
CONTRACT = {
    "address": str,
    "service_node_pubkey": HEX,
    "pubkey_bls": (HEX, NULL),
    "operator_address": str,
    "fee": (int, NULL),
    "manual_finalize": bool,
    "status": int,
    "contributors": [{"address": str, "beneficiary_address": (str, NULL), "amount": AMOUNT, "reserved": AMOUNT}],
    "events": [EVENT],
}
VESTING = {
    "address": str,
    "beneficiary": str,
    "initial_beneficiary": str,
    "initial_amount": AMOUNT,
    "revoker": str,
    "time_start": int,
    "time_end": int,
    "transferable_beneficiary": bool,
}
KEYS = Each(int)
SIGNED = {"msg_to_sign": HEX, "signature": HEX, "aggregate_pubkey": HEX, "non_signer_indices": [int]}
LEAVE = {"bls_pubkey": HEX, "timestamp": int, **SIGNED}
REWARDS = dict.fromkeys(
    (
        "amount",
        "lifetime_rewards",
        "lifetime_locked_stakes",
        "lifetime_unlocked_stakes",
        "lifetime_liquidated_stakes",
        "locked_stakes",
        "timelocked_stakes",
        "claimed_stakes",
        "claimed_rewards",
    ),
    AMOUNT,
)
LEAVING = {
    "service_node_pubkey": HEX,
    "type": str,
    "height": int,
    "liquidation_height": int,
    "version": int,
    "info": {"bls_public_key": HEX},
}
REGISTRATION = {
    "operator": str,
    "pubkey_ed25519": HEX,
    "pubkey_bls": HEX,
    "sig_ed25519": HEX,
    "sig_bls": HEX,
    "timestamp": int,
    "contract": (str, NULL),
}
#: What an answer has beside `network` and `t`, by method and path.
ANSWERS: dict[str, dict[str, Any]] = {
    "GET /info": {},
    "GET /network": {},
    "GET /nodes": {"nodes": [STAKE]},
    "GET /nodes/bls": {"bls_keys": KEYS},
    "GET /stakes/{address}": {"stakes": [STAKE], "contracts": [CONTRACT], "vesting": [VESTING], "added_bls_keys": KEYS},
    "GET /stakes/{pubkey}": {"stakes": [STAKE]},
    "GET /contract/contribution": {"contracts": [CONTRACT], "added_bls_keys": KEYS},
    "GET /contract/contribution/{pubkey}": {"contract": (dict, NULL)},
    "GET /contract/contribution/{address}": {"contracts": [CONTRACT]},
    "GET /contract/names": {"names": [str]},
    "GET /contract/abis": {"abis": Each([dict])},
    "GET /contract/abi/{name}": {"contract": dict},
    "GET /contract/addresses": {"addresses": dict},
    "GET /contract/addresses/core": {"addresses": Each(str)},
    "GET /contract/address/{name}": {"address": str},
    "GET /events/{count}/{skip}": {"events": [EVENT], "pagination": {"limit": int, "skip": int, "total": int}},
    "GET /stake-events/{number}": {"events": [EVENT]},
    "GET /arbitrum-info": {
        "info": {
            "block": int,
            "timestamp": int,
            "balance_reward_rate_pool": AMOUNT,
            "balance_service_node_rewards": AMOUNT,
        }
    },
    "GET /rewards/{address}": {"rewards": REWARDS},
    "POST /rewards/{address}": {"rewards": {"amount": AMOUNT, "height": int, **SIGNED}},
    "GET /daily-rewards/{address}": {"rewards": [{"block": int, "lifetime_rewards": AMOUNT, "timestamp": int}]},
    "GET /exit/{pubkey}": {"result": LEAVE},
    "GET /liquidation/{pubkey}": {"result": LEAVE},
    "GET /exit_liquidation_list": {"result": [LEAVING]},
    "GET /registrations/{address}": {"registrations": [REGISTRATION]},
    "GET /registrations/{pubkey}": {"registrations": [REGISTRATION]},
    "POST /store/{pubkey}": {"success": bool, "registration": REGISTRATION},
    "GET /token": {
        "token": {"staking_requirement": AMOUNT, "staking_reward_pool": AMOUNT, "contract_address": str},
        "t": int,
    },
    "GET /leaders": {
        "leaders": [{"rank": int, "address": str, "lifetime_rewards": AMOUNT, "staked": AMOUNT, "nodes": int}]
    },
    "GET /faucet-info": {"faucet": {"tokens": AMOUNT, "wei": AMOUNT, "seconds": int, "coded": bool}},
    "POST /faucet": {"granted": {"address": str, "tokens": AMOUNT, "wei": AMOUNT, "transactions": [str]}},
    "GET /price": {"usd": (int, float), "usd_market_cap": (int, float), "t_price": int, "t_stale": int},
}
ANSWERS["GET /price/{name}"] = ANSWERS["GET /price"]
#: Those without `network` and `t`.
BARE = ("POST /store/{pubkey}", "POST /faucet", "GET /token", "GET /price", "GET /price/{name}")


def exact(told: Any, what: str) -> None:
    """An answer has all members of its shape, of their types, and no others."""
    shape = ANSWERS[what]
    _exact(told, shape if what in BARE else {"network": NETWORK, "t": int, **shape}, what)


def _exact(told: Any, shape: Any, where: str) -> None:
    match shape:
        case AtLeast(members):
            _exact({name: told[name] for name in members}, members, where)
        case Each(value):
            assert isinstance(told, dict), where
            for name, each in told.items():
                _exact(each, value, f"{where} {name}")
        case dict():
            assert isinstance(told, dict) and set(told) == set(shape), (where, set(told) ^ set(shape))
            for name, each in shape.items():
                _exact(told[name], each, f"{where} {name}")
        case [each]:
            assert isinstance(told, list), where
            for place, one in enumerate(told):
                _exact(one, each, f"{where} {place}")
        case _Amount():
            small = type(told) is int and 0 <= told < 2**53
            large = isinstance(told, str) and told.isdigit() and int(told) >= 2**53
            assert small or large, (where, told)
        case _:
            kinds = shape if isinstance(shape, tuple) else (shape,)
            assert type(told) in kinds, (where, told)
