"""What one letter to the account does to its state, by kind (`spec/messages` §4 to §7).

Nothing in here trusts a letter further than its signature: who sent it is sure, what it says is not.
"""

from __future__ import annotations

from typing import Any

from allium.client.database.rows import Deleted, Message, MessageState, NewMessage
from allium.client.messages import kinds, pro, text, updates
from allium.client.messages.decoding import MessageError
from allium.client.messages.direct import Received as Opened
from allium.client.messages.direct import of_content, open_letter
from allium.client.messages.kinds import Disappear, Letter, Target
from allium.client.messages.pro import ProStatus
from allium.client.polling import Received
from allium.client.protocol_v2.messages import version
from allium.client.protocol_v2.primitives import ProtocolError
from allium.client.session import blinded, calling, mirror, people
from allium.client.session.core import Work
from allium.client.session.events import (
    CallReceived,
    MessageDeleted,
    MessageReceived,
    NoticeReceived,
    ReactionReceived,
    ReceiptReceived,
    RequestReceived,
    TypingReceived,
)
from allium.client.session.group import GroupFeature

#: A typing message of another time than this says nothing of now; milliseconds.
TYPING_MS = 20_000
CALL_MS = 5 * 60_000
#: What was sent so long before a config was is known to who pushed that; milliseconds.
PUSHED_MS = 60_000
#: How long a deletion waits for a message that other nodes have and this one does not, milliseconds.
TOMBSTONE_MS = 15 * 86_400_000
_MAX_MENTIONS = 100
#: In a message's `extra`: when this device had it, Unix milliseconds.
FETCHED = "fetched"

__all__ = ["FETCHED", "MessageError", "take"]


def take(work: Work, stored: Received, groups: GroupFeature) -> None:
    """Takes a message of namespace 0; `MessageError` if it cannot be read."""
    take_opened(work, stored, _opened(work, stored.data), groups)


def _opened(work: Work, data: bytes) -> Opened:
    """Of either protocol."""
    try:
        if version(data) == 1:
            return open_letter(work.account, data)
        opened = work.readers.reader(work).open(data)
    except ProtocolError as error:
        raise MessageError(str(error)) from None
    return of_content(
        work.account,
        opened.sender,
        opened.content,
        opened.forward_secret,
        opened.pro_signed,
        opened.pro_signature or b"",
    )


def take_opened(work: Work, stored: Received, opened: Opened, groups: GroupFeature) -> None:
    """The same of a letter that was opened elsewhere; `stored` says when it came, and what it is known by."""
    message = opened.letter.message
    contact = people.contact_of(work, opened.sender)
    if isinstance(message, kinds.GroupUpdateMessage):
        # Who is blocked may still invite to, or promote in, a group that is not: the group's business.
        if isinstance(message.update, updates.Invite | updates.Promote):
            groups.letter(work, stored, opened)
        return
    if contact is not None and contact.blocked:
        return
    if isinstance(message, kinds.Text | kinds.RequestResponse):
        blinded.meet(work, opened.sender)
    match message:
        case kinds.Text() | kinds.TimerUpdate():
            _visible(work, stored, opened)
        case kinds.Reaction():
            _reaction(work, opened, message)
        case kinds.Typing(started):
            _typing(work, opened, started)
        case kinds.ReadReceipt(timestamps):
            _receipt(work, opened, timestamps)
        case kinds.Unsend(target):
            _unsend(work, opened.sender, target)
        case kinds.DataExtraction(kind):
            _extraction(work, stored, opened, kind)
        case kinds.RequestResponse():
            _response(work, stored, opened, message)
        case kinds.Call():
            _call(work, stored, opened, message)


def _conversation_of(work: Work, opened: Opened) -> str:
    """Where it belongs: of a copy, the conversation that it went to."""
    return opened.letter.sync_target or opened.sender


def _visible(work: Work, stored: Received, opened: Opened) -> None:
    letter, outgoing = opened.letter, opened.sender == work.own_id
    conversation_id = _conversation_of(work, opened)
    if _is_dropped(work, opened, conversation_id, outgoing):
        return
    message = letter.message
    contact = people.contact_of(work, conversation_id)
    if not outgoing:
        profile = message.profile if isinstance(message, kinds.Text | kinds.TimerUpdate) else None
        people.learn_profile(work, opened.sender, profile)
        contact = people.heard_from(work, opened.sender, profile)
    mirror.conversation(work, conversation_id)
    row = _row(work, stored, opened, conversation_id)
    added = work.database.messages.add(row)
    if added is None:
        return
    people.unhide(work, conversation_id)
    if outgoing and isinstance(message, kinds.TimerUpdate):
        people.set_timer(work, conversation_id, letter.disappearing)
    if added.kind != "text":
        work.tell(NoticeReceived(added))
        return
    approved = outgoing or conversation_id == work.own_id or (contact is not None and contact.approved)
    work.tell(MessageReceived(added) if approved else RequestReceived(added))


