"""One height's testers: what each says of those that it tests, and when enough of them have heard enough of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import floor

from nacl import bindings

from allium.appchain.certificates import Certificate, DrawnQuorum, Verdict, Vote, vote_message
from allium.appchain.nodes import Node
from allium.appchain.parameters import Parameters
from allium.appchain.state import State
from allium.appchain.types import Hash, Height, Index, L2Height, PublicKey, Reasons, Seconds, Signature
from allium.appchain.verdicts import Found, Judgement, Reason, failures, judge, verdict
from allium.devnet.simulation.founding import EPOCH
from allium.devnet.simulation.network import SimulatedNetwork
from allium.devnet.simulation.nodes import Knowledge, Life
from allium.devnet.simulation.scenario import LIMITS, Hostile

#: What liars say.
_LIE = Reason.NO_PROOF
#: A message to chance: the height's block, and a vote.
_BLOCK, _VOTE = 31, 32


@dataclass
class Question:
    """The votes for one verdict on one node. Times are seconds from the beginning of the run."""

    height: Height
    worker: Index
    verdict: Verdict
    #: By place among the testers: why, and when it was cast.
    votes: dict[Index, tuple[Reasons, float]] = field(default_factory=dict)
    #: Whether the node is up and passes when everything is known.
    wrongful: bool = False

    def certificate(
        self, voters: Sequence[Index], drawn: DrawnQuorum, chain: Hash, lives: Mapping[PublicKey, Life]
    ) -> Certificate:
        """With these voters' signatures."""
        votes = []
        for place in voters:
            why, _ = self.votes[place]
            message = vote_message(chain, self.height, self.worker, self.verdict, why)
            signature = bindings.crypto_sign(message, lives[drawn.validators[place]].secret)[
                : bindings.crypto_sign_BYTES
            ]
            votes.append(Vote(place, why, Signature(signature)))
        return Certificate(self.height, self.worker, self.verdict, tuple(votes))


@dataclass(frozen=True)
class Counted:
    """When a tester has enough votes for a certificate, and whose, ascending."""

    place: Index
    when: float
    voters: tuple[Index, ...]


def faults(node: Node, life: Life, now: float) -> Reason:
    """Why a node fails, to who knows everything at once."""
    return failures(
        Knowledge.truth(life, now, EPOCH), node.decommissioned, Seconds(EPOCH + floor(now)), L2Height(0), LIMITS
    )


def truth(node: Node, life: Life, height: Height, now: float, parameters: Parameters) -> Verdict | None:
    """What testers would say who know everything at once."""
    return verdict(node, height, faults(node, life, now), False, parameters)


class QuorumTest:
    """The testers of the last height of a state."""

    def __init__(
        self, state: State, lives: Mapping[PublicKey, Life], knowledge: Knowledge, network: SimulatedNetwork
    ) -> None:
        drawn = state.quorum(state.height)
        self.drawn = DrawnQuorum((), ()) if drawn is None else drawn
        self._state, self._lives, self._knowledge, self._network = state, lives, knowledge, network

    def votes(self, now: float) -> list[Question]:
        """What is voted, by those who learn of the height that was agreed on at `now`."""
        questions: dict[tuple[Index, Verdict], Question] = {}
        common = {key: self._knowledge.by_all(self._lives[key], now, EPOCH) for key in self.drawn.workers}
        known = {key: found for key, found in common.items() if found is not None}
        others = [self._lives[key] for key in common if key not in known]
        for place, key in enumerate(self.drawn.validators):
            tester = self._lives[key]
            heard = self._network.spread(self._state.height, tester.number, self._state.height << 6 | _BLOCK)
            if heard is None or not tester.up or now - tester.changed < LIMITS.proof_validity:
                continue
            for said in self._said(tester, now + heard, known, others):
                question = questions.setdefault(
                    (said.worker, said.verdict), Question(self._state.height, said.worker, said.verdict)
                )
                question.votes[Index(place)] = said.reasons, now + heard
        return list(questions.values())

    def _said(
        self, tester: Life, now: float, known: Mapping[PublicKey, Found], others: Sequence[Life]
    ) -> Sequence[Judgement]:
        match tester.hostile:
            case Hostile.MUTE:
                return ()
            case Hostile.LIE:
                return self._lies()
        found = {**known, **{life.key: self._knowledge.found(tester, life, now, EPOCH) for life in others}}
        return judge(self._state, tester.key, found, Seconds(EPOCH + floor(now)), L2Height(0), LIMITS)

    def _lies(self) -> Sequence[Judgement]:
        """The same by all liars: against so many of those that work as one height may take out."""
        said = []
        for worker, key in enumerate(self.drawn.workers):
            node, life = self._state.nodes[key], self._lives[key]
            if life.hostile is None and life.up and not node.decommissioned:
                chosen = verdict(node, self._state.height, _LIE, False, self._state.parameters)
                if chosen is not None:
                    said.append(Judgement(Index(worker), chosen, Reasons(_LIE)))
        return said[: self._state.parameters.max_deactivations]

    def counted(self, question: Question) -> list[Counted]:
        """The testers who hear of enough votes."""
        voters = list(question.votes)
        if len(voters) < self.drawn.threshold:
            return []
        what = (question.height << 10 | question.worker) << 6 | _VOTE
        lives = [self._lives[key] for key in self.drawn.validators]
        counted = []
        for place, collector in enumerate(lives):
            arrivals = []
            for voter in voters:
                way = self._network.spread(lives[voter].number, collector.number, what + (voter << 40))
                if way is not None:
                    arrivals.append((question.votes[voter][1] + way, voter))
            if len(arrivals) >= self.drawn.threshold and collector.up and collector.hostile is not Hostile.MUTE:
                arrivals.sort()
                enough = arrivals[: self.drawn.threshold]
                counted.append(Counted(Index(place), enough[-1][0], tuple(sorted(voter for _, voter in enough))))
        return counted
