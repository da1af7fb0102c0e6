"""The live network's daemon's answers as a state of ours, so that the portal tells of either network alike.

What it cannot have is left empty: nobody computes the next state of this one. An entry that makes no sense is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from allium.appchain.events import Contributor
from allium.appchain.ledger.ledger import Ledger
from allium.appchain.nodes import NO_SWARM, Departed, Leaving, Node, Refusal, StakeReturn
from allium.appchain.parameters import MAINNET, Parameters
from allium.appchain.state import State, genesis
from allium.appchain.table import Table
from allium.appchain.types import (
    MILLI,
    NO_HEIGHT,
    Address,
    AtomicSesh,
    BasisPoints,
    Blocks,
    BlsKey,
    ContractId,
    Hash,
    Height,
    Index,
    L2Height,
    PublicKey,
    Seconds,
    SwarmId,
)
from allium.portal.oxend_rpc import OxendError
from allium.staking.addresses import Addresses

_HEX = re.compile("(?:0x)?((?:[0-9a-fA-F]{2})*)")
_MOST = 2**63 - 1
_NOBODY = Address(bytes(20))
#: The daemon tells fees in millionths of what a node earns; a basis point is a hundred of them.
_MILLIONTHS = 100


@dataclass(frozen=True)
class Answers:
    """What the daemon said of one block."""

    #: `get_service_nodes`, `bls_exit_liquidation_list`, `get_accrued_rewards`, `get_info`.
    nodes: Any
    leaving: Any
    rewards: Any
    info: Any
    #: When the block was made, Unix time.
    time: int


@dataclass(frozen=True, eq=False)
class OxendState(State):
    """A state that was told, not computed."""

    block_hash: Hash = field(default=Hash(bytes(32)))
    #: Members of `network` that only the daemon knows.
    network: Mapping[str, Any] = field(default_factory=dict)
    #: When nodes proved last that they work, Unix time.
    proofs: Mapping[PublicKey, int] = field(default_factory=dict)

    @cached_property
    def root(self) -> Hash:
        """The block's hash."""
        return self.block_hash


def parameters(addresses: Addresses, network: str) -> Parameters:
    """The rules of the live network, by the name that the daemon has for it."""
    contract = Address(bytes.fromhex(addresses.rewards[2:]))
    return replace(MAINNET, name=network, l2_chain_id=addresses.chain_id, rewards_contract=contract)


def read(answers: Answers, addresses: Addresses, ids: Mapping[str, int], l2_height: int) -> OxendState:
    """The state; `ids`: the contract's numbers by BLS key (128 hex digits), `l2_height`: up to where they are.

    Raises `OxendError` when it is no list of nodes.
    """
    listed, info = answers.nodes, _object(answers.info)
    if not isinstance(listed, dict) or not isinstance(entries := listed.get("service_node_states"), list):
        raise OxendError("its list of nodes is none")
    height = Height(_number(listed.get("height"), 0))
    rules = parameters(addresses, _text(info.get("nettype"), "mainnet"))
    read_nodes = [node for entry in entries if (node := _node(entry, height, rules, ids)) is not None]
    nodes = {node.pubkey: node for node, _ in read_nodes}
    gone = list(_departed(answers.leaving, ids))
    accounts, returns = _accounts(answers.rewards)
    hash_ = Hash(_bytes(listed.get("block_hash"), 32) or bytes(32))
    empty = genesis(rules)
    told = {
        name: value
        for name, value in {
            "version": _text(info.get("version"), None),
            "hard_fork": _number(listed.get("hardfork", info.get("hard_fork")), None),
            "immutable_block_height": _number(info.get("immutable_height"), None),
            "immutable_block_hash": _text(info.get("immutable_block_hash"), None),
            "pulse_target_timestamp": _number(info.get("pulse_target_timestamp"), None),
        }.items()
        if value is not None
    }
    return OxendState(
        **{name: getattr(empty, name) for name in ("parameters", "l2_hash", "rates", "quorums", "agenda")},
        height=height,
        time=Seconds(answers.time),
        l2_height=L2Height(_number(info.get("l2_height"), l2_height)),
        requirement=AtomicSesh(_number(info.get("staking_requirement"), int(rules.staking_requirement))),
        nodes=Table(nodes),
        departed=Table(dict(gone)),
        returns=returns,
        ledger=Ledger.restored(rules.history, height, accounts, {}),
        block_hash=hash_,
        network=told,
        proofs={node.pubkey: proof for node, proof in read_nodes if proof},
    )


