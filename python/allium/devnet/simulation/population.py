"""Nodes that come, go away for a while, stop for good, and prove once an hour that they are there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import floor

from allium.appchain.types import PublicKey
from allium.devnet.simulation.chance import Chance
from allium.devnet.simulation.founding import name
from allium.devnet.simulation.loop import Loop
from allium.devnet.simulation.nodes import Life
from allium.devnet.simulation.scenario import DAY, FIRST_PROOF_SECONDS, OUTAGE_SECONDS, PROOF_SECONDS, Scenario

#: How often chance is asked for a node that is up.
_TRIES = 8
#: Kinds of questions to chance.
_HOSTILE, _PHASE, _DEATH, _OUTAGE, _JOIN, _WHO, _AWAY = range(51, 58)


class Population:
    """All nodes there ever were."""

    def __init__(
        self,
        scenario: Scenario,
        chance: Chance,
        loop: Loop,
        proven: Callable[[Life], None],
        died: Callable[[Life], None],
    ) -> None:
        """`proven` is told when a node proves itself, `died` when one stopped for good."""
        self._scenario, self._chance, self._loop = scenario, chance, loop
        self._proven, self._died = proven, died
        self.lives: dict[PublicKey, Life] = {}
        #: Those that no test reaches, in the order in which it became so.
        self.absent: dict[Life, None] = {}
        self.hostile: list[Life] = []
        #: Nodes that the contract has and the state has not yet.
        self.joining: list[Life] = []
        #: Those that may fail.
        self._mortal: list[Life] = []
        self._questions = 0
        for _ in range(scenario.nodes):
            self._new()

    def settle(self, life: Life, age: int) -> None:
        """Makes a node one that has been there for so many seconds."""
        life.excused, life.changed = -float(age), -2 * DAY
        first = self._chance.uniform(_PHASE, life.number) * PROOF_SECONDS
        life.proofs.append(first - PROOF_SECONDS)
        self._loop.at(first, partial(self._prove, life, life.starts))

    def begin(self) -> None:
        """From now on nodes come and go."""
        scenario = self._scenario
        self._often(scenario.deaths + scenario.churn, _DEATH, self._die)
        self._often(scenario.churn, _OUTAGE, self._go_away)
        self._often(scenario.churn, _JOIN, lambda: self.joining.append(self._new()))

    def start(self, life: Life, pause: float) -> None:
        """Has a node prove itself in a while, and then every hour."""
        life.starts += 1
        self._loop.after(pause, partial(self._prove, life, life.starts))

    def expel(self, life: Life) -> None:
        """A node is registered no longer, and nothing depends on it."""
        life.gone = True
        self._turn(life, False)
        if life in self._mortal:
            self._mortal.remove(life)

    def question(self) -> int:
        """Another number each time, for what happens only once."""
        self._questions += 1
        return self._questions

    def _often(self, share: float, kind: int, act: Callable[[], None]) -> None:
        """Has something happen to this share of the network's nodes in a day, at random."""
        if not share:
            return
        mean = DAY / (share * self._scenario.nodes)

        def happen() -> None:
            act()
            self._loop.after(self._chance.exponential(mean, kind, self.question()), happen)

        self._loop.after(self._chance.exponential(mean, kind, self.question()), happen)

    def _new(self) -> Life:
        scenario, number = self._scenario, len(self.lives)
        hostile = scenario.hostility if self._chance.uniform(_HOSTILE, number) < scenario.hostile else None
        life = Life(number, name(scenario.seed, "node", number), hostile, self._loop.now)
        self.lives[life.key] = life
        if hostile is None:
            self._mortal.append(life)
        else:
            self.hostile.append(life)
        self._turn(life, True)
        return life

    def _turn(self, life: Life, up: bool) -> None:
        life.up, life.changed = up, self._loop.now
        if life.serves:
            self.absent.pop(life, None)
        else:
            self.absent[life] = None

    def _prove(self, life: Life, start: int) -> None:
        if life.up and life.starts == start:
            self._proven(life)
            self._loop.after(PROOF_SECONDS, partial(self._prove, life, start))

    def _pick(self) -> Life | None:
        """One of those that may fail and are up."""
        for _ in range(_TRIES if self._mortal else 0):
            life = self._mortal[floor(self._chance.uniform(_WHO, self.question()) * len(self._mortal))]
            if life.up:
                return life
        return None

    def _die(self) -> None:
        if (life := self._pick()) is not None:
            self._mortal.remove(life)
            self._turn(life, False)
            self._died(life)

    def _go_away(self) -> None:
        if (life := self._pick()) is not None:
            self._turn(life, False)
            away = self._chance.exponential(OUTAGE_SECONDS, _AWAY, self.question())
            self._loop.after(away, partial(self._come_back, life))

    def _come_back(self, life: Life) -> None:
        if not life.gone:
            self._turn(life, True)
            self.start(life, FIRST_PROOF_SECONDS)
