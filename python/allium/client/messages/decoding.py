"""Protobuf of strangers as a message, or the reason why it is none (`spec/messages` §2, §8).

One poor part does not hide the rest: a quote without an author is no quote, and the text stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, get_args

from google.protobuf.message import DecodeError

from allium.client import session_pb2 as pb
from allium.client.messages import kinds, updates
from allium.client.messages.kinds import (
    MAX_ATTACHMENTS,
    Attachment,
    Call,
    CallStep,
    Disappear,
    Disappearing,
    Extraction,
    Letter,
    Message,
    Profile,
    Target,
)

#: The last millisecond that every client can show: that of the year 275760.
MAX_TIMESTAMP = 8_640_000_000_000_000
MAX_LISTED = 1_000
_MAX_EMOJI = 64
_TIMER_UPDATE = 2
_VOICE = 1
_ID = re.compile(r"(?:03|05|15|25)[0-9a-f]{64}")
_UpdateField = Literal[
    "inviteMessage",
    "infoChangeMessage",
    "memberChangeMessage",
    "promoteMessage",
    "memberLeftMessage",
    "inviteResponse",
    "deleteMemberContent",
    "memberLeftNotificationMessage",
]
#: The group updates, by field: what a message has exactly one of.
_UPDATES: tuple[_UpdateField, ...] = get_args(_UpdateField)


class MessageError(ValueError):
    """Bytes that are no message that this version knows. Anyone may store such bytes, so this is no fault of ours."""


def decode(data: bytes, timestamp: int) -> Letter:
    """The letter in the bytes of a Content; `timestamp` is the envelope's, 0 where there is no envelope.

    `MessageError` says why it is refused.
    """
    try:
        content = pb.Content.FromString(data)
    except DecodeError:
        raise MessageError("not a content") from None
    signed = content.sigTimestamp
    if signed and timestamp and signed != timestamp:
        raise MessageError("the signed time is not the envelope's")
    sent = timestamp or signed
    if not 0 < sent <= MAX_TIMESTAMP:
        raise MessageError("no time at which anything is sent")
    return Letter(
        _body(content, sent),
        sent,
        _disappearing(content),
        content.proMessage.SerializeToString() if content.HasField("proMessage") else b"",
    )


def _disappearing(content: pb.Content) -> Disappearing | None:
    kind = int(content.expirationType)
    if not kind or not content.expirationTimer:
        return None
    return Disappearing(Disappear(kind), content.expirationTimer)


def _body(content: pb.Content, sent: int) -> Message:
    if content.HasField("dataMessage"):
        return _data(content.dataMessage)
    if content.HasField("receiptMessage"):
        return _receipt(content.receiptMessage)
    if content.HasField("typingMessage"):
        if content.typingMessage.timestamp != sent:
            raise MessageError("a typing message of another time")
        return kinds.Typing(content.typingMessage.action == pb.TypingMessage.STARTED)
    if content.HasField("dataExtractionNotification"):
        notification = content.dataExtractionNotification
        if not notification.HasField("type"):
            raise MessageError("a data extraction of no known kind")
        return kinds.DataExtraction(Extraction(notification.type), _time(notification.timestamp))
    if content.HasField("unsendRequest"):
        return kinds.Unsend(_target(content.unsendRequest.timestamp, content.unsendRequest.author))
    if content.HasField("callMessage"):
        return _call(content.callMessage)
    if content.HasField("messageRequestResponse"):
        response = content.messageRequestResponse
        return kinds.RequestResponse(response.isApproved, _profile(response, response.profileKey))
    raise MessageError("a message of no kind that is known")


def _data(data: pb.DataMessage) -> Message:
    profile = _profile(data, data.profileKey)
    if data.HasField("groupUpdateMessage"):
        return kinds.GroupUpdateMessage(_update(data.groupUpdateMessage), profile)
    sync_target = _text(data.syncTarget)
    if sync_target and _ID.fullmatch(sync_target) is None:
        raise MessageError("a copy of what went to nobody")
    if data.flags == _TIMER_UPDATE:
        return kinds.TimerUpdate(profile, sync_target)
    if data.flags:
        raise MessageError("flags that are not known")
    if data.HasField("reaction"):
        return _reaction(data.reaction, profile, sync_target)
    text = kinds.Text(
        _text(data.body),
        tuple(_attachment(each) for each in data.attachments[:MAX_ATTACHMENTS]),
        _quote(data),
        _preview(data),
        _invitation(data),
        profile,
        sync_target,
        data.blocksCommunityMessageRequests if data.HasField("blocksCommunityMessageRequests") else None,
    )
    if not (text.body or text.attachments or text.quote or text.preview or text.invitation):
        raise MessageError("a message with nothing to be seen")
    return text


def _reaction(reaction: pb.Reaction, profile: Profile | None, sync_target: str) -> kinds.Reaction:
    emoji = _text(reaction.emoji)
    if not emoji or len(emoji.encode("utf-8", "replace")) > _MAX_EMOJI:
        raise MessageError("a reaction without an emoji")
    return kinds.Reaction(
        _target(reaction.id, reaction.author), emoji, reaction.action == pb.Reaction.REMOVE, profile, sync_target
    )


def _quote(data: pb.DataMessage) -> Target | None:
    if not data.HasField("quote"):
        return None
    try:
        return _target(data.quote.id, data.quote.author)
    except MessageError:
        return None


def _preview(data: pb.DataMessage) -> kinds.Preview | None:
    if not data.preview or not (url := _text(data.preview[0].url)):
        return None
    first = data.preview[0]
    return kinds.Preview(url, _text(first.title), _attachment(first.image) if first.HasField("image") else None)


def _invitation(data: pb.DataMessage) -> kinds.CommunityInvitation | None:
    url = _text(data.communityInvitation.url)
    return kinds.CommunityInvitation(url, _text(data.communityInvitation.name)) if url else None


def _attachment(pointer: pb.AttachmentPointer) -> Attachment:
    return Attachment(
        _text(pointer.url),
        pointer.key,
        pointer.digest,
        pointer.size,
        _text(pointer.contentType),
        _text(pointer.fileName),
        _text(pointer.caption),
        pointer.width,
        pointer.height,
        bool(pointer.flags & _VOICE),
    )


def _profile(holder: pb.DataMessage | pb.MessageRequestResponse, key: bytes) -> Profile | None:
    if not holder.HasField("profile"):
        return None
    profile = holder.profile
    url = _text(profile.profilePicture)
    # A key without a picture, or one of another length, opens nothing.
    key = key if url and len(key) == 32 else b""
    updated = profile.lastProfileUpdateSeconds
    return Profile(_text(profile.displayName), url if key else "", key, updated if updated <= MAX_TIMESTAMP else 0)


def _receipt(receipt: pb.ReceiptMessage) -> kinds.ReadReceipt:
    if receipt.type != pb.ReceiptMessage.READ:
        raise MessageError("a receipt of no known kind")
    timestamps = tuple(each for each in receipt.timestamp[:MAX_LISTED] if 0 < each <= MAX_TIMESTAMP)
    if not timestamps:
        raise MessageError("a receipt for nothing")
    return kinds.ReadReceipt(timestamps)


def _call(call: pb.CallMessage) -> Call:
    uuid = _text(call.uuid)
    if not call.HasField("type") or not 0 < len(uuid) <= 64:
        raise MessageError("a call that has no name or no step")
    step, sdps = CallStep(call.type), tuple(_texts(call.sdps))
    indexes, mids = tuple(call.sdpMLineIndexes[:MAX_LISTED]), tuple(_texts(call.sdpMids))
    if step is CallStep.ICE_CANDIDATES and not len(sdps) == len(indexes) == len(mids):
        raise MessageError("candidates of unequal number")
    if step in (CallStep.OFFER, CallStep.ANSWER) and not sdps:
        raise MessageError("an offer or answer of nothing")
    return Call(step, uuid, sdps, indexes, mids)


def _target(timestamp: int, author: str) -> Target:
    name = _text(author).lower()
    if not 0 < timestamp <= MAX_TIMESTAMP or _ID.fullmatch(name) is None:
        raise MessageError("no message is named like this")
    return Target(timestamp, name)


def _update(update: pb.GroupUpdateMessage) -> updates.GroupUpdate:
    present = [name for name in _UPDATES if update.HasField(name)]
    if len(present) != 1:
        raise MessageError("not one group update")
    match present[0]:
        case "inviteMessage":
            invite = update.inviteMessage
            group_id = _text(invite.groupSessionId).lower()
            if _ID.fullmatch(group_id) is None or not group_id.startswith("03") or len(invite.memberAuthData) != 100:
                raise MessageError("an invitation to no group")
            return updates.Invite(group_id, _text(invite.name), invite.memberAuthData, invite.adminSignature)
        case "infoChangeMessage":
            info = update.infoChangeMessage
            if not info.HasField("type"):
                raise MessageError("a change of no known kind")
            kind = updates.InfoKind(info.type)
            return updates.InfoChange(kind, _text(info.updatedName), info.updatedExpiration, info.adminSignature)
        case "memberChangeMessage":
            members = update.memberChangeMessage
            if not members.HasField("type"):
                raise MessageError("a change of no known kind")
            ids = _ids(members.memberSessionIds)
            return updates.MemberChange(
                updates.MemberKind(members.type), ids, members.historyShared, members.adminSignature
            )
        case "promoteMessage":
            if len(update.promoteMessage.groupIdentitySeed) != 32:
                raise MessageError("a promotion without a seed")
            return updates.Promote(update.promoteMessage.groupIdentitySeed, _text(update.promoteMessage.name))
        case "memberLeftMessage":
            return updates.MemberLeft()
        case "inviteResponse":
            return updates.InviteResponse(update.inviteResponse.isApproved)
        case "deleteMemberContent":
            deletion = update.deleteMemberContent
            return updates.DeleteContent(
                _ids(deletion.memberSessionIds), tuple(_texts(deletion.messageHashes)), deletion.adminSignature
            )
        case _:
            return updates.MemberLeftNotice()


def _ids(values: Iterable[str]) -> tuple[str, ...]:
    """Ids in the sender's spelling, which is what is signed; what is none refuses the message."""
    ids = tuple(_texts(values))
    if any(_ID.fullmatch(each.lower()) is None for each in ids):
        raise MessageError("a member that is nobody")
    return ids


def _time(value: int) -> int:
    return value if value <= MAX_TIMESTAMP else 0


def _texts(values: Iterable[str]) -> list[str]:
    texts = [_text(each) for each in values]
    if len(texts) > MAX_LISTED:
        raise MessageError("a list that is too long")
    return texts


def _text(value: str | bytes) -> str:
    """A text as it is; bytes that are not UTF-8, which protobuf gives as bytes, with marks in their place."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
