"""Which chain to follow: a JSON file that all nodes of a network share.

{"network": "devnet",            the rules to begin with: mainnet's or a devnet's
 "l2_chain_id": 31337,           of the EVM chain
 "rewards_contract": "0x…",
 "reward_pool": "0x…",            whose rate is paid; needed by those who look at the EVM chain themselves
 "l2_start": 0,                  events count from the block after it
 "rules": {"payable_after": 4},  rules that are others, by their names in `Parameters`
 "sequencer": "…",               Ed25519 key of the node that orders, 64 hex digits
 "feeds": ["http://…"]}          where its blocks are to be had
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError, field_validator

from allium.appchain.parameters import MAINNET, Parameters, devnet
from allium.appchain.types import Address, L2Height, PublicKey
from allium.consensus import ConsensusError

#: Rules that have a place of their own in the file.
_APART = {"name", "l2_chain_id", "rewards_contract", "l2_start"}
_ADDRESS = "^0x[0-9a-fA-F]{40}$"
_RULES = {field.name for field in fields(Parameters)} - _APART


class ChainFile(BaseModel):
    """The file, checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: Literal["mainnet", "devnet"]
    l2_chain_id: NonNegativeInt
    rewards_contract: Annotated[str, Field(pattern=_ADDRESS)]
    reward_pool: Annotated[str, Field(pattern=_ADDRESS)] | None = None
    l2_start: NonNegativeInt = 0
    rules: dict[str, NonNegativeInt] = {}
    sequencer: Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")]
    feeds: Annotated[list[Annotated[str, Field(pattern="^https?://")]], Field(min_length=1)]

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
        """Who orders."""
        return PublicKey(bytes.fromhex(self.sequencer))