def _is_dropped(work: Work, opened: Opened, conversation_id: str, outgoing: bool) -> bool:
    """Whether another device deleted it, or the conversation, after it was sent."""
    sent = opened.letter.timestamp
    if not work.database.seen.new([tombstone(opened.sender, sent)]):
        return True
    if conversation_id == work.own_id:
        hidden = work.configs.profile.note_to_self_priority < 0
        return hidden and sent < mirror.config_time(work, mirror.PROFILE)
    if not conversation_id.startswith("05"):
        # A copy of what went to a group: its swarm has it. To a blinded id: only if it is known.
        return work.database.conversations.get(conversation_id) is None
    contact = people.contact_of(work, conversation_id)
    newest = mirror.config_time(work, mirror.CONTACTS)
    if contact is not None:
        return contact.priority < 0 and sent < newest
    # Somebody unknown may just be new; whom we wrote to has been a contact, unless that is not pushed yet.
    return sent < mirror.erased(work, conversation_id) or (outgoing and sent < newest - PUSHED_MS)


def _row(work: Work, stored: Received, opened: Opened, conversation_id: str) -> NewMessage:
    letter, outgoing = opened.letter, opened.sender == work.own_id
    notice = not isinstance(letter.message, kinds.Text)
    # One of ours is read when the other side says so.
    read = not outgoing and (notice or letter.timestamp <= mirror.read_state(work, conversation_id).last_read)
    common: dict[str, Any] = {
        "conversation": conversation_id,
        "sender": opened.sender,
        "timestamp": letter.timestamp,
        "outgoing": outgoing,
        "received": stored.timestamp,
        "state": MessageState.SENT if outgoing else MessageState.RECEIVED,
        "read": read,
        "hash": stored.hash,
    }
    message = letter.message
    if not isinstance(message, kinds.Text):
        return NewMessage(**common, kind="timer", extra=timer_extra(letter))
    return NewMessage(
        **common,
        body=message.body,
        quote=message.quote,
        timer=letter.disappearing,
        expires=_expires(work, stored, letter, outgoing or read),
        attachments=tuple(_attachment(each) for each in message.attachments),
        extra=text_extra(message)
        | {FETCHED: work.now}
        | _protection(opened)
        | pro_extra(work, letter, opened.signed, opened.signature),
    )


def _protection(opened: Opened) -> dict[str, Any]:
    """Of protocol v2, whether its keys are soon forgotten: readers are to be shown when they are not."""
    return {} if opened.forward_secret is None else {"forward_secret": opened.forward_secret}


def pro_extra(work: Work, letter: Letter, signed: bytes, signature: bytes) -> dict[str, Any]:
    """What becomes of a claim of Session Pro; the message is shown in any case (`spec/messages` §9)."""
    found = pro.status(letter.pro, signature, signed, letter.timestamp, work.pro_backend)
    if found is ProStatus.NONE:
        return {}
    told: dict[str, Any] = {"status": found.name.lower()}
    if found is ProStatus.VALID:
        told["profile"], told["message"] = pro.features(letter.pro)
    return {"pro": told}


def _expires(work: Work, stored: Received, letter: Letter, read: bool) -> int | None:
    timer = letter.disappearing
    if timer is None or (timer.kind is Disappear.AFTER_READ and not read):
        return None
    # The swarm's copy ends when the timer does, whichever device started it.
    return min(stored.expiry, work.now + timer.seconds * 1000)


def timer_extra(letter: Letter) -> dict[str, Any]:
    """What a notice of a changed timer says."""
    timer = letter.disappearing
    return {"seconds": timer.seconds, "type": timer.kind.name.lower()} if timer else {"seconds": 0, "type": "off"}


def text_extra(message: kinds.Text) -> dict[str, Any]:
    """What a text has besides its body, its quote and its files."""
    extra: dict[str, Any] = {}
    if mentioned := text.mentions(message.body)[:_MAX_MENTIONS]:
        extra["mentions"] = mentioned
    if message.preview is not None:
        extra["preview"] = preview_extra(message.preview)
    if message.invitation is not None:
        extra["invitation"] = {"url": message.invitation.url, "name": text.name(message.invitation.name)}
    return extra


def preview_extra(preview: kinds.Preview) -> dict[str, Any]:
    """What is kept of a preview, with where its image is."""
    kept: dict[str, Any] = {"url": preview.url, "title": text.plain(preview.title)}
    if (image := preview.image) is not None and image.url:
        kept["image"] = {
            "url": image.url,
            "key": image.key.hex(),
            "digest": image.digest.hex(),
            "size": image.size,
            "type": image.content_type,
            "width": image.width,
            "height": image.height,
        }
    return kept


