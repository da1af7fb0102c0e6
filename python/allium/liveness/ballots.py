"""Votes on their way, and the certificates that they make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nacl import bindings

from allium.appchain.admission import possible
from allium.appchain.certificates import Certificate, Verdict, Vote, vote_message
from allium.appchain.state import State
from allium.appchain.types import Hash, Height, Index, PublicKey, Signature
from allium.appchain.verdicts import Judgement

#: Why a second vote of one tester about one node does not count.
OTHERWISE = "its voter has voted before, and otherwise"
#: What is voted on.
Question = tuple[Height, Index]


@dataclass(frozen=True)
class Ballot:
    """One vote, as it travels."""

    height: Height
    worker: Index
    verdict: Verdict
    vote: Vote

    def message(self, chain: Hash) -> bytes:
        """What is signed."""
        return vote_message(chain, self.height, self.worker, self.verdict, self.vote.reasons)


def cast(chain: Hash, height: Height, validator: Index, judged: Judgement, secret: bytes) -> Ballot:
    """A vote, by libsodium's secret key of the node that was drawn as this validator."""
    message = vote_message(chain, height, judged.worker, judged.verdict, judged.reasons)
    vote = Vote(validator, judged.reasons, Signature(bindings.crypto_sign(message, secret)[:64]))
    return Ballot(height, judged.worker, judged.verdict, vote)


class Tally:
    """The votes about the last heights. Of everybody the first about each node counts, whatever else he says."""

    def __init__(self) -> None:
        self._votes: dict[Question, dict[Index, Ballot]] = {}

    def follow(self, state: State) -> None:
        """Forgets what no certificate may be about any more."""
        oldest = state.quorums[0].height if state.quorums else state.height
        for question in [question for question in self._votes if question[0] < oldest]:
            del self._votes[question]

    def refusal(self, state: State, ballot: Ballot) -> str | None:
        """Why a vote is not counted; `None` when it is, if it is signed by `voter`."""
        drawn = state.quorum(ballot.height)
        if drawn is None:
            return "votes about this height do not count"
        if ballot.worker >= len(drawn.workers) or ballot.vote.validator >= len(drawn.validators):
            return "nobody was drawn as this"
        node = state.nodes.get(drawn.workers[ballot.worker])
        if node is None:
            return "the node is not registered"
        if (why := possible(node, ballot.height, ballot.verdict, state.parameters)) is not None:
            return why
        before = self._votes.get((ballot.height, ballot.worker), {}).get(ballot.vote.validator)
        if before is not None:
            return "it is known" if before == ballot else OTHERWISE
        return None

    @staticmethod
    def voter(state: State, ballot: Ballot) -> PublicKey:
        """Who has to have signed a vote that is not refused."""
        drawn = state.quorum(ballot.height)
        if drawn is None:
            raise KeyError(ballot.height)
        return drawn.validators[ballot.vote.validator]

    def take(self, ballot: Ballot) -> None:
        """Counts a vote that is not refused."""
        self._votes.setdefault((ballot.height, ballot.worker), {})[ballot.vote.validator] = ballot

    def certificates(self, state: State, question: Question) -> Iterator[Certificate]:
        """What the votes on one question amount to: one certificate at most, if the testers are honest."""
        drawn = state.quorum(question[0])
        ballots = self._votes.get(question, {})
        for verdict in {ballot.verdict for ballot in ballots.values()}:
            votes = sorted(
                (ballot.vote for ballot in ballots.values() if ballot.verdict == verdict),
                key=lambda vote: vote.validator,
            )
            if drawn is not None and len(votes) >= drawn.threshold:
                yield Certificate(*question, verdict, tuple(votes))
