"""A message as protobuf (`spec/messages` §2). What the reference's clients require is always written, even empty."""

from __future__ import annotations

from allium.client import session_pb2 as pb
from allium.client.messages import kinds, updates
from allium.client.messages.kinds import Attachment, Letter, Message, Profile

_TIMER_UPDATE = 2
_VOICE = 1


def content_of(letter: Letter) -> pb.Content:
    """The Content of a letter."""
    content = pb.Content()
    _write_body(content, letter.message, letter.timestamp)
    if letter.disappearing is not None:
        content.expirationType = pb.Content.ExpirationType.ValueType(letter.disappearing.kind)
        content.expirationTimer = letter.disappearing.seconds
    if letter.pro:
        content.proMessage.MergeFromString(letter.pro)
    content.sigTimestamp = letter.timestamp
    return content


def encode(letter: Letter) -> bytes:
    """The bytes of the Content of a letter, not padded."""
    return content_of(letter).SerializeToString(deterministic=True)


def _write_body(content: pb.Content, message: Message, timestamp: int) -> None:
    match message:
        case kinds.Text() | kinds.Reaction() | kinds.TimerUpdate() | kinds.GroupUpdateMessage():
            _write_data(content.dataMessage, message)
        case kinds.Typing(started):
            content.typingMessage.timestamp = timestamp
            content.typingMessage.action = pb.TypingMessage.STARTED if started else pb.TypingMessage.STOPPED
        case kinds.ReadReceipt(timestamps):
            content.receiptMessage.type = pb.ReceiptMessage.READ
            content.receiptMessage.timestamp.extend(timestamps)
        case kinds.Unsend(target):
            content.unsendRequest.timestamp = target.timestamp
            content.unsendRequest.author = target.author
        case kinds.DataExtraction(kind, when):
            content.dataExtractionNotification.type = pb.DataExtractionNotification.Type.ValueType(kind)
            if when:
                content.dataExtractionNotification.timestamp = when
        case kinds.RequestResponse(approved, profile):
            response = content.messageRequestResponse
            response.isApproved = approved
            if profile is not None:
                _write_profile(response.profile, profile)
                if profile.picture_key:
                    response.profileKey = profile.picture_key
        case kinds.Call():
            call = content.callMessage
            call.type = pb.CallMessage.Type.ValueType(message.step)
            call.uuid = message.uuid
            call.sdps.extend(message.sdps)
            call.sdpMLineIndexes.extend(message.line_indexes)
            call.sdpMids.extend(message.mids)


def _write_data(
    data: pb.DataMessage, message: kinds.Text | kinds.Reaction | kinds.TimerUpdate | kinds.GroupUpdateMessage
) -> None:
    match message:
        case kinds.Text():
            _write_text(data, message)
        case kinds.Reaction(target, emoji, remove):
            data.reaction.id = target.timestamp
            data.reaction.author = target.author
            data.reaction.emoji = emoji
            data.reaction.action = pb.Reaction.REMOVE if remove else pb.Reaction.REACT
        case kinds.TimerUpdate():
            data.flags = _TIMER_UPDATE
        case kinds.GroupUpdateMessage(update):
            _write_update(data.groupUpdateMessage, update)
    if not isinstance(message, kinds.GroupUpdateMessage) and message.sync_target:
        data.syncTarget = message.sync_target
    if message.profile is not None:
        _write_profile(data.profile, message.profile)
        if message.profile.picture_key:
            data.profileKey = message.profile.picture_key


def _write_text(data: pb.DataMessage, text: kinds.Text) -> None:
    if text.body:
        data.body = text.body
    for attachment in text.attachments:
        _write_attachment(data.attachments.add(), attachment)
    if text.quote is not None:
        data.quote.id = text.quote.timestamp
        data.quote.author = text.quote.author
    if text.preview is not None:
        preview = data.preview.add(url=text.preview.url)
        if text.preview.title:
            preview.title = text.preview.title
        if text.preview.image is not None:
            _write_attachment(preview.image, text.preview.image)
    if text.invitation is not None:
        data.communityInvitation.url = text.invitation.url
        data.communityInvitation.name = text.invitation.name
    if text.blocks_community_requests is not None:
        data.blocksCommunityMessageRequests = text.blocks_community_requests


def _write_profile(written: pb.LokiProfile, profile: Profile) -> None:
    written.displayName = profile.name
    if profile.picture_url:
        written.profilePicture = profile.picture_url
    if profile.updated:
        written.lastProfileUpdateSeconds = profile.updated


def _write_attachment(pointer: pb.AttachmentPointer, attachment: Attachment) -> None:
    pointer.id = attachment_id(attachment.url)
    pointer.size = attachment.size
    pointer.url = attachment.url
    for name, value in (
        ("contentType", attachment.content_type),
        ("key", attachment.key),
        ("digest", attachment.digest),
        ("fileName", attachment.name),
        ("caption", attachment.caption),
        ("width", attachment.width),
        ("height", attachment.height),
        ("flags", _VOICE if attachment.voice else 0),
    ):
        if value:
            setattr(pointer, name, value)


def attachment_id(url: str) -> int:
    """The number that a file's id is, or 0 where it is none (`spec/files-and-calls` §1)."""
    identifier = url.partition("#")[0].partition("?")[0].rpartition("/")[2]
    if identifier.isascii() and identifier.isdecimal() and len(identifier) < 20:
        return min(int(identifier), (1 << 64) - 1)
    return 0


def _write_update(written: pb.GroupUpdateMessage, update: updates.GroupUpdate) -> None:
    match update:
        case updates.Invite():
            written.inviteMessage.groupSessionId = update.group_id
            written.inviteMessage.name = update.name
            written.inviteMessage.memberAuthData = update.auth_data
            written.inviteMessage.adminSignature = update.signature
        case updates.InfoChange():
            change = written.infoChangeMessage
            change.type = pb.GroupUpdateInfoChangeMessage.Type.ValueType(update.kind)
            if update.kind is updates.InfoKind.NAME:
                change.updatedName = update.name
            if update.kind is updates.InfoKind.DISAPPEARING:
                change.updatedExpiration = update.timer
            change.adminSignature = update.signature
        case updates.MemberChange():
            members = written.memberChangeMessage
            members.type = pb.GroupUpdateMemberChangeMessage.Type.ValueType(update.kind)
            members.memberSessionIds.extend(update.members)
            if update.history_shared:
                members.historyShared = True
            members.adminSignature = update.signature
        case updates.Promote():
            written.promoteMessage.groupIdentitySeed = update.seed
            written.promoteMessage.name = update.name
        case updates.MemberLeft():
            written.memberLeftMessage.SetInParent()
        case updates.MemberLeftNotice():
            written.memberLeftNotificationMessage.SetInParent()
        case updates.InviteResponse():
            written.inviteResponse.isApproved = update.approved
        case updates.DeleteContent():
            deletion = written.deleteMemberContent
            deletion.memberSessionIds.extend(update.members)
            deletion.messageHashes.extend(update.hashes)
            if update.signature:
                deletion.adminSignature = update.signature
            deletion.SetInParent()
