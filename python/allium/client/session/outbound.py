"""What we send becomes rows before it becomes requests: the message as it is shown, and in the outbox the sealed bytes.

Both are one transaction. The bytes are made before anything is sent, and with them the hash that every node gives them:
whoever is killed in between sends the same bytes again, and nobody gets two messages.
"""

from __future__ import annotations

from collections.abc import Sequence

from allium.client.database.rows import Message, MessageState, NewMessage, OutboxItem
from allium.client.messages import delivery, kinds
from allium.client.messages.direct import seal
from allium.client.messages.encoding import encode
from allium.client.messages.kinds import Attachment, Disappearing, Letter, Preview, Target
from allium.client.session import letters, mirror, peer_keys, people
from allium.client.session.core import Work
from allium.client.session.events import ConversationChanged, MessageDeleted
from allium.client.session.group import GroupFeature

#: What an item of the outbox is for: its `purpose`.
MESSAGE, COPY, QUIET = "message", "copy", "quiet"
#: Reactions that we send in a minute, as the other clients allow (`spec/messages` §2.1).
MAX_REACTIONS, REACTION_MS = 20, 60_000
#: Nodes keep nothing for a shorter time; milliseconds.
MIN_TTL = 10_000
#: Times that one receipt names.
MAX_RECEIPTS = 500
_LAST_SENT, _REACTED = "last-sent", "reacted"


def next_timestamp(work: Work) -> int:
    """When a message is sent: now, but never twice the same, because it names the message together with its sender."""
    last = int(work.database.facts.get(_LAST_SENT) or 0)
    # A clock that was once far ahead does not hold back all that follows.
    timestamp = max(work.now, last + 1) if last < work.now + REACTION_MS else work.now
    work.database.facts.set(_LAST_SENT, str(timestamp).encode())
    return timestamp


def text(
    work: Work,
    groups: GroupFeature,
    conversation_id: str,
    body: str,
    *,
    quote: Target | None = None,
    attachments: Sequence[Attachment] = (),
    preview: Preview | None = None,
    invitation: kinds.CommunityInvitation | None = None,
) -> Message:
    """A message to be seen. `ValueError` for what cannot be sent, or to nobody."""
    message = kinds.Text(body, tuple(attachments), quote, preview, invitation, work.configs.shown_profile)
    letter, added = _kept(work, groups, conversation_id, message)
    queue(work, groups, conversation_id, letter, added.id)
    return added


def keep(work: Work, groups: GroupFeature, conversation_id: str, message: kinds.Text) -> Message:
    """A message to be seen, which is not sent before `queue` is called. `ValueError` as `text`."""
    return _kept(work, groups, conversation_id, message)[1]


def _kept(work: Work, groups: GroupFeature, conversation_id: str, message: kinds.Text) -> tuple[Letter, Message]:
    delivery.check(message)
    _begin(work, groups, conversation_id)
    timer = None if conversation_id.startswith("03") else people.timer_of(work, conversation_id)
    letter = Letter(message, next_timestamp(work), delivery.timed(message, timer))
    return letter, _shown(work, conversation_id, letter, kind="text")


def _begin(work: Work, groups: GroupFeature, conversation_id: str) -> None:
    """The first message to somebody approves them; to who asked, it accepts."""
    mirror.conversation(work, conversation_id)
    if conversation_id.startswith("05") and conversation_id != work.own_id and people.approve(work, conversation_id):
        _accept(work, groups, conversation_id)


def accept(work: Work, groups: GroupFeature, account_id: str) -> bool:
    """Accepts a message request; whether there was one."""
    news = people.approve(work, account_id)
    if news:
        mirror.conversation(work, account_id)
        _accept(work, groups, account_id)
    return news


def _accept(work: Work, groups: GroupFeature, account_id: str) -> None:
    response = kinds.RequestResponse(True, work.configs.shown_profile)
    queue(work, groups, account_id, Letter(response, next_timestamp(work)), None)


