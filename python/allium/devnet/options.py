"""What a devnet on an EVM chain is made with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DEFAULT_UPTIME = 30.0

ConsensusEngine = Literal["solo", "cometbft"]


@dataclass(frozen=True)
class ChainOptions:
    """On which EVM chain a network is to stand. Without anything: on one of its own, with contracts of its own."""

    #: File with the addresses of contracts that are there already, and where their chain is to be asked.
    contracts: Path | None = None
    rpc_url: str | None = None
    #: File with the key of an account there that pays for all; `None`: the environment has it, or anvil.
    key_file: Path | None = None
    #: How many blocks deep is final; `None`: as the chain says.
    depth: int | None = None
    #: Who orders the inputs: the first node, or a committee of all.
    consensus: ConsensusEngine = "solo"
    #: Seconds between two proofs of a node that it is there: after twice as long without, it is voted out.
    uptime: float = DEFAULT_UPTIME
