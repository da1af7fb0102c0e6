"""One run: nodes that come, go and stop, testers that vote, a committee that orders, and the real state machine."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import floor

from allium.appchain.admission import admissible, objection, possible, target
from allium.appchain.certificates import Certificate, Verdict
from allium.appchain.claims import absent_allowed
from allium.appchain.encoding import encode
from allium.appchain.events import Registration
from allium.appchain.input import MAX_EVENTS, Input
from allium.appchain.machine import apply
from allium.appchain.state import State
from allium.appchain.types import Height, Index, PublicKey, Seconds
from allium.appchain.verdicts import Reason
from allium.consensus.cometbft.committee import draw, seated
from allium.devnet.simulation import costs
from allium.devnet.simulation.agreement import Agreed, SimulatedCommittee
from allium.devnet.simulation.chance import Chance
from allium.devnet.simulation.costs import Purpose
from allium.devnet.simulation.founding import EPOCH, found, observation, position, registration
from allium.devnet.simulation.loop import Loop
from allium.devnet.simulation.moving import Swarms
from allium.devnet.simulation.network import SimulatedNetwork
from allium.devnet.simulation.nodes import RETEST_SECONDS, Knowledge, Life
from allium.devnet.simulation.outcome import OUT, Outcome, OutcomeTally
from allium.devnet.simulation.population import Population
from allium.devnet.simulation.scenario import Hostile, Scenario
from allium.devnet.simulation.testing import Counted, Question, QuorumTest, faults, truth
from allium.liveness.clocks import HOUR
from allium.liveness.reachability import INTERVAL_SECONDS

#: How long one tester after the other waits to hand in a certificate, as part of the time between two heights.
_TURN = 0.5
#: After how long a node that was voted out although it is there proves that it is.
_AGAIN_SECONDS = 30.0
#: A committee that is not there is asked again after a while.
_STALLED_SECONDS = 60.0
#: A kind of question to chance.
_MEMPOOL = 58

#: Tells the time of the run in seconds, and how many nodes are registered.
Progress = Callable[[float, int], None]


@dataclass(frozen=True)
class _Waiting:
    """A certificate on its way to the committee: when it came to each member."""

    certificate: Certificate
    wrongful: bool
    arrivals: dict[PublicKey, float]


def simulate(scenario: Scenario, progress: Progress = lambda now, nodes: None) -> Outcome:
    """Runs a scenario; the same one gives the same outcome."""
    # Nothing here is in cycles, and looking for them among millions of objects takes longer than the run.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _Simulation(scenario, progress).run()
    finally:
        if collecting:
            gc.enable()


class _Simulation:
    def __init__(self, scenario: Scenario, progress: Progress) -> None:
        self._scenario, self._progress = scenario, progress
        self._chance, self._loop = Chance(scenario.seed), Loop()
        self._network = SimulatedNetwork(scenario, self._chance)
        self._knowledge = Knowledge(self._network, self._chance)
        self._people = Population(scenario, self._chance, self._loop, self._proven, self._died)
        self._lives = self._people.lives
        founders = list(self._lives.values())
        self._state = found(founders, scenario.seed, self._chance, lambda nodes: progress(0.0, nodes))
        self._parameters = self._state.parameters
        for key, node in self._state.nodes.items():
            self._people.settle(
                self._lives[key], (self._state.height - node.active_since) * self._parameters.block_seconds
            )
        self._swarms = Swarms(self._state.nodes)
        roster = self._state.quorums[-1].roster
        #: Who votes on the next height, and on the one after it.
        self._seats = [draw(roster.active, self._state.quorums[-1].beacon)] * 2
        self._committee = SimulatedCommittee(self._seats[0], self._lives, self._network, self._chance)
        self._pool: dict[tuple[Height, Index, Verdict], _Waiting] = {}
        self._tally = OutcomeTally()
        #: Up to when tests were counted.
        self._charged = 0.0

    def run(self) -> Outcome:
        """All of it."""
        scenario, loop = self._scenario, self._loop
        self._people.begin()
        self._count_passing()
        loop.at(0.0, self._propose)
        loop.run(scenario.hours * HOUR)
        self._charge_tests()
        return self._tally.outcome(scenario, self._state, self._lives.values(), len(self._swarms))

    def _proven(self, life: Life) -> None:
        if life.key in self._state.nodes and life.prove(self._loop.now):
            self._tally.sent(Purpose.PROOFS, self._copies, costs.PROOF_BYTES)

    def _died(self, life: Life) -> None:
        node = self._state.nodes.get(life.key)
        if node is not None and not node.decommissioned:
            self._tally.died[life.key] = self._loop.now

    # Heights.

    def _propose(self) -> None:
        state, now = self._state, self._loop.now
        agreed = self._committee.agree(Height(state.height + 1), self._parameters)
        if agreed is None:
            self._tally.stalled += 1
            self._loop.after(_STALLED_SECONDS, self._propose)
            return
        people = self._people
        joining, people.joining = people.joining[:MAX_EVENTS], people.joining[MAX_EVENTS:]
        events = [
            registration(life, self._scenario.seed, position(state, index), self._parameters)
            for index, life in enumerate(joining)
        ]
        lies = self._lives[agreed.proposer].hostile is Hostile.LIE
        known = [
            waiting.certificate
            for waiting in self._pool.values()
            if waiting.arrivals.get(agreed.proposer, now + 1) <= now and (waiting.wrongful or not lies)
        ]
        given = Input(
            Height(state.height + 1),
            Seconds(EPOCH + floor(now)),
            observation(state, self._scenario.seed, events),
            admissible(state, known),
        )
        self._loop.after(agreed.seconds, partial(self._follow, given, agreed))

    def _follow(self, given: Input, agreed: Agreed) -> None:
        before, now, tally = self._state, self._loop.now, self._tally
        state = self._state = apply(before, given)
        tally.heights += 1
        tally.rounds += agreed.rounds
        tally.agreements.append(agreed.seconds)
        for certificate in given.certificates:
            self._judged(target(before, certificate), certificate)
        for event in given.observation.events:
            if isinstance(event, Registration):
                life = self._lives[event.pubkey]
                life.excused = life.changed = now
                self._people.start(life, 2 * self._parameters.block_seconds)
        if state.nodes is not before.nodes:
            tally.moves.append(self._swarms.follow(state.nodes))
        self._pool = {key: waiting for key, waiting in self._pool.items() if self._is_open(waiting.certificate)}
        self._seat(before)
        self._charge_tests()
        self._count_passing()
        self._charge_block(given)
        self._sit()
        self._progress(now, len(state.nodes))
        self._loop.after(self._parameters.block_seconds, self._propose)

    def _judged(self, key: PublicKey, certificate: Certificate) -> None:
        life, tally, now = self._lives[key], self._tally, self._loop.now
        tally.verdicts[certificate.verdict] += 1
        if certificate.verdict == Verdict.RECOMMISSION:
            life.excused = now
            return
        if self._pool[_question(certificate)].wrongful:
            tally.wrongful += 1
        if key in tally.died and key not in tally.found:
            tally.found[key] = now, self._state.height
        if life.hostile is Hostile.PRETEND:
            tally.pretenders_found.add(key)
        life.proofs.clear()
        if key not in self._state.nodes:
            self._people.expel(life)
        elif life.up:
            self._people.start(life, _AGAIN_SECONDS)

    def _seat(self, before: State) -> None:
        """Updates of a height count from two heights after it on."""
        members = seated(self._seats[1], before, self._state)
        self._seats = [self._seats[1], members]
        if self._committee.members != self._seats[0]:
            self._committee = SimulatedCommittee(self._seats[0], self._lives, self._network, self._chance)

    def _sit(self) -> None:
        """The testers of this height vote."""
        state, now = self._state, self._loop.now
        sitting = QuorumTest(state, self._lives, self._knowledge, self._network)
        for key in sitting.drawn.workers:
            node, life = state.nodes[key], self._lives[key]
            if self._tally.awaits(key) and Reason.NO_PROOF in faults(node, life, now):
                self._tally.due[key] = state.height
        for question in sitting.votes(now):
            key = sitting.drawn.workers[question.worker]
            life = self._lives[key]
            right = truth(state.nodes[key], life, state.height, now, self._parameters)
            question.wrongful = question.verdict in OUT and right not in OUT and life.up
            self._tally.sent(Purpose.VOTES, self._copies * len(question.votes), costs.BALLOT_BYTES)
            for counted in sitting.counted(question):
                turn = counted.voters.index(counted.place) if counted.place in counted.voters else len(counted.voters)
                when = counted.when + turn * _TURN * self._parameters.block_seconds
                self._loop.at(when, partial(self._hand_in, sitting, question, counted, now))

    def _hand_in(self, sitting: QuorumTest, question: Question, counted: Counted, voted: float) -> None:
        """One tester gives a certificate to be ordered, if it is not in the state already."""
        handing = self._lives[sitting.drawn.validators[counted.place]]
        keeps = handing.hostile is Hostile.LIE and not question.wrongful
        if not handing.up or keeps or not self._is_open(question):
            return
        certificate = question.certificate(counted.voters, sitting.drawn, self._parameters.chain, self._lives)
        if objection(self._state, certificate) is not None:
            return
        self._tally.sent(Purpose.CERTIFICATES, self._links, len(encode(certificate)))
        what, now = self._people.question() << 6 | _MEMPOOL, self._loop.now
        arrivals = {}
        for key in self._seats[0]:
            way = self._network.spread(handing.number, self._lives[key].number, what)
            if way is not None:
                arrivals[key] = now + way
        place = _question(certificate)
        if (known := self._pool.get(place)) is None:
            need = 2 * len(self._seats[0]) // 3
            if len(arrivals) > need:
                self._tally.spreads.append(sorted(arrivals.values())[need] - voted)
            self._pool[place] = _Waiting(certificate, question.wrongful, arrivals)
        else:
            for key, when in arrivals.items():
                known.arrivals[key] = min(when, known.arrivals.get(key, when))

    def _is_open(self, question: Question | Certificate) -> bool:
        """Whether a verdict may still be in the next input."""
        state = self._state
        drawn = state.quorum(question.height)
        node = None if drawn is None else state.nodes.get(drawn.workers[question.worker])
        return node is not None and possible(node, question.height, question.verdict, self._parameters) is None

    # What is counted.

    def _count_passing(self) -> None:
        nodes = self._state.nodes
        self._unserved = [life for life in self._people.absent if life.key in nodes]
        kinds = Counter(life.hostile for life in self._people.hostile if life.key in nodes)
        up = len(nodes) - sum(not life.up for life in self._unserved)
        self._passing = up - kinds[Hostile.MUTE]
        self._network.follow(len(nodes), self._passing / len(nodes))
        members = len(nodes) + len(self._state.departed)
        signing = self._passing - kinds[Hostile.LIE]
        self._tally.claimable += members - signing <= absent_allowed(members)
        self._tally.samples += 1

    @property
    def _links(self) -> int:
        """How many ways there are between neighbours: so often CometBFT sends what all are to have, at least."""
        return self._passing * self._network.neighbours // 2

    @property
    def _copies(self) -> int:
        """How often a proof or a vote is sent: by everybody to all neighbours but to the one from whom it came."""
        return self._passing * (self._network.neighbours - 1) + 1

    def _charge_block(self, given: Input) -> None:
        """For a block, and the votes that made it one."""
        members, nodes = len(self._seats[0]), self._passing
        size = costs.block_bytes(given, members)
        parts = -(-size // costs.PART_BYTES)
        self._tally.sent(Purpose.BLOCKS, nodes * parts, -(-size // parts))
        self._tally.sent(Purpose.BLOCKS, 2 * members * nodes, costs.COMMITTEE_VOTE_BYTES)
        self._tally.sent(Purpose.BLOCKS, 2 * members * 2 * self._links, costs.HAS_VOTE_BYTES)

    def _charge_tests(self) -> None:
        """For the tests that were made since the last time."""
        now, nodes = self._loop.now, self._passing
        seconds, self._charged = now - self._charged, now
        self._tally.node_seconds += nodes * seconds
        round_seconds = self._network.members * INTERVAL_SECONDS
        known = sum(min(1.0, (now - life.unserved_since) / round_seconds) for life in self._unserved)
        once, again = nodes * seconds / INTERVAL_SECONDS, nodes * known * seconds / RETEST_SECONDS
        self._tally.sent(Purpose.PINGS, floor(once + again), costs.PING_BYTES)


def _question(certificate: Certificate) -> tuple[Height, Index, Verdict]:
    return certificate.height, certificate.worker, certificate.verdict
