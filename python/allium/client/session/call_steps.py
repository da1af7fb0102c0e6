"""What we do in a call: begin it, answer it, exchange how we can be reached, end it; and what time does to it."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Sequence
from dataclasses import replace

from allium.client.messages.kinds import Call, CallStep
from allium.client.session import calling, outbound, people
from allium.client.session.call_state import Candidate, OngoingCall, Outcome, Phase
from allium.client.session.calling import CallError, current, finish, set_current, write_line
from allium.client.session.core import Work
from allium.client.session.group import GroupFeature

_ALIVE = (Phase.CALLING, Phase.CONNECTING, Phase.CONNECTED)


def start(work: Work, groups: GroupFeature, account_id: str, owner: str) -> OngoingCall:
    """We call somebody. `CallError` for whom we cannot, and while there is a call."""
    if not work.settings.calls:
        raise CallError("calls are off; turn them on under settings, privacy")
    contact = people.contact_of(work, account_id)
    if contact is None or not contact.approved_me or contact.blocked:
        raise CallError("only contacts who have accepted you, and are not blocked, can be called")
    if current(work) is not None:
        raise CallError("there is a call already; end it first")
    name = str(uuids.uuid4())
    timestamp = outbound.call(work, groups, account_id, Call(CallStep.PRE_OFFER, name))
    line = write_line(
        work,
        account_id,
        timestamp,
        name,
        Phase.CALLING.value,
        outgoing=True,
        timer=people.timer_of(work, account_id),
    )
    call = OngoingCall(name, account_id, True, Phase.CALLING, work.now, work.now + calling.RING_MS, line, owner=owner)
    return set_current(work, call)


def named(work: Work, uuid: str, *phases: Phase) -> OngoingCall:
    """The call that there is, if it has this UUID and is as far as one of `phases`; else `CallError`."""
    call = current(work)
    if call is None or call.uuid != uuid:
        raise CallError("this call is over")
    if phases and call.phase not in phases:
        raise CallError("this call is not as far as that")
    return call


def accept(work: Work, uuid: str, owner: str) -> OngoingCall:
    """We take a call; the first who does has it."""
    call = named(work, uuid)
    if call.phase is not Phase.RINGING:
        raise CallError("this call was taken already")
    return set_current(work, replace(call, phase=Phase.CONNECTING, owner=owner, deadline=work.now + calling.CONNECT_MS))


def describe(work: Work, groups: GroupFeature, uuid: str, step: CallStep, sdp: str) -> None:
    """Sends an offer, also a further one of a call that goes on, or an answer."""
    call = named(work, uuid, *_ALIVE)
    if step is CallStep.ANSWER and call.phase is Phase.CALLING:
        raise CallError("there is nothing to answer yet")
    outbound.call(work, groups, call.peer, Call(step, uuid, (sdp,)))


def candidates(work: Work, groups: GroupFeature, uuid: str, found: Sequence[Candidate]) -> None:
    """Sends how we can be reached."""
    call = named(work, uuid, *_ALIVE)
    if found:
        step = Call(
            CallStep.ICE_CANDIDATES,
            uuid,
            tuple(each.candidate for each in found),
            tuple(each.line_index for each in found),
            tuple(each.mid for each in found),
        )
        outbound.call(work, groups, call.peer, step)


def alive(work: Work, uuid: str, *, connected: bool) -> OngoingCall:
    """Who has the call is still there, and hears the other side or does not."""
    call = named(work, uuid, *_ALIVE)
    if connected:
        answered = call.answered or work.now
        news = replace(call, phase=Phase.CONNECTED, answered=answered, deadline=work.now + calling.LEASE_MS)
        return set_current(work, news)
    return call


def end(work: Work, groups: GroupFeature, uuid: str, *, failed: bool = False) -> OngoingCall:
    """We hang up, decline, or give up."""
    call = named(work, uuid)
    outbound.call(work, groups, call.peer, Call(CallStep.END_CALL, uuid))
    return finish(work, call, _given_up(call, failed=failed))


def _given_up(call: OngoingCall, *, failed: bool) -> Outcome:
    if call.phase is Phase.RINGING:
        return Outcome.DECLINED
    if call.answered:
        return Outcome.ANSWERED
    if failed:
        return Outcome.FAILED
    return Outcome.UNANSWERED if call.phase is Phase.CALLING else Outcome.ANSWERED


def expire(work: Work, groups: GroupFeature) -> int | None:
    """Ends the call whose time is over; when that of the one that there is will be, Unix milliseconds."""
    call = current(work)
    if call is None:
        return None
    if work.now < call.deadline:
        return call.deadline
    if call.phase is Phase.RINGING:
        # Who calls gives up by itself.
        finish(work, call, Outcome.MISSED)
        return None
    outbound.call(work, groups, call.peer, Call(CallStep.END_CALL, call.uuid))
    finish(work, call, _given_up(call, failed=True) if call.phase is not Phase.CALLING else Outcome.UNANSWERED)
    return None


def settle(work: Work) -> None:
    """A call in which the last run ended is over: nobody has it any more."""
    call = current(work)
    if call is None:
        return
    if call.phase is Phase.RINGING:
        finish(work, call, Outcome.MISSED)
    else:
        finish(
            work, call, _given_up(call, failed=call.phase is Phase.CONNECTING), until=call.deadline - calling.LEASE_MS
        )
