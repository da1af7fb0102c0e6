"""What becomes of a call: rings, is answered, ends; ours and theirs, and its line in the conversation.

The media are no business of this side: whoever has the call (a page) exchanges descriptions and candidates with the
other side through here (`spec/files-and-calls` §4). Nothing in here trusts what comes further than its signature.
"""

from __future__ import annotations

from dataclasses import replace

from allium.client.database.rows import MessageState, NewMessage
from allium.client.messages import delivery
from allium.client.messages.direct import Received as Opened
from allium.client.messages.kinds import Call, CallStep, Disappear, Disappearing
from allium.client.polling import Received
from allium.client.session import mirror, people
from allium.client.session.call_state import Calls, OngoingCall, Outcome, Phase, signal_of, with_signal
from allium.client.session.core import Work
from allium.client.session.events import CallChanged, MessageChanged, NoticeReceived

#: So long a call rings, looks for a way, and stays without a word of who has it; milliseconds.
RING_MS, CONNECT_MS, LEASE_MS = 60_000, 60_000, 150_000
#: Steps of a call are kept by the swarm for so long, milliseconds.
CALL_MS = delivery.CALL_TTL
#: Calls that are told in one minute that we are in another one.
MAX_REFUSED = 10
_BUSY = "calls-refused"


class CallError(ValueError):
    """What cannot be with calls now."""


def current(work: Work) -> OngoingCall | None:
    """The call that there is."""
    return Calls.load(work.database.facts).current


def set_current(work: Work, call: OngoingCall) -> OngoingCall:
    """Keeps how far it is, and tells it."""
    known = Calls.load(work.database.facts)
    known.current = call
    if known.line(call.uuid, call.peer) is None:
        known.recent.append((call.uuid, call.peer, call.message))
    known.store(work.database.facts)
    work.tell(CallChanged(call))
    return call


def finish(work: Work, call: OngoingCall, outcome: Outcome, *, until: int | None = None) -> OngoingCall:
    """The call is over, since `until` (Unix milliseconds) or now."""
    known = Calls.load(work.database.facts)
    known.current = None
    known.store(work.database.facts)
    seconds = max(0, (work.now if until is None else until) - call.answered) // 1000 if call.answered else 0
    if outcome is Outcome.CROSSED:
        work.database.messages.remove([call.message])
    else:
        mark(work, call.message, outcome, seconds)
    ended = replace(call, phase=Phase.ENDED, outcome=outcome)
    work.tell(CallChanged(ended))
    return ended


def mark(work: Work, line: int, outcome: Outcome, seconds: int = 0) -> None:
    """A call's line says what became of it; one that was missed is something to come back to."""
    message = work.database.messages.get(line)
    if message is None:
        return
    extra = {**message.extra, "state": outcome.value}
    work.database.messages.set_extra(line, {**extra, "seconds": seconds} if seconds else extra)
    seen = message.timestamp <= mirror.read_state(work, message.conversation).last_read
    if outcome is Outcome.MISSED and not message.outgoing and not seen:
        work.database.messages.set_read(line, read=False)
    else:
        work.database.messages.set_read(line, read=True)
        if message.timer is not None and message.expires is None:
            work.database.messages.set_expiry(line, work.now + message.timer.seconds * 1000)
    changed = work.database.messages.get(line)
    if changed is not None:
        work.tell(MessageChanged(changed))


def write_line(
    work: Work,
    peer: str,
    timestamp: int,
    uuid: str,
    state: str,
    *,
    outgoing: bool,
    read: bool = True,
    timer: Disappearing | None = None,
    received: int = 0,
    hash_: str = "",
) -> int:
    """The line of a call in the conversation; its number, 0 if there is none."""
    # Calls disappear after they were read, whatever else does when it was sent (`spec/messages` §6).
    timer = None if timer is None else replace(timer, kind=Disappear.AFTER_READ)
    line = NewMessage(
        peer,
        work.own_id if outgoing else peer,
        timestamp,
        kind="call",
        outgoing=outgoing,
        received=received or timestamp,
        state=MessageState.SENT if outgoing else MessageState.RECEIVED,
        read=read,
        timer=timer,
        hash=hash_,
        extra={"uuid": uuid, "state": state},
    )
    mirror.conversation(work, peer)
    added = work.database.messages.add(line)
    if added is None:
        return 0
    people.unhide(work, peer)
    work.tell(NoticeReceived(added))
    return added.id


# What comes


def take(work: Work, stored: Received, opened: Opened, step: Call) -> None:
    """A step of a call from an approved contact, or the copy of one of our other devices."""
    call = current(work)
    if opened.sender == work.own_id:
        _from_own(work, call, step)
    elif call is not None and (call.uuid, call.peer) == (step.uuid, opened.sender):
        _go_on(work, call, step)
    elif step.step is CallStep.END_CALL:
        _note_over(work, opened.sender, step.uuid)
    elif step.step in (CallStep.PRE_OFFER, CallStep.OFFER):
        _begin(work, stored, opened, call, step)


