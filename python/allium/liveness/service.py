"""One node's part in who works: it proves that it does, finds out about others, and votes when it is drawn."""

from __future__ import annotations

import asyncio
import random
import re
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from allium import __version__
from allium._native import PROTOCOL_VERSION, verify_ed25519
from allium.appchain.admission import objection
from allium.appchain.certificates import Certificate
from allium.appchain.state import State
from allium.appchain.types import NO_HEIGHT, Index, L2Height, PublicKey, Seconds
from allium.appchain.verdicts import is_wrong_itself, judge
from allium.base import log, pulse
from allium.consensus import CertificateRefusedError, Consensus
from allium.liveness.ballots import OTHERWISE, Ballot, Question, Tally, cast
from allium.liveness.clocks import Clocks
from allium.liveness.gossip import FINE, MAX_MESSAGES, Allowances, Gossip, Memory, pack, unpack
from allium.liveness.history import History
from allium.liveness.proof import MINIMUM_NODE, SignedProof, Uptime, Version, sign
from allium.liveness.records import Records

if TYPE_CHECKING:
    from allium._native import Node, NodeEntry
    from allium._native import Question as Told
    from allium.settings.keys import NodeKeys

TELL, TIME = "liveness.tell", "liveness.time"
_ASK_SECONDS = 5.0
#: Votes about heights that this node does not have yet: how far ahead, and how many of one sender.
_AHEAD, _MAX_EARLY = 5, 256
#: A state that is so many blocks and seconds old says nothing of who is to be tested now.
_STALE_BLOCKS, _STALE_SECONDS = 10, 60
#: How long one node after the other waits to hand in a certificate, as part of the time between two heights.
_TURN = 0.5
#: Calls of the engine under way at once.
_THREADS = 40
#: How often what is known of others is kept, at most.
_KEEP_SECONDS = 1.0
_NOWHERE = "0.0.0.0"
_OK, _REFUSED = b"200", b"400"


@dataclass(frozen=True)
class Surroundings:
    """What a node has to know of itself and of others."""

    keys: NodeKeys
    #: Where nodes can be reached, by Ed25519 key, hex.
    contacts: Callable[[], Mapping[str, NodeEntry]]
    #: Takes from another node's proof where it is.
    learn: Callable[[Uptime], None]
    #: Up to where the own view of the EVM chain is final; 0: there is none.
    l2_final: Callable[[], int]
    #: Nodes may be at addresses that only one machine reaches.
    private: bool = False
    #: Where what it finds out is kept over a restart.
    history: Path | None = None
    #: Has a node tested next that was not reached before a restart, by Ed25519 key, hex.
    suspect: Callable[[str], None] = lambda _: None


