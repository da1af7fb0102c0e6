"""An operator's own nodes on one screen: how each is, which are at risk, and what they bring after fee and gas.

Nodes are asked over the sockets in their data directories, and nothing else is: no port listens, and no address is
called that a stranger could name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from allium.appchain.types import MILLI
from allium.operate import admin
from allium.operate.finding import Finding, Level, failed, warning

_DAY, _DAYS = 86_400, 365
#: Part of a time limit after which somebody should look.
_HALF = 0.5
_WEI = 10**18


@dataclass(frozen=True)
class NodeReport:
    """One node. Amounts are atomic SESH."""

    directory: str
    #: `active`, `decommissioned`, `not registered`, `away`, `reading` before its first block, or `unknown` without a
    #: chain.
    state: str
    findings: tuple[Finding, ...]
    #: Seconds since it proved last that it works, and for how long that holds; `None` without a chain or a proof.
    proof_age: float | None = None
    proof_validity: float | None = None
    #: Seconds that it may be down.
    credit: int = 0
    #: Seconds since the transport that was tested least lately was tested; `None`: one never was.
    tested: float | None = None
    staked: int = 0
    #: Basis points.
    fee: int = 0
    #: What the operator gets in a day, before gas: the own part of the stake and the fee.
    daily: int = 0
    earned: int = 0

    @property
    def at_risk(self) -> bool:
        """Whether something needs looking after."""
        return bool(self.findings)


@dataclass(frozen=True)
class Costs:
    """What claiming costs. Each claim is for all nodes whose rewards go to one address."""

    claims_a_year: int
    #: Units of gas of a claim; wei for one of them.
    gas: int
    gas_price: int
    #: What an ETH is worth, atomic SESH; `None`: not said.
    sesh_per_eth: int | None

    @property
    def wei_a_year(self) -> int:
        """What all claims of a year cost."""
        return self.claims_a_year * self.gas * self.gas_price

    @property
    def sesh_a_year(self) -> int | None:
        """The same, atomic SESH."""
        return None if self.sesh_per_eth is None else self.wei_a_year * self.sesh_per_eth // _WEI


@dataclass(frozen=True)
class Dashboard:
    """All of them."""

    nodes: tuple[NodeReport, ...]
    costs: Costs | None

    @property
    def well(self) -> bool:
        """Whether nothing needs looking after."""
        return not any(node.at_risk for node in self.nodes)

    @property
    def daily(self) -> int:
        """What all bring in a day, before gas; atomic SESH."""
        return sum(node.daily for node in self.nodes)

    @property
    def yearly(self) -> int:
        """What all bring in a year, before gas."""
        return self.daily * _DAYS

    @property
    def net(self) -> int | None:
        """What they bring in a year after gas; `None` where nobody said what that costs in SESH."""
        cost = None if self.costs is None else self.costs.sesh_a_year
        return None if cost is None else self.yearly - cost

    def document(self) -> dict[str, Any]:
        """For machines."""
        costs = None if self.costs is None else asdict(self.costs) | {"wei_a_year": self.costs.wei_a_year}
        return {
            "well": self.well,
            "nodes": [asdict(node) | {"at_risk": node.at_risk} for node in self.nodes],
            "daily": self.daily,
            "yearly": self.yearly,
            "costs": costs,
            "net_a_year": self.net,
        }


def gather(directories: Sequence[Path], costs: Costs | None = None) -> Dashboard:
    """Asks each node; one that does not answer is one that needs looking after."""
    return Dashboard(tuple(map(_report, directories)), costs)


def _report(directory: Path) -> NodeReport:
    try:
        return judged(str(directory), admin.status(directory))
    except admin.NoNodeError as error:
        return NodeReport(str(directory), "away", (failed(str(error), "start it; nobody gets its rewards meanwhile"),))
    except (ValueError, KeyError, TypeError, AttributeError):
        finding = failed("what answers there says nothing that a node would", "name the data directory of a node")
        return NodeReport(str(directory), "away", (finding,))


def judged(directory: str, told: dict[str, Any]) -> NodeReport:
    """By what a node says of itself (`status`); raises `KeyError` and the like when that is no node's."""
    own = tuple(Finding(Level(each["level"]), each["what"], each["remedy"]) for each in told["problems"])
    tested = [told["now"] - seconds if seconds else None for seconds in told["pinged"].values()]
    oldest = None if not tested or None in tested else max(each for each in tested if each is not None)
    chain = told["chain"]
    if chain is None:
        return NodeReport(directory, "unknown", own, tested=oldest)
    stake = chain["stake"]
    state = "not registered" if chain["height"] else "reading"
    if stake["registered"]:
        state = "decommissioned" if stake["decommissioned"] else "active"
    heights = _DAY // max(1, chain["block_seconds"])
    return NodeReport(
        directory,
        state,
        (*own, *(_risks(told, chain, oldest) if state == "active" else ())),
        proof_age=told["now"] - chain["proven"] if chain["proven"] else None,
        proof_validity=chain["proof_validity"],
        credit=max(0, stake["credit"]) * chain["block_seconds"],
        tested=oldest,
        staked=stake["staked"],
        fee=stake["fee"],
        daily=0 if state != "active" else stake["income"] * heights // MILLI,
        earned=stake["earned"],
    )


def _risks(told: dict[str, Any], chain: dict[str, Any], tested: float | None) -> Iterator[Finding]:
    """What leads to decommission if nobody looks, before the node itself has to say that it is wrong."""
    validity, age = chain["proof_validity"], told["now"] - max(chain["proven"], told["started"])
    if validity and _HALF * validity < age <= validity:
        yield warning(
            f"its last proof that it works is {age:.0f} s old; after {validity:.0f} s testers vote it down",
            "its log says what hinders it: its list of nodes, its clock, its way out",
        )
    silence = told["silence"]
    since = told["now"] - told["started"] if tested is None else tested
    if told["engine"]["nodes"] > 1 and _HALF * silence < since <= silence:
        yield warning(
            f"for {since:.0f} s nobody has tested it over every transport",
            "open its ports to the outside: https_port (TCP), omq_port (TCP and UDP)",
        )
    stake = chain["stake"]
    if stake["credit"] < stake["min_credit"]:
        yield warning(
            f"its credit is {max(0, stake['credit'])} heights: with fewer than {stake['min_credit']} a failure takes "
            "it out of the network at once",
            "let it run: credit grows with each day without a break; put updates off until then",
        )