def _shown(work: Work, conversation_id: str, letter: Letter, *, kind: str) -> Message:
    message = letter.message
    is_text = isinstance(message, kinds.Text)
    added = work.database.messages.add(
        NewMessage(
            conversation_id,
            work.own_id,
            letter.timestamp,
            body=message.body if isinstance(message, kinds.Text) else "",
            kind=kind,
            outgoing=True,
            received=letter.timestamp,
            state=MessageState.SENDING,
            quote=message.quote if isinstance(message, kinds.Text) else None,
            timer=letter.disappearing if is_text else None,
            attachments=message.attachments if isinstance(message, kinds.Text) else (),
            extra=letters.text_extra(message) if isinstance(message, kinds.Text) else letters.timer_extra(letter),
        )
    )
    if added is None:
        raise ValueError("a message of that time was sent already")
    people.unhide(work, conversation_id)
    return added


def queue(work: Work, groups: GroupFeature, conversation_id: str, letter: Letter, message: int | None) -> None:
    """Into the outbox, and what our other devices get of it behind it."""
    work.queued = True
    if conversation_id.startswith("03"):
        groups.queue(work, conversation_id, letter, message)
        return
    planned = delivery.direct(letter, conversation_id)
    if conversation_id == work.own_id:
        if planned.copy is not None:
            item = _put(work, work.own_id, planned.copy, planned.copy_ttl, MESSAGE, message)
            _own(work, item, message)
        return
    main = _put(work, conversation_id, letter, planned.ttl, MESSAGE if message else QUIET, message)
    if planned.copy is not None:
        copy = _put(work, work.own_id, planned.copy, planned.copy_ttl, COPY, message, after=main.id)
        _own(work, copy, message)


def _put(
    work: Work, pubkey: str, letter: Letter, ttl: int, purpose: str, message: int | None, after: int | None = None
) -> OutboxItem:
    waits = peer_keys.wants(work, pubkey)
    return work.database.outbox.add(
        pubkey,
        delivery.INBOX,
        seal(work.account, pubkey, letter) if waits else peer_keys.seal_now(work, pubkey, letter),
        ttl=max(MIN_TTL, min(ttl, delivery.TTL)),
        timestamp=letter.timestamp,
        purpose=purpose,
        message=message,
        after=after,
        content=encode(letter) if waits else b"",
    )


def _own(work: Work, item: OutboxItem, message: int | None) -> None:
    """What we store in our own swarm is no news when a poll brings it; and it is what a deletion names."""
    work.database.seen.add({item.hash: work.now + delivery.CONFIG_TTL}, work.now)
    if message is not None:
        work.database.messages.set_hash(message, item.hash)


def react(work: Work, groups: GroupFeature, message: Message, emoji: str, *, remove: bool = False) -> bool:
    """Puts an emoji on a message or takes it off; False if nothing changed. `ValueError` for too many in a minute."""
    if message.deleted or message.kind != "text":
        raise ValueError("there is nothing to react to in this message")
    reactions = work.database.reactions
    timestamp = next_timestamp(work)
    if remove:
        changed = reactions.remove(message.id, work.own_id, emoji)
    else:
        changed = reactions.add(message.id, work.own_id, emoji, timestamp)
    if not changed:
        return False
    count_reaction(work)
    reaction = kinds.Reaction(
        Target(message.timestamp, message.sender), emoji, remove=remove, profile=work.configs.shown_profile
    )
    if not message.conversation.startswith("03"):
        _begin(work, groups, message.conversation)
    queue(work, groups, message.conversation, Letter(reaction, timestamp), None)
    return True


def count_reaction(work: Work) -> None:
    """One more reaction of ours; `ValueError` for too many in a minute."""
    stored = (work.database.facts.get(_REACTED) or b"").decode().split()
    recent = [each for each in stored if work.now - REACTION_MS < int(each) <= work.now]
    if len(recent) >= MAX_REACTIONS:
        raise ValueError(f"{MAX_REACTIONS} reactions a minute are enough")
    work.database.facts.set(_REACTED, " ".join([*recent, str(work.now)]).encode())


