"""What one run measured. Equal for equal scenarios, to the last digit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from math import floor

from allium.appchain.certificates import Verdict
from allium.appchain.state import State
from allium.appchain.types import Height, PublicKey
from allium.devnet.simulation.costs import Purpose
from allium.devnet.simulation.moving import Moves
from allium.devnet.simulation.nodes import Life
from allium.devnet.simulation.scenario import MESSAGE_BYTES, MESSAGES_PER_NODE, Hostile, Scenario
from allium.liveness.clocks import HOUR

#: Verdicts that take a node out.
OUT = (Verdict.DECOMMISSION, Verdict.DEREGISTER)


@dataclass(frozen=True)
class Times:
    """A distribution of seconds; `None` when there was nothing to measure."""

    count: int
    median: float | None
    p99: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Times:
        """Nearest rank."""
        ordered = sorted(values)
        if not ordered:
            return cls(0, None, None)
        return cls(len(ordered), round(ordered[_rank(len(ordered), 50)], 3), round(ordered[_rank(len(ordered), 99)], 3))


def _rank(count: int, percent: int) -> int:
    return max(0, -(-count * percent // 100) - 1)


@dataclass(frozen=True)
class Sent:
    """By one node in one hour, on average."""

    messages: float
    bytes: float


@dataclass(frozen=True)
class Outcome:
    """One run."""

    scenario: Scenario
    heights: int
    #: Heights at which the committee could not agree.
    stalled: int
    #: One for each height if every proposer was there.
    rounds: int
    nodes_at_end: int
    swarms_at_end: int

    #: Nodes that stopped for good, and those of them that were voted out, for whatever reason their verdicts had.
    deaths: int
    found: int
    #: Verdicts against nodes that were up and passed every test, to who knows all.
    wrongful: int
    #: Dead nodes that were voted out, or had to be: tested after the rule's time, with the time for the votes over. And
    #: those of them that were not voted out by then.
    judged: int
    missed: int
    #: From death until the state knows it; and from the end of the rule's time.
    to_decommission: Times
    decommissioned: int
    deregistered: int
    recommissioned: int
    #: Hostile nodes that serve nobody, and those of them that were voted out.
    pretenders: int
    pretenders_found: int

    moved: int
    joined: int
    left: int
    formed: int
    dissolved: int
    #: Copies of messages that changes of swarms made necessary, and their bytes for each node and hour.
    copies: int
    copied_bytes: float

    #: From a proposal until two thirds of the committee know that it is agreed on.
    agreement: Times
    #: From a height until a certificate of its testers is with two thirds of the committee.
    certificate: Times
    #: The share of heights at which enough nodes are there to sign a claim.
    claimable: float

    #: By purpose.
    sent: dict[str, Sent]


@dataclass
class OutcomeTally:
    """What is counted while it runs. Times are seconds from the beginning."""

    heights: int = 0
    stalled: int = 0
    rounds: int = 0
    #: When active nodes stopped for good; at which height one was tested first when the rule's time was over; when and
    #: at which height it was voted out.
    died: dict[PublicKey, float] = field(default_factory=dict)
    due: dict[PublicKey, Height] = field(default_factory=dict)
    found: dict[PublicKey, tuple[float, Height]] = field(default_factory=dict)
    verdicts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    wrongful: int = 0
    pretenders_found: set[PublicKey] = field(default_factory=set)
    moves: list[Moves] = field(default_factory=list)
    agreements: list[float] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)
    claimable: int = 0
    samples: int = 0
    messages: dict[Purpose, int] = field(default_factory=lambda: dict.fromkeys(Purpose, 0))
    bytes: dict[Purpose, int] = field(default_factory=lambda: dict.fromkeys(Purpose, 0))
    node_seconds: float = 0.0

    def sent(self, purpose: Purpose, messages: int, size: int) -> None:
        """So many messages of so many bytes each, by all nodes together."""
        self.messages[purpose] += messages
        self.bytes[purpose] += messages * size

    def awaits(self, key: PublicKey) -> bool:
        """Whether a dead node has not been tested since the rule's time was over."""
        return key in self.died and key not in self.due and key not in self.found

    def outcome(self, scenario: Scenario, state: State, lives: Collection[Life], swarms: int) -> Outcome:
        """What it amounts to."""
        lifetime, hours = state.parameters.vote_lifetime, self.node_seconds / HOUR
        due = {key: height + lifetime for key, height in self.due.items() if height + lifetime <= state.height}
        missed = [key for key, last in due.items() if key not in self.found or self.found[key][1] > last]
        copied = sum(moves.copied for moves in self.moves) * MESSAGES_PER_NODE * scenario.nodes
        return Outcome(
            scenario=scenario,
            heights=self.heights,
            stalled=self.stalled,
            rounds=self.rounds,
            nodes_at_end=len(state.nodes),
            swarms_at_end=swarms,
            deaths=len(self.died),
            found=len(self.found),
            wrongful=self.wrongful,
            judged=len(due.keys() | self.found.keys()),
            missed=len(missed),
            to_decommission=Times.of([when - self.died[key] for key, (when, _) in self.found.items()]),
            decommissioned=self.verdicts[Verdict.DECOMMISSION],
            deregistered=self.verdicts[Verdict.DEREGISTER],
            recommissioned=self.verdicts[Verdict.RECOMMISSION],
            pretenders=sum(life.hostile is Hostile.PRETEND for life in lives),
            pretenders_found=len(self.pretenders_found),
            moved=sum(moves.moved for moves in self.moves),
            joined=sum(moves.joined for moves in self.moves),
            left=sum(moves.left for moves in self.moves),
            formed=sum(moves.formed for moves in self.moves),
            dissolved=sum(moves.dissolved for moves in self.moves),
            copies=floor(copied),
            copied_bytes=round(copied * MESSAGE_BYTES / hours, 1),
            agreement=Times.of(self.agreements),
            certificate=Times.of(self.spreads),
            claimable=round(self.claimable / self.samples, 4),
            sent={
                purpose.value: Sent(round(self.messages[purpose] / hours, 2), round(self.bytes[purpose] / hours, 1))
                for purpose in Purpose
            },
        )
