"""What the API shows of how a call finds its way."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class IceServerView(Struct, kw_only=True):
    """A server for calls."""

    url: str
    username: str
    credential: str


class IceView(Struct, kw_only=True):
    """How a call may find its way."""

    servers: list[IceServerView]
    relay_only: bool


class CandidateView(Struct, kw_only=True):
    """A candidate of WebRTC."""

    candidate: str
    line_index: int
    mid: str


class SignalView(Struct, kw_only=True):
    """What the other side has sent: of an `offer` or `answer` its `sdp`, else `candidates`."""

    kind: Literal["offer", "answer", "candidates"]
    sdp: str
    candidates: list[CandidateView]


class SignalsView(Struct, kw_only=True):
    """Those behind the first `after`, in order."""

    signals: list[SignalView]
