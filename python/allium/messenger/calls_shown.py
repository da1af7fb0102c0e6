"""Calls as the API shows them, and the servers by which they find their way."""

from __future__ import annotations

import random
from collections.abc import Sequence

from allium.client.session.call_state import OngoingCall, Signal
from allium.client.session.core import Work
from allium.messenger.call_views import CandidateView, IceServerView, IceView, SignalView
from allium.messenger.facts import Facts
from allium.messenger.people import People
from allium.messenger.views import CallView

#: The live network's relays, of which each call takes some (`spec/files-and-calls` §4).
_RELAYS = ("freyr", "angus", "hereford", "holstein", "brahman")
_TAKEN = 2
_NAME, _WORD = "session202111", "053c268164bc7bd7"


def call(work: Work, prefix: str, found: OngoingCall) -> CallView:
    """A call; `prefix` is the path of the account."""
    return CallView(
        id=found.uuid,
        contact=People(work, prefix).view(found.peer),
        outgoing=found.outgoing,
        phase=found.phase.value,
        since=found.since,
        answered=found.answered or None,
        owner=found.owner,
        wanted=found.wanted,
        signals=len(found.signals),
        outcome=None if found.outcome is None else found.outcome.value,
    )


def signals(found: Sequence[Signal]) -> list[SignalView]:
    """What the other side has sent."""
    return [
        SignalView(
            kind=each.kind,  # type: ignore[arg-type]
            sdp=each.sdp,
            candidates=[
                CandidateView(candidate=one.candidate, line_index=one.line_index, mid=one.mid)
                for one in each.candidates
            ],
        )
        for each in found
    ]


def servers(facts: Facts) -> list[IceServerView] | None:
    """Those that the owner has set."""
    if facts.ice_servers is None:
        return None
    return [
        IceServerView(url=each.url, username=each.username, credential=each.credential) for each in facts.ice_servers
    ]


def ice(facts: Facts, *, mainnet: bool) -> IceView:
    """How a call may find its way: on the live network by its relays, unless the owner has set others."""
    own = servers(facts)
    if own is None:
        chosen = random.SystemRandom().sample(_RELAYS, _TAKEN) if mainnet else []
        own = [IceServerView(url=f"turn:{each}.getsession.org", username=_NAME, credential=_WORD) for each in chosen]
    return IceView(servers=own, relay_only=facts.relay_only)
