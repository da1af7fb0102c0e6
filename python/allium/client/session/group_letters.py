"""What one letter to a group does to the database: shown as a message or a notice, or applied to others.

Its signatures are good: `groups.inbound` has looked at them. What it says is not to be trusted further.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from allium.client.database.rows import Deleted, Message, MessageState, NewMessage
from allium.client.groups.changes import Deletion, GroupLetter
from allium.client.messages import kinds, text, updates
from allium.client.messages.kinds import Disappear, Letter
from allium.client.session import letters, mirror, people
from allium.client.session.core import Work
from allium.client.session.events import MessageReceived, NoticeReceived, ReactionReceived


def take(work: Work, group_id: str, taken: GroupLetter, expiry: int) -> None:
    """Takes one letter; `expiry` is until when the swarm keeps it, in Unix milliseconds."""
    letter, sender = taken.received.letter, taken.received.sender
    message = letter.message
    profile = getattr(message, "profile", None)
    if sender != work.own_id:
        people.learn_profile(work, sender, profile)
    match message:
        case kinds.Text():
            received = taken.received
            claimed = letters.pro_extra(work, letter, received.signed, received.signature)
            _add(work, group_id, taken, "text", expiry, letters.text_extra(message) | claimed, message)
        case kinds.Reaction():
            _react(work, group_id, sender, letter, message)
        case kinds.GroupUpdateMessage(update):
            extra = _notice(update)
            if extra is not None:
                _add(work, group_id, taken, "group", expiry, extra)
        case _:
            pass


def _add(
    work: Work,
    group_id: str,
    taken: GroupLetter,
    kind: str,
    expiry: int,
    extra: dict[str, Any],
    message: kinds.Text | None = None,
) -> None:
    letter, sender = taken.received.letter, taken.received.sender
    outgoing = sender == work.own_id
    added = work.database.messages.add(
        NewMessage(
            group_id,
            sender,
            letter.timestamp,
            body=message.body if message else "",
            kind=kind,
            outgoing=outgoing,
            received=taken.timestamp,
            state=MessageState.SENT if outgoing else MessageState.RECEIVED,
            read=not outgoing and letter.timestamp <= mirror.read_state(work, group_id).last_read,
            hash=taken.hash,
            quote=message.quote if message else None,
            timer=letter.disappearing,
            expires=_expires(work, letter, expiry),
            attachments=tuple(_attachment(each) for each in message.attachments) if message else (),
            extra=extra | ({letters.FETCHED: work.now} if message else {}),
        )
    )
    if added is not None:
        work.tell(MessageReceived(added) if message else NoticeReceived(added))


def _attachment(attachment: kinds.Attachment) -> kinds.Attachment:
    return replace(attachment, name=text.file_name(attachment.name) if attachment.name else "")


def _expires(work: Work, letter: Letter, expiry: int) -> int | None:
    timer = letter.disappearing
    if timer is None or timer.kind is not Disappear.AFTER_SEND:
        return None
    return min(expiry, work.now + timer.seconds * 1000)


def _react(work: Work, group_id: str, sender: str, letter: Letter, reaction: kinds.Reaction) -> None:
    target = work.database.messages.find(group_id, reaction.target, kind="text")
    if target is None or target.deleted:
        return
    changed = (
        work.database.reactions.remove(target.id, sender, reaction.emoji)
        if reaction.remove
        else work.database.reactions.add(target.id, sender, reaction.emoji, letter.timestamp)
    )
    if changed:
        work.tell(ReactionReceived(group_id, target.id, sender, reaction.emoji, removed=reaction.remove))


def _notice(update: updates.GroupUpdate) -> dict[str, Any] | None:
    """What a line in the conversation says; None for what nobody is shown."""
    match update:
        case updates.InfoChange(kind, name, seconds):
            what = {"change": kind.name.lower()}
            if kind is updates.InfoKind.NAME:
                return {**what, "name": text.name(name)}
            return {**what, "seconds": seconds} if kind is updates.InfoKind.DISAPPEARING else what
        case updates.MemberChange(kind, members, history):
            ids = [each.lower() for each in members]
            return {"change": kind.name.lower(), "members": ids, "history": history}
        case updates.MemberLeftNotice():
            return {"change": "left"}
        case _:
            return None


def delete(work: Work, group_id: str, deletion: Deletion) -> list[str]:
    """Applies a deletion; the storage hashes that an admin's device is to delete in the swarm too."""
    gone: list[str] = []
    for stored in deletion.hashes:
        message = work.database.messages.by_hash(stored)
        if message is None:
            if deletion.by_admin:
                # Should another node still have it, it is not shown.
                work.database.seen.add({stored: work.now + letters.TOMBSTONE_MS}, work.now)
                gone.append(stored)
        elif message.conversation == group_id and (deletion.by_admin or message.sender == deletion.by):
            _erase(work, message, gone)
    for member in dict.fromkeys(deletion.members):
        while found := work.database.messages.of_sender(group_id, member, until=deletion.timestamp):
            for each in found:
                _erase(work, each, gone)
    return gone


def _erase(work: Work, message: Message, gone: list[str]) -> None:
    if message.hash:
        gone.append(message.hash)
    if message.kind == "text" and not message.deleted:
        letters.erase(work, message, Deleted.EVERYWHERE)
