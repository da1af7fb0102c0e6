"""The one call of an account, as it is kept: what it is, how far it has come, and what the other side has sent of it.

It is one fact of the database, so that it changes with the lines of the conversation, or not at all.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from allium.client.messages.kinds import Call, CallStep

_FACT = "call"
#: Of the other side's descriptions and candidates, characters; and how many there may be in one call.
MAX_SDP, MAX_CANDIDATE, MAX_MID = 64 << 10, 2_000, 64
MAX_SIGNALS, MAX_CANDIDATES, MAX_LINE = 64, 256, 255
#: Calls of which it is remembered that they were.
MAX_RECENT = 32


class Phase(StrEnum):
    """How far a call has come."""

    #: We call, and nobody has answered.
    CALLING = "calling"
    #: They call.
    RINGING = "ringing"
    #: It was answered, and the two sides look for a way to each other.
    CONNECTING = "connecting"
    CONNECTED = "connected"
    ENDED = "ended"


class Outcome(StrEnum):
    """What became of a call, as its line in the conversation says."""

    ANSWERED = "answered"
    #: Theirs, which nobody took; the same while calls were off.
    MISSED = "missed"
    OFF = "off"
    #: Ours, which nobody took.
    UNANSWERED = "unanswered"
    DECLINED = "declined"
    #: Another device of ours took it.
    ELSEWHERE = "elsewhere"
    FAILED = "failed"
    #: Both called each other, and the other call is the one that goes on.
    CROSSED = "crossed"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to a side, as WebRTC names it."""

    candidate: str
    line_index: int
    mid: str


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that the other side has sent: `offer`, `answer` or `candidates`."""

    kind: str
    sdp: str = ""
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True)
class OngoingCall:
    """A call. Times are Unix milliseconds by the nodes' clocks."""

    uuid: str
    #: Account ID of the other side.
    peer: str
    outgoing: bool
    phase: Phase
    since: int
    #: When it ends unless something happens.
    deadline: int
    #: The number of its line in the conversation.
    message: int
    #: Which page or program has it; empty if none has yet.
    owner: str = ""
    #: Since when both hear each other; 0 if they do not.
    answered: int = 0
    #: Whether we were calling them when they called.
    wanted: bool = False
    signals: tuple[Signal, ...] = ()
    outcome: Outcome | None = None


class _Facts(Protocol):
    def get(self, name: str) -> bytes | None: ...
    def set(self, name: str, value: bytes) -> None: ...


@dataclass(slots=True)
class Calls:
    """The call that there is, and those that were: their UUIDs, who they were with, and the numbers of their lines."""

    current: OngoingCall | None
    recent: list[tuple[str, str, int]]

    @classmethod
    def load(cls, facts: _Facts) -> Calls:
        """As they were stored."""
        stored = facts.get(_FACT)
        if stored is None:
            return cls(None, [])
        found = json.loads(stored)
        current = found["current"]
        recent = [(each[0], each[1], each[2]) for each in found["recent"]]
        return cls(None if current is None else _call(current), recent)

    def store(self, facts: _Facts) -> None:
        """Over what was stored."""
        current = None if self.current is None else asdict(self.current)
        facts.set(_FACT, json.dumps({"current": current, "recent": self.recent[-MAX_RECENT:]}).encode())

    def line(self, uuid: str, peer: str | None) -> int | None:
        """The number of the line of a call that was, 0 if it has none; None if there was no such call."""
        for known, who, line in self.recent:
            if known == uuid and peer in (None, who):
                return line
        return None


def _call(found: dict[str, Any]) -> OngoingCall:
    signals = tuple(
        Signal(each["kind"], each["sdp"], tuple(Candidate(**one) for one in each["candidates"]))
        for each in found["signals"]
    )
    outcome = found["outcome"]
    return OngoingCall(
        **{
            **found,
            "phase": Phase(found["phase"]),
            "signals": signals,
            "outcome": None if outcome is None else Outcome(outcome),
        }
    )


def signal_of(step: Call) -> Signal | None:
    """What a step tells a page; None where it tells nothing, or is no description at all."""
    if step.step in (CallStep.OFFER, CallStep.ANSWER):
        kind = "offer" if step.step is CallStep.OFFER else "answer"
        return Signal(kind, step.sdps[0]) if step.sdps and len(step.sdps[0]) <= MAX_SDP else None
    if step.step is not CallStep.ICE_CANDIDATES:
        return None
    found = tuple(
        Candidate(sdp, index, mid)
        for sdp, index, mid in zip(step.sdps, step.line_indexes, step.mids, strict=True)
        if len(sdp) <= MAX_CANDIDATE and index <= MAX_LINE and len(mid) <= MAX_MID
    )
    return Signal("candidates", candidates=found[:MAX_CANDIDATES]) if found else None


def with_signal(call: OngoingCall, signal: Signal) -> OngoingCall:
    """The call with one more; as it was, if there are too many already."""
    known = sum(len(each.candidates) for each in call.signals)
    sizes = sum(len(each.sdp) for each in call.signals)
    too_many = len(call.signals) >= MAX_SIGNALS or known + len(signal.candidates) > MAX_CANDIDATES
    if too_many or sizes + len(signal.sdp) > 4 * MAX_SDP:
        return call
    return replace(call, signals=(*call.signals, signal))