def read(work: Work, groups: GroupFeature, conversation_id: str, up_to: int | None = None) -> int:
    """Marks a conversation as read, here and on our other devices, and tells who wrote, if both want that.

    `up_to` is a message's time (Unix milliseconds); without it all are read. Returns how many there were.
    """
    found = work.database.conversations.get(conversation_id)
    if found is None:
        return 0
    unread = work.database.messages.unread(conversation_id, up_to=up_to)
    marked = work.database.messages.mark_read(conversation_id, work.now, up_to=up_to)
    state = mirror.read_state(work, conversation_id)
    newest = max((message.timestamp for message in unread), default=0)
    # Nobody reads what is not sent yet.
    wanted = max(state.last_read, min(newest if up_to is None else up_to, work.now))
    if (wanted, False) != (state.last_read, state.unread):
        state.last_read, state.unread = wanted, False
        mirror.set_read_state(work, conversation_id, state)
    _shorten(work, unread)
    if work.settings.read_receipts and people.is_mutual(work, conversation_id):
        texts = [message.timestamp for message in unread if message.kind == "text"]
        for start in range(0, len(texts), MAX_RECEIPTS):
            receipt = kinds.ReadReceipt(tuple(texts[start : start + MAX_RECEIPTS]))
            queue(work, groups, conversation_id, Letter(receipt, next_timestamp(work)), None)
    work.tell(ConversationChanged(conversation_id))
    return marked


def _shorten(work: Work, messages: Sequence[Message]) -> None:
    """What disappears after it was read ends in our swarm with it, so that our other devices agree."""
    for message in messages:
        timer = message.timer
        if timer is not None and timer.kind is kinds.Disappear.AFTER_READ and message.hash:
            work.shortened[message.hash] = work.now + timer.seconds * 1000


def set_timer(work: Work, groups: GroupFeature, conversation_id: str, timer: Disappearing | None) -> Message:
    """Sets after how long what we send to a conversation disappears, and tells it. `ValueError` for what it cannot."""
    if conversation_id.startswith("03"):
        raise ValueError("the timer of a group is its admins' to set")
    _begin(work, groups, conversation_id)
    people.set_timer(work, conversation_id, timer)
    letter = Letter(kinds.TimerUpdate(work.configs.shown_profile), next_timestamp(work), timer)
    added = _shown(work, conversation_id, letter, kind="timer")
    queue(work, groups, conversation_id, letter, added.id)
    work.tell(ConversationChanged(conversation_id))
    return added


def check_own(work: Work, message: Message) -> None:
    """`ValueError` for what cannot be deleted for everyone."""
    if message.sender != work.own_id or message.kind != "text" or message.deleted:
        raise ValueError("only messages of one's own can be deleted for everyone")


def unsend(work: Work, groups: GroupFeature, message: Message) -> None:
    """Asks the other side and our own devices to delete a message of ours."""
    check_own(work, message)
    request = kinds.Unsend(Target(message.timestamp, work.own_id))
    for item in work.database.outbox.of(message.id):
        # What was not sent yet is not sent at all.
        if item.state.value in ("queued", "failed"):
            work.database.outbox.remove(item.id)
    queue(work, groups, message.conversation, Letter(request, next_timestamp(work)), None)


def extraction(work: Work, groups: GroupFeature, conversation_id: str, kind: kinds.Extraction, when: int) -> None:
    """Tells the other side that a screenshot was taken or a file saved; between two accounts only."""
    if not people.is_mutual(work, conversation_id):
        return
    message = kinds.DataExtraction(kind, when)
    timer = delivery.timed(message, people.timer_of(work, conversation_id))
    queue(work, groups, conversation_id, Letter(message, next_timestamp(work), timer), None)


def call(work: Work, groups: GroupFeature, account_id: str, step: kinds.Call) -> int:
    """One step of a call; when it was sent, Unix milliseconds. The first one approves whom we call."""
    if step.step is kinds.CallStep.PRE_OFFER:
        _begin(work, groups, account_id)
    timestamp = next_timestamp(work)
    timer = delivery.timed(step, people.timer_of(work, account_id))
    queue(work, groups, account_id, Letter(step, timestamp, timer), None)
    return timestamp


def expire(work: Work) -> int | None:
    """Removes what has disappeared; when the next one does, Unix milliseconds, or None."""
    work.database.seen.prune(work.now)
    while due := work.database.messages.expired(work.now):
        work.database.messages.remove(message.id for message in due)
        for message in due:
            work.tell(MessageDeleted(message.conversation, message.id))
    return work.database.messages.next_expiry()