class Liveness:
    """The part of one node."""

    def __init__(self, engine: Node, consensus: Consensus, around: Surroundings, clocks: Clocks) -> None:
        self._engine, self._consensus, self._around, self._clocks = engine, consensus, around, clocks
        self._own = PublicKey(around.keys.ed25519_public)
        self._records = Records(clocks, around.private)
        self._tally = Tally()
        self._gossip = Gossip(self._own, self._send)
        self._memory, self._allowances = Memory(), Allowances()
        self._early: dict[PublicKey | None, list[Ballot]] = {}
        self._handed_in: set[Question] = set()
        self._history: History | None = None
        #: Since when it hears the others, by the monotonic clock.
        self._begun = time.monotonic()
        self._voted = self._followed = NO_HEIGHT
        self._wrong = False
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="liveness")
        self._logger = log.get("liveness")

    @property
    def records(self) -> Records:
        """What it knows of others."""
        return self._records

    def now(self) -> float:
        """Unix time."""
        return self._engine.time()

    async def reported(self, node: NodeEntry, reached: bool) -> None:
        """Takes the result of a test of whether a node is reached."""
        self._records.reported(PublicKey(bytes.fromhex(node["pubkey_ed25519"])), reached, self.now())

    async def run(self) -> None:
        """Takes part until cancelled, or until the engine is shut down."""
        self._begun = time.monotonic()
        try:
            await self._recall()
            async with asyncio.TaskGroup() as tasks:
                duties = [tasks.create_task(duty) for duty in (self._follow(tasks), self._prove(), self._keep())]
                await self._listen(tasks)
                for duty in duties:
                    duty.cancel()
        finally:
            await self._gossip.close()
            if self._history is not None:
                await self._keep_now(self._history)
                self._history.close()
            # What waits in them ends with the engine.
            self._threads.shutdown(wait=False, cancel_futures=True)

    # --- what it knows over a restart

    async def _recall(self) -> None:
        """Goes on with what it knew, as if it had not been away if that was for less than from a proof to the next.

        Then at most one proof of each has gone by, so that none looks too old that is not. Where the chain was taken
        away from it meanwhile, it meets everybody anew, and is as one that is new.
        """
        if self._around.history is None:
            return
        chain = self._consensus.state.parameters.chain
        try:
            self._history = await asyncio.to_thread(History, self._around.history, chain)
            remembered = await asyncio.to_thread(self._history.remembered)
        except (OSError, sqlite3.Error) as error:
            self._logger.warning("what is known of other nodes is not kept", reason=str(error))
            return
        if remembered is None:
            return
        now = self.now()
        height = self._consensus.state.height
        timely = remembered.since <= remembered.until <= now < remembered.until + self._clocks.proof
        seamless = timely and height >= remembered.height
        self._records.recall(remembered.nodes, seamless)
        if seamless:
            self._begun -= now - remembered.since
        # On what there is already it has voted, or was not there to.
        self._voted = self._followed = height
        for key, kept in remembered.nodes.items():
            if kept.unreached:
                self._around.suspect(key.hex())
            for accepted in kept.proofs[-1:]:
                if now - accepted.at <= self._clocks.limits.proof_validity:
                    self._around.learn(accepted.proof.uptime)
        self._logger.info(
            "goes on with what it knew of other nodes", nodes=len(remembered.nodes), away=round(now - remembered.until)
        )

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(max(_KEEP_SECONDS, self._clocks.tick))
            if self._history is not None:
                await self._keep_now(self._history)

    async def _keep_now(self, history: History) -> None:
        now = self.now()
        history.note(self._records.changed())
        try:
            await asyncio.to_thread(history.keep, now - (time.monotonic() - self._begun), now, self._followed)
        except sqlite3.Error as error:
            self._logger.warning("what is known of other nodes cannot be kept", reason=str(error))

    # --- what it says of itself

    async def _prove(self) -> None:
        while True:
            pulse.beat()
            await asyncio.sleep(self._clocks.tick)
            state, last = self._consensus.state, self._records.last(self._own)
            node = state.nodes.get(self._own)
            if node is None or state.height <= node.registration_height + 1:
                continue
            # One from a time to come is from before the clock was put right.
            age = -1.0 if last is None else self.now() - last.proof.uptime.time
            if 0 <= age < self._clocks.proof / 2:
                continue
            if (uptime := self._uptime(state)) is None:
                continue
            # What it said before a restart may not be so any more.
            if last is not None and 0 <= age < self._clocks.proof and last.proof.uptime.place == uptime.place:
                continue
            if (why := self._records.refusal(uptime, self.now())) is not None:
                self._logger.warning("others would not take this node's proof", reason=why)
                await asyncio.sleep(self._clocks.tick)
                continue
            proof = sign(uptime, self._around.keys.ed25519_secret)
            self._records.take(proof, self.now())
            message = pack(proof)
            self._memory.add(message)
            self._gossip.spread([message])

    def _uptime(self, state: State) -> Uptime | None:
        contact = self._around.contacts().get(self._own.hex())
        if contact is None or contact["ip"] == _NOWHERE:
            self._logger.warning("this node does not prove that it is there: its own entry is missing in network_file")
            return None
        return Uptime(
            pubkey=self._own,
            time=Seconds(int(self.now())),
            ip=contact["ip"],
            https_port=contact["https_port"],
            omq_port=contact["omq_port"],
            l2_height=self._l2_height(state),
            storage=PROTOCOL_VERSION,
            node=_version(),
            legacy=self._around.keys.legacy_public,
        )

    def _l2_height(self, state: State) -> L2Height:
        return L2Height(max(1, state.l2_height, self._around.l2_final()))

    # --- what it finds out, and says of others

    async def _follow(self, tasks: asyncio.TaskGroup) -> None:
        async for state in self._consensus:
            self._records.follow(state)
            self._followed = state.height
            self._tally.follow(state)
            self._allowances.keep(state.nodes)
            self._gossip.set_nodes(self._reachable(state))
            oldest = state.quorums[0].height if state.quorums else 0
            self._handed_in = {question for question in self._handed_in if question[0] >= oldest}
            early, self._early = self._early, {}
            for sender, ballots in early.items():
                self._count(ballots, state, tasks, sender)
            if self._own not in state.nodes:
                continue
            tasks.create_task(self._ask_the_time(state))
            stale = self.now() - state.time > _STALE_BLOCKS * state.parameters.block_seconds + _STALE_SECONDS
            if not stale and time.monotonic() - self._begun >= self._clocks.limits.proof_validity:
                self._vote(state, tasks)

    def _reachable(self, state: State) -> dict[PublicKey, NodeEntry]:
        contacts = self._around.contacts()
        found = ((key, contacts.get(key.hex())) for key in state.nodes)
        return {key: entry for key, entry in found if entry is not None and entry["ip"] != _NOWHERE}

    def _vote(self, state: State, tasks: asyncio.TaskGroup) -> None:
        drawn = state.quorum(state.height)
        if drawn is None or self._own not in drawn.validators or state.height <= self._voted:
            return
        self._voted = state.height
        place, chain = Index(drawn.validators.index(self._own)), state.parameters.chain
        now = Seconds(int(self.now()))
        judged = judge(state, self._own, self._records.found(), now, self._l2_height(state), self._clocks.limits)
        ballots = [cast(chain, state.height, place, each, self._around.keys.ed25519_secret) for each in judged]
        for ballot in ballots:
            self._logger.info(
                "votes",
                node=drawn.workers[ballot.worker].hex(),
                verdict=ballot.verdict.name.lower(),
                reasons=ballot.vote.reasons,
                height=state.height,
            )
        self._count(ballots, state, tasks, None, verified=True)

    async def _ask_the_time(self, state: State) -> None:
        """Compares the clock of somebody who works."""
        others = [
            (key, entry)
            for key, entry in self._reachable(state).items()
            if key != self._own and not state.nodes[key].decommissioned
        ]
        if not others:
            return
        key, entry = random.choice(others)  # noqa: S311 - whose turn it is, is no secret
        before = self.now()
        answer = await self._ask(entry, TIME, [])
        skew = None
        if answer is not None and len(answer) == 2 and answer[0] == _OK and answer[1].isdigit() and len(answer[1]) < 16:
            skew = int(answer[1]) / 1000 - (before + self.now()) / 2
        self._records.asked(key, skew)
        wrong, self._wrong = self._wrong, is_wrong_itself(self._records.found().values())
        if self._wrong and not wrong:
            self._logger.error("this node's clock differs from most others'; is its time synchronised?")

    # --- what others say

    async def _listen(self, tasks: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while (told := await loop.run_in_executor(self._threads, self._engine.next_tidings)) is not None:
            tasks.create_task(self._answer(told, tasks))

    async def _answer(self, told: Told, tasks: asyncio.TaskGroup) -> None:
        if told.command == TIME:
            told.answer([_OK, str(round(self.now() * 1000)).encode()])
            return
        sender, parts = told.sender, told.parts
        told.answer([_OK] if len(parts) <= MAX_MESSAGES else [_REFUSED])
        if sender is not None and len(parts) <= MAX_MESSAGES:
            self.hear(PublicKey(bytes.fromhex(sender)), parts, tasks)

    def hear(self, sender: PublicKey, messages: Sequence[bytes], tasks: asyncio.TaskGroup) -> None:
        """Takes what another node tells, passes on what is new and true, and drops the rest."""
        proofs, ballots = [], []
        for message in messages:
            if message in self._memory:
                continue
            if not self._allowances.spend(sender, time.monotonic(), 1):
                self._logger.debug("a node tells too much", node=sender.hex())
                break
            try:
                told = unpack(message)
            except ValueError as error:
                self._blame(sender, str(error))
                continue
            if isinstance(told, SignedProof):
                proofs.append(told)
            else:
                ballots.append(told)
        self._take_proofs(proofs, sender)
        self._count(ballots, self._consensus.state, tasks, sender)

    def _take_proofs(self, proofs: Sequence[SignedProof], sender: PublicKey) -> None:
        timely = [proof for proof in proofs if self._records.refusal(proof.uptime, self.now()) is None]
        signed = [(proof.uptime.pubkey, proof.digest, proof.signature) for proof in timely]
        fresh = []
        for proof, right in zip(timely, verify_ed25519(signed), strict=True):
            if not right:
                self._blame(sender, "a proof with a wrong signature")
            # The one before it may be by the same node.
            elif self._records.refusal(proof.uptime, self.now()) is None:
                self._records.take(proof, self.now())
                if proof.uptime.pubkey != self._own:
                    self._around.learn(proof.uptime)
                fresh.append(pack(proof))
        self._pass_on(fresh, sender)

    def _count(
        self,
        ballots: Sequence[Ballot],
        state: State,
        tasks: asyncio.TaskGroup,
        sender: PublicKey | None,
        verified: bool = False,
    ) -> None:
        """Counts votes, and hands in what they amount to."""
        timely = []
        for ballot in ballots:
            if state.height < ballot.height <= state.height + _AHEAD:
                early = self._early.setdefault(sender, [])
                if len(early) < _MAX_EARLY:
                    early.append(ballot)
            elif (why := self._tally.refusal(state, ballot)) is None:
                timely.append(ballot)
            elif why == OTHERWISE:
                voter = self._tally.voter(state, ballot).hex()
                self._logger.warning("a vote is not counted", reason=why, voter=voter, height=ballot.height)
            else:
                self._logger.debug("a vote is not counted", reason=why, height=ballot.height)
        voters = [self._tally.voter(state, ballot) for ballot in timely]
        chain, right = state.parameters.chain, [True] * len(timely)
        if not verified:
            signed = zip(voters, timely, strict=True)
            right = verify_ed25519([(key, each.message(chain), each.vote.signature) for key, each in signed])
        fresh: list[bytes] = []
        questions: dict[Question, None] = {}
        for ballot, holds in zip(timely, right, strict=True):
            if not holds:
                self._blame(sender, "a vote with a wrong signature")
            elif self._tally.refusal(state, ballot) is None:
                self._tally.take(ballot)
                fresh.append(pack(ballot))
                questions[ballot.height, ballot.worker] = None
        self._pass_on(fresh, sender)
        for question in questions:
            for certificate in self._tally.certificates(state, question):
                if question not in self._handed_in:
                    self._handed_in.add(question)
                    tasks.create_task(self._hand_in(certificate, state))

    async def _hand_in(self, certificate: Certificate, state: State) -> None:
        """Gives a certificate to be ordered, if none of the testers before this node in the order has."""
        drawn = state.quorum(certificate.height)
        voters = [] if drawn is None else [drawn.validators[vote.validator] for vote in certificate.votes]
        turn = voters.index(self._own) if self._own in voters else len(voters)
        await asyncio.sleep(turn * _TURN * state.parameters.block_seconds)
        if objection(self._consensus.state, certificate) is not None:
            return
        try:
            await self._consensus.submit(certificate)
        except CertificateRefusedError as error:
            self._logger.debug("a certificate is not taken", reason=str(error))
        else:
            self._logger.info(
                "hands in a certificate", verdict=certificate.verdict.name.lower(), height=certificate.height
            )

    def _pass_on(self, messages: Sequence[bytes], sender: PublicKey | None) -> None:
        for message in messages:
            self._memory.add(message)
        self._gossip.spread(messages, but=sender)

    def _blame(self, sender: PublicKey | None, what: str) -> None:
        if sender is not None:
            self._allowances.spend(sender, time.monotonic(), FINE)
            self._logger.warning("a node tells what is not so", node=sender.hex(), what=what)

    # --- the way to others

    async def _send(self, entry: NodeEntry, messages: Sequence[bytes]) -> bool:
        answer = await self._ask(entry, TELL, messages)
        return answer is not None and answer[:1] == [_OK]

    async def _ask(self, entry: NodeEntry, command: str, parts: Sequence[bytes]) -> list[bytes] | None:
        loop = asyncio.get_running_loop()
        ask = self._engine.ask
        try:
            [(answer, _)] = await loop.run_in_executor(self._threads, ask, [entry], command, list(parts), _ASK_SECONDS)
        except RuntimeError:
            # The engine is shut down.
            return None
        return answer


def _version() -> Version:
    """Of this program; one that runs from its sources has none."""
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", __version__)
    return MINIMUM_NODE if numbers is None else (int(numbers[1]), int(numbers[2]), int(numbers[3]))
