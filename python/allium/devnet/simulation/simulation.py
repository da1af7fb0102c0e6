"""One run: nodes that come, go and stop, testers that vote, a committee that orders, and the real state machine."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import floor

from allium.appchain.certificates import Certificate, Verdict
from allium.appchain.claims import absent_allowed
from allium.appchain.encoding import encode
from allium.appchain.events import Registration
from allium.appchain.input import MAX_EVENTS, Input
from allium.appchain.machine import admissible, apply, objection, possible, target
from allium.appchain.state import State
from allium.appchain.types import Height, Index, PublicKey, Seconds
from allium.appchain.verdicts import Reason
from allium.consensus.cometbft.committee import draw, seated
from allium.consensus.liveness.clocks import HOUR
from allium.devnet.simulation import costs
from allium.devnet.simulation.agreement import Agreed, Committee
from allium.devnet.simulation.chance import Chance
from allium.devnet.simulation.costs import Purpose
from allium.devnet.simulation.founding import EPOCH, found, name, observation, position, registration
from allium.devnet.simulation.loop import Loop
from allium.devnet.simulation.moving import Swarms
from allium.devnet.simulation.network import Network
from allium.devnet.simulation.nodes import RETEST_SECONDS, Knowledge, Life
from allium.devnet.simulation.outcome import OUT, Outcome, Tally
from allium.devnet.simulation.scenario import (
    DAY,
    FIRST_PROOF_SECONDS,
    OUTAGE_SECONDS,
    PROOF_SECONDS,
    Hostile,
    Scenario,
)
from allium.devnet.simulation.testing import Counted, Question, Sitting, faults, truth
from allium.reachability import INTERVAL_SECONDS

#: How long one tester after the other waits to hand in a certificate, as part of the time between two heights.
_TURN = 0.5
#: After how long a node that was voted out although it is there proves that it is.
_AGAIN_SECONDS = 30.0
#: A committee that is not there is asked again after a while.
_STALLED_SECONDS = 60.0
#: Kinds of questions to chance.
_HOSTILE, _PHASE, _DEATH, _OUTAGE, _JOIN, _WHO, _AWAY, _MEMPOOL = range(51, 59)

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
        self._network = Network(scenario, self._chance)
        self._knowledge = Knowledge(self._network, self._chance)
        self._lives: dict[PublicKey, Life] = {}
        #: Those that may fail, those that no test reaches (in the order in which it became so), and hostile ones.
        self._mortal: list[Life] = []
        self._absent: dict[Life, None] = {}
        self._hostile: list[Life] = []
        self._questions = 0
        founders = [self._new() for _ in range(scenario.nodes)]
        self._state = found(founders, scenario.seed, self._chance, lambda nodes: progress(0.0, nodes))
        self._parameters = self._state.parameters
        for key, node in self._state.nodes.items():
            self._settle(self._lives[key], (self._state.height - node.active_since) * self._parameters.block_seconds)
        self._swarms = Swarms(self._state.nodes)
        roster = self._state.sittings[-1].roster
        #: Who votes on the next height, and on the one after it.
        self._seats = [draw(roster.active, self._state.sittings[-1].beacon)] * 2
        self._committee = Committee(self._seats[0], self._lives, self._network, self._chance)
        #: Nodes that the contract has and the state has not yet.
        self._joining: list[Life] = []
        self._pool: dict[tuple[Height, Index, Verdict], _Waiting] = {}
        self._tally = Tally()
        #: Up to when tests were counted.
        self._charged = 0.0

    def run(self) -> Outcome:
        """All of it."""
        scenario, loop = self._scenario, self._loop
        self._often(scenario.deaths + scenario.churn, _DEATH, self._die)
        self._often(scenario.churn, _OUTAGE, self._go_away)
        self._often(scenario.churn, _JOIN, self._join)
        self._count_passing()
        loop.at(0.0, self._propose)
        loop.run(scenario.hours * HOUR)
        self._charge_tests()
        return self._tally.outcome(scenario, self._state, self._lives.values(), len(self._swarms))

    def _ask(self, *question: int) -> float:
        """Chance that is asked once, in the order of events."""
        self._questions += 1
        return self._chance.uniform(*question, self._questions)

    def _often(self, share: float, kind: int, act: Callable[[], None]) -> None:
        """Has something happen to this share of the network's nodes in a day, at random."""
        if not share:
            return
        mean = DAY / (share * self._scenario.nodes)

        def happen() -> None:
            act()
            self._loop.after(self._chance.exponential(mean, kind, self._next()), happen)

        self._loop.after(self._chance.exponential(mean, kind, self._next()), happen)

    def _next(self) -> int:
        self._questions += 1
        return self._questions

    # Nodes come, go, and stop.

    def _new(self) -> Life:
        scenario, number = self._scenario, len(self._lives)
        hostile = scenario.hostility if self._chance.uniform(_HOSTILE, number) < scenario.hostile else None
        life = Life(number, name(scenario.seed, "node", number), hostile, self._loop.now)
        self._lives[life.key] = life
        if hostile is None:
            self._mortal.append(life)
        else:
            self._hostile.append(life)
        self._turn(life, True)
        return life

    def _turn(self, life: Life, up: bool) -> None:
        """A node comes up or goes down."""
        life.up, life.changed = up, self._loop.now
        if life.serves:
            self._absent.pop(life, None)
        else:
            self._absent[life] = None

    def _settle(self, life: Life, age: float) -> None:
        """Makes a node one that has been there for long."""
        life.excused, life.changed = -float(age), -2 * DAY
        first = self._chance.uniform(_PHASE, life.number) * PROOF_SECONDS
        life.proofs.append(first - PROOF_SECONDS)
        self._loop.at(first, partial(self._prove, life, life.starts))

    def _prove(self, life: Life, start: int) -> None:
        if not life.up or life.starts != start:
            return
        if life.key in self._state.nodes and life.prove(self._loop.now):
            self._tally.sent(Purpose.PROOFS, self._copies, costs.PROOF_BYTES)
        self._loop.after(PROOF_SECONDS, partial(self._prove, life, start))

    def _start(self, life: Life, pause: float) -> None:
        life.starts += 1
        self._loop.after(pause, partial(self._prove, life, life.starts))

    def _pick(self) -> Life | None:
        """One of those that may fail and are up."""
        up = [life for life in (self._mortal[self._index()] for _ in range(8) if self._mortal) if life.up]
        return up[0] if up else None

    def _index(self) -> int:
        return floor(self._ask(_WHO) * len(self._mortal))

    def _die(self) -> None:
        life = self._pick()
        if life is None:
            return
        self._mortal.remove(life)
        self._turn(life, False)
        node = self._state.nodes.get(life.key)
        if node is not None and not node.decommissioned:
            self._tally.died[life.key] = self._loop.now

    def _go_away(self) -> None:
        if (life := self._pick()) is None:
            return
        self._turn(life, False)
        self._loop.after(self._chance.exponential(OUTAGE_SECONDS, _AWAY, self._next()), partial(self._come_back, life))

    def _come_back(self, life: Life) -> None:
        if not life.gone:
            self._turn(life, True)
            self._start(life, FIRST_PROOF_SECONDS)

    def _join(self) -> None:
        self._joining.append(self._new())

    # Heights.

    def _propose(self) -> None:
        state, now = self._state, self._loop.now
        agreed = self._committee.agree(Height(state.height + 1), self._parameters)
        if agreed is None:
            self._tally.stalled += 1
            self._loop.after(_STALLED_SECONDS, self._propose)
            return
        joining, self._joining = self._joining[:MAX_EVENTS], self._joining[MAX_EVENTS:]
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
                self._start(life, 2 * self._parameters.block_seconds)
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
            # It is registered no longer, and nothing depends on it.
            life.gone = True
            self._turn(life, False)
            if life in self._mortal:
                self._mortal.remove(life)
        elif life.up:
            self._start(life, _AGAIN_SECONDS)

    def _seat(self, before: State) -> None:
        """Updates of a height count from two heights after it on."""
        members = seated(self._seats[1], before, self._state)
        self._seats = [self._seats[1], members]
        if self._committee.members != self._seats[0]:
            self._committee = Committee(self._seats[0], self._lives, self._network, self._chance)

    def _sit(self) -> None:
        """The testers of this height vote."""
        state, now = self._state, self._loop.now
        sitting = Sitting(state, self._lives, self._knowledge, self._network)
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

    def _hand_in(self, sitting: Sitting, question: Question, counted: Counted, voted: float) -> None:
        """One tester gives a certificate to be ordered, if it is not in the state already."""
        handing = self._lives[sitting.drawn.validators[counted.place]]
        keeps = handing.hostile is Hostile.LIE and not question.wrongful
        if not handing.up or keeps or not self._is_open(question):
            return
        certificate = question.certificate(counted.voters, sitting.drawn, self._parameters.chain, self._lives)
        if objection(self._state, certificate) is not None:
            return
        self._tally.sent(Purpose.CERTIFICATES, self._links, len(encode(certificate)))
        what, now = self._next() << 6 | _MEMPOOL, self._loop.now
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
        self._unserved = [life for life in self._absent if life.key in nodes]
        kinds = Counter(life.hostile for life in self._hostile if life.key in nodes)
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
