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

from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError, field_validator, model_validator

from allium.appchain.parameters import MAINNET, Parameters, devnet
from allium.appchain.types import Address, L2Height, PublicKey
from allium.errors import ConsensusError

#: Rules that have a place of their own in the file.
_APART = {"name", "l2_chain_id", "rewards_contract", "l2_start"}
_ADDRESS = "^0x[0-9a-fA-F]{40}$"
_KEY = "^[0-9a-fA-F]{64}$"
_RULES = {field.name for field in fields(Parameters)} - _APART


class Beginning(BaseModel):
    """From where CometBFT orders the inputs: the beginning of the network, or where it had come to a halt."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time: NonNegativeInt
    committee: Annotated[list[Annotated[str, Field(pattern=_KEY)]], Field(min_length=1)]
    height: NonNegativeInt = 0
    root: Annotated[str, Field(pattern=_KEY)] | None = None
    attempt: Annotated[int, Field(ge=0, le=9999)] = 0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.height > 0) != (self.root is not None):
            raise ValueError("a height to go on from and its root belong together")
        if len(set(self.keys)) != len(self.committee):
            raise ValueError("somebody is in the committee twice")
        return self

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """The committee, by key."""
        return tuple(sorted(PublicKey(bytes.fromhex(key)) for key in self.committee))


class ChainFile(BaseModel):
    """The file, checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: Literal["mainnet", "devnet"]
    l2_chain_id: NonNegativeInt
    rewards_contract: Annotated[str, Field(pattern=_ADDRESS)]
    reward_pool: Annotated[str, Field(pattern=_ADDRESS)] | None = None
    l2_start: NonNegativeInt = 0
    rules: dict[str, NonNegativeInt] = {}
    sequencer: Annotated[str, Field(pattern=_KEY)] | None = None
    feeds: list[Annotated[str, Field(pattern="^https?://")]] = []
    cometbft: Beginning | None = None

    @model_validator(mode="after")
    def _ordered_by_one(self) -> Self:
        if (self.sequencer is None) == (self.cometbft is None) or (self.sequencer is None) == bool(self.feeds):
            raise ValueError("either sequencer and feeds say who orders, or cometbft does")
        return self

    @field_validator("rules")
    @classmethod
    def _known(cls, rules: dict[str, Any]) -> dict[str, Any]:
        if unknown := rules.keys() - _RULES:
            raise ValueError(f"there is no rule {min(unknown)!r}; the rules are {', '.join(sorted(_RULES))}")
        if not rules.get("block_seconds", 1):
            raise ValueError("block_seconds must be 1 or more")
        return rules

    @classmethod
    def read(cls, path: Path) -> ChainFile:
        """The file at `path`; raises `ConsensusError` that names what is wrong with it."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ConsensusError(f"{path} cannot be read: {error.strerror}; set chain_file to the right file") from None
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the file"
            raise ConsensusError(f"{path}: {place}: {first['msg']}") from None

    @property
    def parameters(self) -> Parameters:
        """The rules of the chain."""
        contract, start = Address(bytes.fromhex(self.rewards_contract[2:])), L2Height(self.l2_start)
        rules = devnet(self.l2_chain_id, contract, start)
        if self.network == "mainnet":
            rules = replace(MAINNET, l2_chain_id=self.l2_chain_id, rewards_contract=contract, l2_start=start)
        return replace(rules, **self.rules)  # type: ignore[arg-type] # integers all, by `_known`

    @property
    def sequencer_key(self) -> PublicKey:
        """Who orders; raises `ConsensusError` when that is not one node."""
        if self.sequencer is None:
            raise ConsensusError("a committee orders this chain, not one node")
        return PublicKey(bytes.fromhex(self.sequencer))