def _from_own(work: Work, call: OngoingCall | None, step: Call) -> None:
    """Another device of ours has answered or declined: here it rings no longer."""
    if step.step not in (CallStep.ANSWER, CallStep.END_CALL):
        return
    outcome = Outcome.ELSEWHERE if step.step is CallStep.ANSWER else Outcome.DECLINED
    _note_over(work, work.own_id, step.uuid)
    if call is not None and call.uuid == step.uuid:
        if call.phase is Phase.RINGING:
            finish(work, call, outcome)
        return
    line = Calls.load(work.database.facts).line(step.uuid, None)
    message = work.database.messages.get(line) if line else None
    if message is not None and message.extra.get("state") == Outcome.MISSED and not message.outgoing:
        # It was over when we heard of it: what was missed here was not.
        mark(work, message.id, outcome)


def _note_over(work: Work, who: str, uuid: str) -> None:
    """What comes of this call later is of the past."""
    work.database.seen.add({_over(who, uuid): work.now + CALL_MS}, work.now)


def _over(who: str, uuid: str) -> str:
    return f"call over {who} {uuid}"


def _is_over(work: Work, who: str, uuid: str) -> bool:
    return not work.database.seen.new([_over(who, uuid)])


def _begin(work: Work, stored: Received, opened: Opened, call: OngoingCall | None, step: Call) -> None:
    """They call."""
    peer, sent = opened.sender, opened.letter.timestamp
    known = Calls.load(work.database.facts)
    if known.line(step.uuid, peer) is not None:
        return
    outcome = _kept_from_ringing(work, opened, step.uuid)
    crossed = call is not None and call.phase is Phase.CALLING and call.peer == peer
    if outcome is None and call is not None:
        if crossed and work.own_id < peer:
            # Both call each other: the lower Account ID's call goes on, on both sides.
            known.recent.append((step.uuid, peer, 0))
            known.store(work.database.facts)
            return
        if not crossed:
            outcome = Outcome.MISSED
            _refuse(work, peer, step.uuid)
    seen = sent <= mirror.read_state(work, peer).last_read
    unread = outcome in (Outcome.MISSED, Outcome.OFF) and not seen
    state = Phase.RINGING.value if outcome is None else outcome.value
    line = write_line(
        work,
        peer,
        sent,
        step.uuid,
        state,
        outgoing=False,
        read=not unread,
        timer=opened.letter.disappearing,
        received=stored.timestamp,
        hash_=stored.hash,
    )
    if outcome is not None:
        known.recent.append((step.uuid, peer, line))
        known.store(work.database.facts)
        return
    owner = ""
    if call is not None:
        # Ours gives way, and theirs is taken by who was calling them.
        owner = call.owner
        work.replies.append((peer, Call(CallStep.END_CALL, call.uuid)))
        finish(work, call, Outcome.CROSSED)
    begun = OngoingCall(
        step.uuid, peer, False, Phase.RINGING, sent, sent + RING_MS, line, owner=owner, wanted=call is not None
    )
    signal = signal_of(step)
    set_current(work, begun if signal is None else with_signal(begun, signal))


def _kept_from_ringing(work: Work, opened: Opened, uuid: str) -> Outcome | None:
    """Why a call does not ring, whatever else goes on."""
    if _is_over(work, work.own_id, uuid):
        return Outcome.ELSEWHERE
    if not work.settings.calls:
        return Outcome.OFF
    # Who called gives up after that time; a clock that is wrong by more says nothing.
    if abs(work.now - opened.letter.timestamp) >= RING_MS or _is_over(work, opened.sender, uuid):
        return Outcome.MISSED
    return None


def _refuse(work: Work, peer: str, uuid: str) -> None:
    """Says that we are in another call; not to everything that somebody may send."""
    kept = (work.database.facts.get(_BUSY) or b"").decode().split()
    recent = [each for each in kept if work.now - 60_000 < int(each) <= work.now]
    if len(recent) < MAX_REFUSED:
        work.database.facts.set(_BUSY, " ".join([*recent, str(work.now)]).encode())
        work.replies.append((peer, Call(CallStep.END_CALL, uuid)))


def _go_on(work: Work, call: OngoingCall, step: Call) -> None:
    """A step of the call that there is."""
    if step.step is CallStep.END_CALL:
        finish(work, call, _left(call))
        return
    signal = signal_of(step)
    if signal is None:
        return
    taken = with_signal(call, signal)
    if step.step is CallStep.ANSWER:
        if not call.outgoing and call.phase is Phase.RINGING:
            return
        if call.phase is Phase.CALLING:
            taken = replace(taken, phase=Phase.CONNECTING, deadline=work.now + CONNECT_MS)
    if taken != call:
        set_current(work, taken)


def _left(call: OngoingCall) -> Outcome:
    """What a call was that the other side has ended."""
    if call.phase is Phase.CALLING:
        return Outcome.DECLINED
    return Outcome.MISSED if call.phase is Phase.RINGING else Outcome.ANSWERED