def preview_of(kept: Any) -> kinds.Preview | None:
    """The inverse; None for what is none."""
    try:
        image = kept.get("image")
        found = image and kinds.Attachment(
            str(image["url"]),
            bytes.fromhex(image["key"]),
            bytes.fromhex(image["digest"]),
            int(image["size"]),
            str(image["type"]),
            width=int(image["width"]),
            height=int(image["height"]),
        )
        return kinds.Preview(str(kept["url"]), str(kept["title"]), found)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _attachment(attachment: kinds.Attachment) -> kinds.Attachment:
    fields = {name: getattr(attachment, name) for name in attachment.__dataclass_fields__}
    return kinds.Attachment(**{**fields, "name": text.file_name(attachment.name) if attachment.name else ""})


def _reaction(work: Work, opened: Opened, reaction: kinds.Reaction) -> None:
    conversation_id = _conversation_of(work, opened)
    if opened.sender != work.own_id:
        people.learn_profile(work, opened.sender, reaction.profile)
    target = work.database.messages.find(conversation_id, reaction.target, kind="text")
    if target is None or target.deleted:
        return
    reactions = work.database.reactions
    changed = (
        reactions.remove(target.id, opened.sender, reaction.emoji)
        if reaction.remove
        else reactions.add(target.id, opened.sender, reaction.emoji, opened.letter.timestamp)
    )
    if changed:
        work.tell(ReactionReceived(conversation_id, target.id, opened.sender, reaction.emoji, removed=reaction.remove))


def _typing(work: Work, opened: Opened, started: bool) -> None:
    recent = abs(work.now - opened.letter.timestamp) < TYPING_MS
    if recent and work.settings.typing and people.is_mutual(work, opened.sender):
        work.tell(TypingReceived(opened.sender, started))


def _receipt(work: Work, opened: Opened, timestamps: tuple[int, ...]) -> None:
    # Nobody has read anything in a time that is still to come.
    when = min(opened.letter.timestamp, work.now)
    if work.settings.read_receipts and work.database.messages.mark_seen(opened.sender, timestamps, when):
        work.tell(ReceiptReceived(opened.sender, timestamps))


def _unsend(work: Work, sender: str, target: Target) -> None:
    """A sender deletes its own message: here a place stays where it was, among notes to self nothing does."""
    found = find(work, sender, target)
    if found is None:
        work.database.seen.add({tombstone(target.author, target.timestamp): work.now + TOMBSTONE_MS}, work.now)
    elif found.kind == "text":
        erase(work, found, Deleted.EVERYWHERE)
        if found.hash:
            work.deletions.append(found.hash)


def find(work: Work, sender: str, target: Target) -> Message | None:
    """The message that a deletion names: of another's in the conversation with them, of our own anywhere."""
    if sender != work.own_id:
        return work.database.messages.find(sender, target, kind="text")
    return work.database.messages.find(None, target, kind="text")


def erase(work: Work, message: Message, how: Deleted) -> None:
    """Leaves a place where the message was; nothing of notes to self, of notices, and of places."""
    whole = message.conversation == work.own_id or message.kind != "text" or message.deleted
    if whole:
        work.database.messages.remove([message.id])
    else:
        work.database.messages.delete(message.id, how)
    work.tell(MessageDeleted(message.conversation, message.id, placeholder=not whole))


def tombstone(author: str, timestamp: int) -> str:
    """What is remembered among the hashes of a message that was deleted before it came."""
    return f"unsent {author} {timestamp}"


def _notice(work: Work, stored: Received, opened: Opened, kind: str, extra: dict[str, Any]) -> Message | None:
    """A line in the conversation with the sender, if there is one."""
    if work.database.conversations.get(opened.sender) is None:
        return None
    return work.database.messages.add(
        NewMessage(
            opened.sender,
            opened.sender,
            opened.letter.timestamp,
            kind=kind,
            received=stored.timestamp,
            read=True,
            hash=stored.hash,
            extra=extra,
        )
    )


def _extraction(work: Work, stored: Received, opened: Opened, kind: kinds.Extraction) -> None:
    if not people.is_mutual(work, opened.sender):
        return
    if added := _notice(work, stored, opened, "extraction", {"what": kind.name.lower()}):
        work.tell(NoticeReceived(added))


def _response(work: Work, stored: Received, opened: Opened, response: kinds.RequestResponse) -> None:
    contact = people.contact_of(work, opened.sender)
    if contact is None or not contact.approved or not response.approved:
        # Nobody asked.
        return
    news = not contact.approved_me
    people.learn_profile(work, opened.sender, response.profile)
    people.heard_from(work, opened.sender, response.profile)
    if news and (added := _notice(work, stored, opened, "accepted", {})):
        work.tell(NoticeReceived(added))


def _call(work: Work, stored: Received, opened: Opened, call: kinds.Call) -> None:
    sent, own = opened.letter.timestamp, opened.sender == work.own_id
    contact = people.contact_of(work, opened.sender)
    if not own and (contact is None or not contact.approved):
        return
    if not own:
        people.heard_from(work, opened.sender, None)
    calling.take(work, stored, opened, call)
    if abs(work.now - sent) < CALL_MS and work.settings.calls:
        work.tell(CallReceived(opened.sender, opened.sender, call, sent))
