"""What a running node knows of the chain that it takes part in, and of its own stake, at one moment."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from allium.appchain import rates
from allium.appchain.claims import claimable
from allium.appchain.ledger.shares import split
from allium.appchain.nodes import Leaving, Node
from allium.appchain.state import State
from allium.appchain.types import MILLI, MilliAtomic, PublicKey
from allium.appchain.verdicts import Reason
from allium.liveness.clocks import Clocks
from allium.settings.config import NodeConfig

if TYPE_CHECKING:
    from allium.consensus import Consensus
    from allium.consensus.cometbft.engine import CometBFT
    from allium.liveness.service import Liveness
    from allium.staking.provider_quorum import ProviderQuorum

_COMETBFT_SECONDS = 2.0
_NO_REASON = Reason(0)


@dataclass(frozen=True)
class ProviderFacts:
    """A provider of the EVM chain, known by its place in `l2_rpc`."""

    number: int
    trouble: str | None
    #: `None` while it has not said.
    final: int | None


@dataclass(frozen=True)
class StakeFacts:
    """What the chain has of this node. Amounts are atomic SESH, durations blocks."""

    registered: bool
    decommissioned: bool = False
    #: Why, as some of those said who voted it down.
    reasons: Reason = _NO_REASON
    #: Why the contract still holds a node that is not registered.
    left: str | None = None
    staked: int = 0
    requirement: int = 0
    credit: int = 0
    #: All that the operator ever earned, claimed or not; other nodes of the same operator included.
    earned: int = 0
    unlock_height: int = 0
    is_payable: bool = False
    #: With less credit a node that fails is deregistered at once, and not decommissioned first.
    min_credit: int = 0
    #: The operator's fee, basis points, and what the operator gets of a height's reward, milli-atomic units, as it is
    #: split now among the nodes that earn and, if this one does not yet, this one too.
    fee: int = 0
    income: int = 0

    @classmethod
    def of(cls, state: State, own: PublicKey) -> StakeFacts:
        """What the state says."""
        node = state.nodes.get(own)
        if node is None:
            gone = next((gone for gone in state.departed.values() if gone.pubkey == own), None)
            if gone is None:
                return cls(registered=False)
            left = gone.refusal.text if gone.leaving is Leaving.REFUSED else gone.leaving.name.lower()
            return cls(registered=False, left=left)
        return cls(
            registered=True,
            decommissioned=node.decommissioned,
            reasons=Reason(node.reasons_any) if node.decommissioned else _NO_REASON,
            staked=node.requirement,
            requirement=state.requirement,
            credit=node.credit(state.height, state.parameters),
            earned=claimable(state, node.operator),
            unlock_height=node.unlock_height,
            is_payable=node.is_payable(state.height, state.parameters),
            min_credit=state.parameters.min_credit,
            fee=node.fee,
            income=_income(state, node),
        )


def _income(state: State, node: Node) -> int:
    earning = sum(each.is_payable(state.height, state.parameters) for each in state.nodes.values())
    if not node.is_payable(state.height, state.parameters):
        earning += 1
    reward = rates.paid(state.rates, state.parameters) * MILLI
    return split(MilliAtomic(reward // earning), node.payee)[0]


@dataclass(frozen=True)
class CommitteeFacts:
    """CometBFT, and who votes."""

    running: bool
    votes: bool
    members: int
    #: What its RPC says; `None` when it does not answer.
    height: int | None = None
    catching_up: bool | None = None
    peers: int | None = None


@dataclass(frozen=True)
class ChainFacts:
    """The replicated state as this node has it."""

    height: int
    #: Seconds since the time of the last height, and how far apart heights are meant to be.
    lag: float
    block_seconds: int
    l2_height: int
    members: int
    stake: StakeFacts
    #: When this node last proved to the others that it is there, in Unix time; 0 for never. And how long that holds.
    proven: float = 0.0
    proof_validity: float = 0.0
    providers: tuple[ProviderFacts, ...] = ()
    #: How many of them have to agree.
    quorum: int = 0
    committee: CommitteeFacts | None = None


class ChainPart(Protocol):
    """A node's part in the appchain, as its facts are gathered from it."""

    @property
    def consensus(self) -> Consensus:
        """The engine of agreement."""
        ...

    @property
    def liveness(self) -> Liveness:
        """What it knows of other nodes, and of itself."""
        ...

    @property
    def cometbft(self) -> CometBFT | None:
        """The engine of agreement, where many machines order the inputs."""
        ...

    @property
    def providers(self) -> ProviderQuorum | None:
        """Who is asked for the EVM chain; `None` when the node does not look there."""
        ...


async def gather(part: ChainPart, config: NodeConfig, now: float, own: PublicKey) -> ChainFacts:
    """What is so now, of the node with the key `own`; Unix time."""
    state = part.consensus.state
    providers, quorum = _provider_facts(part.providers)
    return ChainFacts(
        height=state.height,
        lag=max(0.0, now - state.time) if state.height else 0.0,
        block_seconds=state.parameters.block_seconds,
        l2_height=state.l2_height,
        members=len(state.nodes),
        stake=StakeFacts.of(state, own),
        proven=_proven(part.liveness, own),
        proof_validity=Clocks.of(config.uptime_seconds).limits.proof_validity,
        providers=providers,
        quorum=quorum,
        committee=await _committee(part.cometbft, config.cometbft_rpc),
    )


async def _committee(cometbft: CometBFT | None, rpc: str) -> CommitteeFacts | None:
    if cometbft is None:
        return None
    status = cometbft.status
    committee = CommitteeFacts(status.pid is not None, status.votes, status.committee)
    if status.pid is None:
        return committee
    told = await _ask_cometbft(f"http://{rpc}/")
    return committee if told is None else CommitteeFacts(True, status.votes, status.committee, *told)


def _proven(liveness: Liveness, own: PublicKey) -> float:
    last = liveness.records.last(own)
    return 0.0 if last is None else float(last.proof.uptime.time)


def _provider_facts(asked: ProviderQuorum | None) -> tuple[tuple[ProviderFacts, ...], int]:
    if asked is None:
        return (), 0
    told = (
        ProviderFacts(number, provider.trouble, provider.final if provider.final >= 0 else None)
        for number, provider in enumerate(asked.providers)
    )
    return tuple(told), asked.quorum


async def _ask_cometbft(url: str) -> tuple[int, bool, int] | None:
    """Its height, whether it catches up, and its peers; `None` without an answer that makes sense."""
    from allium.consensus.cometbft import rpc

    calls = (rpc.call(url, method, seconds=_COMETBFT_SECONDS) for method in ("status", "net_info"))
    try:
        status, network = await asyncio.gather(*calls)
        told: Any = status["sync_info"]
        return int(told["latest_block_height"]), bool(told["catching_up"]), int(network["n_peers"])
    except (rpc.RpcError, KeyError, ValueError, TypeError):
        return None
