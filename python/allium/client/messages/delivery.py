"""Who gets a message, where it is stored and for how long (`spec/messages` §3, §4, §6)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from allium.client.messages import kinds, updates
from allium.client.messages.kinds import Call, CallStep, Disappear, Disappearing, Letter, Message

INBOX, GROUP_MESSAGES = 0, 11
_DAY = 86_400_000
TTL = 14 * _DAY
CONFIG_TTL = 30 * _DAY
TYPING_TTL = 20_000
CALL_TTL = 5 * 60_000

#: Free, and with Session Pro: in code points.
MAX_BODY, MAX_BODY_PRO = 2_000, 10_000

#: What is sent without a timer, whatever the conversation has.
_NEVER = (kinds.ReadReceipt, kinds.Typing, kinds.Unsend, kinds.RequestResponse, kinds.GroupUpdateMessage)
#: What begins to disappear when it was read, even where others do when they were sent.
_AFTER_READ = (kinds.DataExtraction, kinds.Call)


@dataclass(frozen=True)
class Delivery:
    """Where a message goes."""

    namespace: int
    #: Milliseconds.
    ttl: int
    #: What the own account gets of it; None if nothing.
    copy: Letter | None = None
    #: Milliseconds for which that is stored.
    copy_ttl: int = 0


def timed(message: Message, disappearing: Disappearing | None) -> Disappearing | None:
    """The timer of a message in a conversation that has `disappearing`."""
    if disappearing is None or isinstance(message, _NEVER):
        return None
    if isinstance(message, _AFTER_READ):
        return replace(disappearing, kind=Disappear.AFTER_READ)
    return disappearing


def direct(letter: Letter, recipient: str) -> Delivery:
    """Of a letter to an account (its Account ID)."""
    message = letter.message
    match message:
        case kinds.Typing():
            return Delivery(INBOX, TYPING_TTL)
        case Call(step):
            echoed = letter if step in (CallStep.ANSWER, CallStep.END_CALL) else None
            return Delivery(INBOX, CALL_TTL, echoed, CALL_TTL)
        case kinds.Unsend():
            return Delivery(INBOX, TTL, letter, TTL)
        case kinds.Text() | kinds.Reaction() | kinds.TimerUpdate():
            copied = replace(letter, message=replace(message, sync_target=recipient))
            return Delivery(INBOX, _ttl(letter.disappearing, Disappear.AFTER_SEND), copied, _ttl(letter.disappearing))
        case _:
            return Delivery(INBOX, _ttl(letter.disappearing, Disappear.AFTER_SEND))


def to_group(letter: Letter) -> Delivery:
    """Of a letter to a group, whose swarm all devices read; `ValueError` for what goes to accounts alone."""
    match letter.message:
        case kinds.GroupUpdateMessage(updates.Invite() | updates.Promote()):
            raise ValueError("an invitation goes to the account that is invited")
        case kinds.Text() | kinds.Reaction() | kinds.GroupUpdateMessage():
            return Delivery(GROUP_MESSAGES, _ttl(letter.disappearing, Disappear.AFTER_SEND))
        case _:
            raise ValueError("groups know no such message")


def check(message: Message, *, pro: bool = False) -> None:
    """`ValueError` with a reason for a message that must not be sent."""
    if not isinstance(message, kinds.Text):
        return
    limit = MAX_BODY_PRO if pro else MAX_BODY
    if len(message.body) > limit:
        raise ValueError(f"a text has at most {limit} characters, this one {len(message.body)}")
    if len(message.attachments) > kinds.MAX_ATTACHMENTS:
        raise ValueError(f"a message has at most {kinds.MAX_ATTACHMENTS} attachments")
    if not (message.body or message.attachments or message.quote or message.preview or message.invitation):
        raise ValueError("there is nothing in this message")
    if message.preview is not None and message.preview.url not in message.body:
        raise ValueError("a preview is of a link in the text")


def _ttl(disappearing: Disappearing | None, kind: Disappear | None = None) -> int:
    """Where it matters of which kind the timer is, `kind` says it."""
    if disappearing is None or (kind is not None and disappearing.kind is not kind):
        return TTL
    return min(disappearing.seconds * 1000, TTL)