def _node(entry: Any, height: Height, rules: Parameters, ids: Mapping[str, int]) -> tuple[Node, int] | None:
    """A node, and its last proof."""
    if not isinstance(entry, dict) or entry.get("funded") is False:
        return None
    key = _bytes(entry.get("pubkey_ed25519"), 32) or _bytes(entry.get("service_node_pubkey"), 32)
    if key is None:
        return None
    contributors = _contributors(entry.get("contributors"))
    operator = _bytes(entry.get("operator_address"), 20)
    if contributors is None or not (contributors or operator):
        return None
    active = entry.get("active") is not False
    payable = active and entry.get("payable") is not False
    since = Height(height - (rules.payable_after if payable else 0))
    bls = _bytes(entry.get("pubkey_bls"), 64) or b""
    # As `Node.credit` has it, the daemon's number comes out.
    earned = (height - since) * rules.credit_per_day // rules.day
    node = Node(
        pubkey=PublicKey(key),
        bls_key=BlsKey(bls),
        contract_id=ContractId(ids.get(bls.hex(), 0)),
        contributors=contributors or (Contributor(Address(operator or bytes(20)), _NOBODY, AtomicSesh(0)),),
        fee=BasisPoints(min(10_000, _number(entry.get("operator_fee"), 0) // _MILLIONTHS)),
        registration_height=Height(_number(entry.get("registration_height"), 0)),
        active_since=since,
        recommission_credit=Blocks(_number(entry.get("earned_downtime_blocks"), 0) - earned),
        unlock_height=Height(_number(entry.get("requested_unlock_height"), 0)),
        decommissioned=not active,
        last_decommission_height=NO_HEIGHT if active else height,
        decommission_count=_number(entry.get("decommission_count"), 0),
        swarm=_swarm(entry),
    )
    return node, _number(entry.get("last_uptime_proof"), 0)


def _swarm(entry: Mapping[str, Any]) -> SwarmId:
    """As hex where it is, as it does not fit everywhere as a number."""
    told = entry.get("swarm")
    if isinstance(told, str) and re.fullmatch("[0-9a-fA-F]{1,16}", told):
        return SwarmId(int(told, 16))
    number = entry.get("swarm_id")
    return SwarmId(number) if type(number) is int and 0 <= number < 2**64 else NO_SWARM


def _departed(listed: Any, ids: Mapping[str, int]) -> Iterator[tuple[ContractId, Departed]]:
    for place, entry in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(entry, dict):
            continue
        key, info = _bytes(entry.get("service_node_pubkey"), 32), _object(entry.get("info"))
        bls = _bytes(info.get("bls_public_key"), 64)
        if key is None or bls is None:
            continue
        number = ids.get(bls.hex(), 0)
        gone = Departed(
            contract_id=ContractId(number),
            pubkey=PublicKey(key),
            bls_key=BlsKey(bls),
            contributors=_contributors(info.get("contributors")) or (),
            leaving=Leaving.DEREGISTERED if entry.get("type") == "deregister" else Leaving.EXPIRED,
            refusal=Refusal.NONE,
            removal_height=Height(_number(entry.get("height"), 0)),
            liquidation_height=Height(_number(entry.get("liquidation_height"), _MOST)),
        )
        # Of several that the contract is not known to hold yet each has a place.
        yield ContractId(number or -1 - place), gone


def _contributors(listed: Any) -> tuple[Contributor, ...] | None:
    """`None` when any of them makes no sense: a part of who staked would be wrong."""
    found = []
    for entry in listed if isinstance(listed, list) else ():
        told = _object(entry)
        address, amount = _bytes(told.get("address"), 20), _number(told.get("amount"), None)
        if address is None or amount is None:
            return None
        beneficiary = _bytes(told.get("beneficiary"), 20)
        found.append(Contributor(Address(address), Address(beneficiary or address), AtomicSesh(amount)))
    return tuple(found)


def _accounts(told: Any) -> tuple[bytes, Table[tuple[Height, ContractId, Index], StakeReturn]]:
    """Records for a ledger, and stakes that left a node and are not claimable; both forms of the answer are read."""
    told = _object(told)
    listed = told.get("balances")
    if not isinstance(listed, list):
        addresses, amounts = told.get("addresses"), told.get("amounts")
        both = isinstance(addresses, list) and isinstance(amounts, list)
        pairs = zip(addresses or (), amounts or (), strict=False) if both else ()
        listed = [{"address": address, "amount": amount} for address, amount in pairs]
    balances: dict[bytes, int] = {}
    returns = {}
    for place, entry in enumerate(map(_object, listed)):
        address, amount = _bytes(entry.get("address"), 20), _number(entry.get("amount"), None)
        if address is None or amount is None:
            continue
        balances[address] = amount
        if locked := _number(entry.get("timelocked_stakes"), 0):
            due = Height(_MOST)
            back = StakeReturn(due, ContractId(0), Index(place), Address(address), AtomicSesh(locked))
            returns[back.key] = back
    records = [address + (balances[address] * MILLI).to_bytes(16, "big") for address in sorted(balances)]
    return b"".join(records), Table(returns)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any, otherwise: Any) -> Any:
    return value[:100] if isinstance(value, str) else otherwise


def _number(value: Any, otherwise: Any) -> Any:
    """A whole number from 0 to 2^63 - 1, which may be text."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,19}", value):
        value = int(value)
    return value if type(value) is int and 0 <= value <= _MOST else otherwise


def _bytes(value: Any, size: int) -> bytes | None:
    found = _HEX.fullmatch(value) if isinstance(value, str) and len(value) <= 2 * size + 2 else None
    raw = bytes.fromhex(found[1]) if found else b""
    return raw if len(raw) == size else None
