"""Which chain to follow, and who orders its inputs: a JSON file that all nodes of a network share.

{"network": "devnet",            the rules to begin with: mainnet's or a devnet's
 "l2_chain_id": 31337,           of the EVM chain
 "rewards_contract": "0x…",
 "reward_pool": "0x…",            whose rate is paid; needed by those who look at the EVM chain themselves
 "l2_start": 0,                  events count from the block after it
 "rules": {"payable_after": 4},  rules that are others, by their names in `Parameters`
 and for `solo`
 "sequencer": "…",               Ed25519 key of the node that orders, 64 hex digits
 "feeds": ["http://…"]}          where its blocks are to be had
 or for CometBFT
 "cometbft": {"time": 0,         when it began, in Unix time
              "committee": ["…"]}  keys of the nodes that vote at first
 which a restart (docs/consensus.md) replaces by one with the "height" and "root" to go on from, and an "attempt".
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from allium.appchain.parameters import MAINNET, Parameters, devnet
from allium.appchain.types import Address, L2Height, PublicKey
from allium.base import fields
from allium.base.fields import RefusedError
from allium.errors import ConsensusError

#: Rules that have a place of their own in the file.
_APART = {"name", "l2_chain_id", "rewards_contract", "l2_start"}
_ADDRESS = "^0x[0-9a-fA-F]{40}$"
_KEY = "^[0-9a-fA-F]{64}$"
_RULES = {field.name for field in dataclasses.fields(Parameters)} - _APART


@dataclass(frozen=True)
class Beginning:
    """From where CometBFT orders the inputs: the beginning of the network, or where it had come to a halt."""

    #: Unix time.
    time: int
    #: Keys of the nodes that vote at first, 64 hex digits each.
    committee: Sequence[str]
    height: int = 0
    #: 64 hex digits.
    root: str | None = None
    attempt: int = 0

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """The committee, by key."""
        return tuple(sorted(PublicKey(bytes.fromhex(key)) for key in self.committee))


@dataclass(frozen=True)
class ChainFile:
    """The file, checked."""

    network: str
    l2_chain_id: int
    rewards_contract: str
    reward_pool: str | None = None
    l2_start: int = 0
    rules: Mapping[str, int] = dataclasses.field(default_factory=dict)
    sequencer: str | None = None
    feeds: Sequence[str] = ()
    cometbft: Beginning | None = None

    @classmethod
    def read(cls, path: Path) -> ChainFile:
        """The file at `path`; raises `ConsensusError` that names what is wrong with it."""
        try:
            return _chain_file(json.loads(path.read_bytes()))
        except OSError as error:
            raise ConsensusError(f"{path} cannot be read: {error.strerror}; set chain_file to the right file") from None
        except RefusedError as error:
            first = error.refusals[0]
            place = ".".join(map(str, first.place)) or "the file"
            raise ConsensusError(f"{path}: {place}: {first.reason}") from None
        except RecursionError:
            raise ConsensusError(f"{path} is nested too deeply to be a chain file") from None
        except ValueError as error:  # not JSON, or not UTF-8
            raise ConsensusError(f"{path}: the file: Invalid JSON: {error}") from None

    @property
    def parameters(self) -> Parameters:
        """The rules of the chain."""
        contract, start = Address(bytes.fromhex(self.rewards_contract[2:])), L2Height(self.l2_start)
        rules = devnet(self.l2_chain_id, contract, start)
        if self.network == "mainnet":
            rules = replace(MAINNET, l2_chain_id=self.l2_chain_id, rewards_contract=contract, l2_start=start)
        return replace(rules, **self.rules)  # type: ignore[arg-type] # integers all, by `_rules`

    @property
    def sequencer_key(self) -> PublicKey:
        """Who orders; raises `ConsensusError` when that is not one node."""
        if self.sequencer is None:
            raise ConsensusError("a committee orders this chain, not one node")
        return PublicKey(bytes.fromhex(self.sequencer))


_COUNT = fields.whole(0)
_BEGINNING = fields.record(
    {"time": _COUNT, "committee": fields.each(fields.text(_KEY), 1)},
    {"height": _COUNT, "root": fields.nullable(fields.text(_KEY)), "attempt": fields.whole(0, 9999)},
)


def _beginning(value: Any) -> Beginning:
    beginning = Beginning(**_BEGINNING(value))
    if (beginning.height > 0) != (beginning.root is not None):
        raise fields.refused(value, "a height to go on from and its root belong together")
    if len(set(beginning.keys)) != len(beginning.committee):
        raise fields.refused(value, "somebody is in the committee twice")
    return beginning


def _rules(value: Any) -> dict[str, int]:
    rules = fields.mapping(_COUNT)(value)
    if unknown := rules.keys() - _RULES:
        raise fields.refused(value, f"there is no rule {min(unknown)!r}; the rules are {', '.join(sorted(_RULES))}")
    if not rules.get("block_seconds", 1):
        raise fields.refused(value, "block_seconds must be 1 or more")
    return rules


_CHAIN_FILE = fields.record(
    {
        "network": fields.choice("mainnet", "devnet"),
        "l2_chain_id": _COUNT,
        "rewards_contract": fields.text(_ADDRESS),
    },
    {
        "reward_pool": fields.nullable(fields.text(_ADDRESS)),
        "l2_start": _COUNT,
        "rules": _rules,
        "sequencer": fields.nullable(fields.text(_KEY)),
        "feeds": fields.each(fields.text("^https?://")),
        "cometbft": fields.nullable(_beginning),
    },
)


def _chain_file(value: Any) -> ChainFile:
    chain = ChainFile(**_CHAIN_FILE(value))
    if (chain.sequencer is None) == (chain.cometbft is None) or (chain.sequencer is None) == bool(chain.feeds):
        raise fields.refused(value, "either sequencer and feeds say who orders, or cometbft does")
    return chain
