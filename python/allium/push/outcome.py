"""What has come of an attempt to deliver a notification, and how its service says so over HTTP."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Protocol

from allium.push.database import Notification

#: What a service may ask us to wait.
_LONGEST_WAIT = 86_400.0
#: Of what a service says of itself.
_LONGEST_REASON = 200


class OutcomeKind(enum.Enum):
    """Of outcomes."""

    #: The service has it.
    DELIVERED = "delivered"
    #: The device is no more, and its subscription ends.
    GONE = "gone"
    #: It can never be delivered.
    FAILED = "failed"
    #: Later, perhaps.
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one attempt."""

    kind: OutcomeKind
    reason: str = ""
    #: Seconds that the service wants us to wait before the next.
    after: float | None = None


DELIVERED, GONE = Outcome(OutcomeKind.DELIVERED), Outcome(OutcomeKind.GONE)


class Sender(Protocol):
    """Delivers to one service. Raises nothing but cancellation."""

    async def send(self, notification: Notification) -> Outcome:
        """One attempt."""

    async def close(self) -> None:
        """Ends its connections."""


def failed(reason: str) -> Outcome:
    """It can never be delivered."""
    return Outcome(OutcomeKind.FAILED, _short(reason))


def retry(reason: str, after: str | None = None) -> Outcome:
    """Later; `after` is what `Retry-After` says."""
    return Outcome(OutcomeKind.RETRY, _short(reason), seconds(after))


def seconds(after: str | None) -> float | None:
    """Of a `Retry-After`, in seconds or as a date; `None` for what is neither."""
    if after is None:
        return None
    text = after.strip()
    if text.isascii() and text.isdecimal() and len(text) < 12:
        return min(float(text), _LONGEST_WAIT)
    try:
        wait = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, 0.0), _LONGEST_WAIT)


def _short(reason: str) -> str:
    return " ".join(reason.split())[:_LONGEST_REASON]
