"""Every kind of message there and back, and whatever strangers store (`spec/messages`)."""

from __future__ import annotations

import base64
import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings

from allium.client import Account, crypto, envelope
from allium.client import session_pb2 as pb
from allium.client.messages import decoding, delivery, kinds, pro, text, updates
from allium.client.messages.decoding import MAX_TIMESTAMP, MessageError, decode
from allium.client.messages.direct import open_letter, seal
from allium.client.messages.encoding import encode
from allium.client.messages.kinds import (
    Attachment,
    Call,
    CallStep,
    Disappear,
    Disappearing,
    Extraction,
    Letter,
    Message,
    Profile,
    Reaction,
    Target,
    Text,
)

ALICE, BOB = Account(bytes(range(16))), Account(b"\xff" * 16)
SENT = 1_700_000_000_123
PROFILE = Profile("Alice", "http://filev2.getsession.org/file/5", b"\1" * 32, 1_700_000_000)
TARGET = Target(SENT - 5, BOB.account_id)
GROUP_ID = "03" + "ab" * 32
# `spec/messages` §1.5: what the sender wrote, and the message as it is stored.
HELLO = bytes.fromhex("0a110a0568656c6c6faa06070a05416c69636578fbd095ffbc31")
STORED = base64.b64decode(
    "CAESxQIKABIAGrwCCAYo+9CV/7wxQrACwfwErj3iw0Myrx2fwSCBJ0NPX9tCBQDbMyG3xwDhDgsqBeGU73aiJ4fgzDsxS29zPPDZmlZfqDKu9QNkWVgr"
    "QneKD0WWZMTGpdqNwjWhIYCffpB2BlpMF0+Cjtj8kW8spIk6sPwNBSK88NSLYOf13HV+IVCOQvGBqtv0TAXGOP3A/i0ma+vBzp4hVHSYA0ATMv8MgDWm"
    "zVWvd7xJhganrQ6i5pvhOSnopqkDtr1BMymBkGy+m3GDUc7g49Ry9b2gUVkI6owrzuL4+If8m3E/L1RmSie9KG0xugUAG8hE+ybKPw4SehCBALSuB01P"
    "yLoYZsPbfh4M2PMzycASSWtuYP9lKFH8+D301LPQyNxWlfnMiFK5cAD8LG0If3GOefPzREdaC7cx7E+GsdMa/+t0aSAA"
)
ATTACHMENT = Attachment("http://h/file/77", b"k" * 64, b"d" * 32, 1_000, "image/png", "a.png", "caption", 5, 6, True)

EVERY_KIND: list[Message] = [
    Text("hello", profile=PROFILE),
    Text("", (ATTACHMENT, Attachment("http://h/file/abc#d", b"k" * 32, size=7))),
    Text("re", quote=TARGET, sync_target=BOB.account_id, blocks_community_requests=True),
    Text("see https://a.example/", preview=kinds.Preview("https://a.example/", "A", ATTACHMENT)),
    Text(invitation=kinds.CommunityInvitation("https://h/room?public_key=00", "Room")),
    Reaction(TARGET, "😂"),
    Reaction(TARGET, "👩‍👩‍👧‍👦", remove=True, sync_target=GROUP_ID),
    kinds.TimerUpdate(PROFILE),
    kinds.Typing(True),
    kinds.Typing(False),
    kinds.ReadReceipt((SENT, SENT - 1)),
    kinds.Unsend(Target(SENT - 5, ALICE.account_id)),
    kinds.DataExtraction(Extraction.SCREENSHOT),
    kinds.DataExtraction(Extraction.MEDIA_SAVED, SENT - 9),
    kinds.RequestResponse(True, PROFILE),
    Call(CallStep.PRE_OFFER, "uuid"),
    Call(CallStep.OFFER, "uuid", ("v=0",)),
    Call(CallStep.ICE_CANDIDATES, "uuid", ("c1", "c2"), (0, 1), ("0", "1")),
    kinds.GroupUpdateMessage(updates.Invite(GROUP_ID, "Group", b"a" * 100, b"s" * 64), PROFILE),
    kinds.GroupUpdateMessage(updates.InfoChange(updates.InfoKind.NAME, name="New", signature=b"s" * 64)),
    kinds.GroupUpdateMessage(updates.InfoChange(updates.InfoKind.DISAPPEARING, timer=60, signature=b"s" * 64)),
    kinds.GroupUpdateMessage(updates.MemberChange(updates.MemberKind.ADDED, (BOB.account_id,), True, b"s" * 64)),
    kinds.GroupUpdateMessage(updates.Promote(b"p" * 32, "Group")),
    kinds.GroupUpdateMessage(updates.MemberLeft()),
    kinds.GroupUpdateMessage(updates.MemberLeftNotice()),
    kinds.GroupUpdateMessage(updates.InviteResponse(True)),
    kinds.GroupUpdateMessage(updates.DeleteContent((BOB.account_id,), ("hash",), b"s" * 64)),
    kinds.GroupUpdateMessage(updates.DeleteContent(hashes=("hash",))),
]


def test_hello_has_its_published_bytes() -> None:
    letter = Letter(Text("hello", profile=Profile("Alice")), SENT)
    assert encode(letter) == HELLO
    assert decode(HELLO, SENT) == letter
    assert open_letter(BOB, STORED).letter == letter


@pytest.mark.parametrize("message", EVERY_KIND, ids=lambda each: type(getattr(each, "update", each)).__name__)
def test_every_kind_arrives_as_it_was_sent(message: Message) -> None:
    sender = ALICE
    letter = Letter(message, SENT, Disappearing(Disappear.AFTER_SEND, 86_400))
    recipient = ALICE if letter.sync_target else BOB
    received = open_letter(recipient, seal(sender, recipient.account_id, letter))
    assert (received.sender, received.letter) == (ALICE.account_id, letter)


def test_required_fields_are_written_even_when_they_are_zero() -> None:
    data = encode(Letter(Text("x", (Attachment("u"),)), SENT))
    assert b"\x09" + bytes(8) in data, "the attachment's id"
    content = pb.Content.FromString(encode(Letter(Reaction(TARGET, "😂"), SENT)))
    assert content.dataMessage.reaction.HasField("action")
    content = pb.Content.FromString(encode(Letter(kinds.RequestResponse(False), SENT)))
    assert content.messageRequestResponse.HasField("isApproved")


def test_the_id_of_an_attachment_is_its_number() -> None:
    pointer = pb.Content.FromString(encode(Letter(Text("", (ATTACHMENT,)), SENT))).dataMessage.attachments[0]
    assert pointer.id == 77


# Pro


def test_each_envelope_has_a_decoy_or_a_signature() -> None:
    stored = seal(ALICE, BOB.account_id, Letter(Text("x"), SENT))
    sealed = pb.Envelope.FromString(pb.WebSocketMessage.FromString(stored).request.body)
    assert (len(sealed.proSig), sealed.sourceDevice) == (64, 1)
    assert bindings.crypto_core_ed25519_is_valid_point(sealed.proSig[:32])
    # A scalar that a signature can have is below the order of the group.
    assert int.from_bytes(sealed.proSig[32:], "little") < 2**252 + 27742317777372353535851937790883648493


def test_what_a_receiver_makes_of_a_claim_to_pro() -> None:
    # `spec/messages` §10; the proof is the upstream's known answer.
    backend, _ = crypto.key_pair(b"\3" * 32)
    rotating, secret = crypto.key_pair(b"\2" * 32)
    signature = bytes.fromhex(
        "767e7f14cec2d04fb67c6407e890cbe6a5cfdb7a0df3e729adda93164b13bc3f"
        "b20ed4ea1b8f1ffc74115ff2598a51ac52285d923f0864c6bca08bfc771fb708"
    )
    proof = pro.Proof(b"\x11" * 32, rotating, 1_704_067_200, signature)
    letter = Letter(Text("x"), SENT, pro=pro.pro_message(proof, pro.BADGE, pro.LONG_TEXT))
    received = open_letter(BOB, seal(ALICE, BOB.account_id, letter, secret))

    def status(claim: bytes, signed: bytes, sent: int = SENT) -> pro.ProStatus:
        return pro.status(claim, signed, received.signed, sent, backend)

    assert status(received.letter.pro, received.signature) is pro.ProStatus.VALID
    assert status(received.letter.pro, received.signature, 1_704_067_200_000) is pro.ProStatus.EXPIRED
    assert status(received.letter.pro, pro.decoy()) is pro.ProStatus.BAD_SIGNATURE
    assert status(pro.pro_message(replace(proof, expiry=1_704_067_201)), received.signature) is pro.ProStatus.BAD_PROOF
    assert status(pro.pro_message(replace(proof, expiry=1_704_067_200_000)), b"") is pro.ProStatus.UNKNOWN
    assert status(b"", b"") is pro.ProStatus.NONE


# What strangers send


def content(**fields: object) -> bytes:
    return pb.Content(sigTimestamp=SENT, **fields).SerializeToString()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xff", "not a content"),
        (content(), "no kind"),
        (content(dataMessage=pb.DataMessage()), "nothing to be seen"),
        (content(dataMessage=pb.DataMessage(flags=1, body="x")), "flags"),
        (content(dataMessage=pb.DataMessage(body="x", syncTarget="nobody")), "went to nobody"),
        (content(dataMessage=pb.DataMessage(reaction=pb.Reaction(id=5, author="me", emoji="x"))), "named"),
        (content(dataMessage=pb.DataMessage(reaction=pb.Reaction(id=5, author=BOB.account_id))), "without an emoji"),
        (content(dataMessage=pb.DataMessage(groupUpdateMessage=pb.GroupUpdateMessage())), "not one group update"),
        (content(typingMessage=pb.TypingMessage(timestamp=1, action=pb.TypingMessage.STARTED)), "another time"),
        (content(receiptMessage=pb.ReceiptMessage(timestamp=[5])), "no known kind"),
        (content(receiptMessage=pb.ReceiptMessage(type=pb.ReceiptMessage.READ)), "for nothing"),
        (content(unsendRequest=pb.UnsendRequest(timestamp=2**64 - 1, author=BOB.account_id)), "named"),
        (content(callMessage=pb.CallMessage(uuid="x")), "no name or no step"),
        (content(dataExtractionNotification=pb.DataExtractionNotification(timestamp=4)), "no known kind"),
    ],
)
def test_what_is_no_message_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(MessageError, match=reason):
        decode(data, SENT)


@pytest.mark.parametrize("sent", [0, MAX_TIMESTAMP + 1, 2**63, 2**64 - 1])
def test_absurd_times_are_refused(sent: int) -> None:
    with pytest.raises(MessageError):
        decode(pb.Content(dataMessage=pb.DataMessage(body="x"), sigTimestamp=sent).SerializeToString(), sent)


def test_older_clients_leave_out_the_signed_time() -> None:
    data = pb.Content(dataMessage=pb.DataMessage(body="x")).SerializeToString()
    assert decode(data, SENT) == Letter(Text("x"), SENT)
    with pytest.raises(MessageError, match="signed time"):
        decode(content(dataMessage=pb.DataMessage(body="x")), SENT + 1)


def test_one_poor_part_does_not_hide_the_rest() -> None:
    data = pb.DataMessage(body="text", preview=[pb.Preview(title="no url")], profileKey=b"short")
    data.quote.id = 2**64 - 1
    data.profile.displayName = "Eve"
    data.profile.profilePicture = "http://h/1"
    data.profile.lastProfileUpdateSeconds = 2**64 - 1
    data.attachments.extend([pb.AttachmentPointer(url="u")] * 40)
    letter = decode(pb.Content(dataMessage=data, expirationTimer=9).SerializeToString(), SENT)
    assert letter == Letter(Text("text", (Attachment("u"),) * 32, profile=Profile("Eve")), SENT)


def test_text_that_is_no_utf_8_has_marks_in_its_place() -> None:
    letter = decode(b"\x0a\x05\x0a\x03a\xffb", SENT)
    assert letter.message == Text("a�b")


def test_fields_of_newer_versions_and_legacy_ones_are_skipped() -> None:
    legacy = b"\x28\x05" + b"\x38" + b"\x01" + b"\xc2\x06\x02\x08\x01"
    data = b"\x0a" + bytes([len(legacy) + 3]) + b"\x0a\x01x" + legacy + b"\x3a\x02\x08\x01" + b"\xfa\x3e\x01z"
    assert decode(data, SENT).message == Text("x")


def test_copies_and_deletions_are_the_senders_own() -> None:
    forged = Letter(Text("x", sync_target=BOB.account_id), SENT)
    with pytest.raises(MessageError, match="from somebody else"):
        open_letter(BOB, seal(ALICE, BOB.account_id, forged))
    with pytest.raises(MessageError, match="somebody else's"):
        open_letter(BOB, seal(ALICE, BOB.account_id, Letter(kinds.Unsend(TARGET), SENT)))


@given(st.binary(max_size=300))
def test_no_bytes_break_the_decoder(data: bytes) -> None:
    for sent in (0, SENT):
        try:
            letter = decode(data, sent)
        except MessageError:
            continue
        assert decode(encode(letter), letter.timestamp) == letter


@given(st.integers(0, len(EVERY_KIND) - 1), st.data())
def test_no_changed_byte_breaks_the_decoder(index: int, data: st.DataObject) -> None:
    changed = bytearray(encode(Letter(EVERY_KIND[index], SENT)))
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MessageError):
        decode(bytes(changed), SENT)


@given(st.binary(max_size=500))
def test_no_bytes_break_the_opening(data: bytes) -> None:
    with pytest.raises(MessageError):
        open_letter(BOB, data)


@given(st.binary(max_size=200))
def test_nothing_that_is_sealed_breaks_the_opening(plaintext: bytes) -> None:
    sealed = envelope.seal_to(ALICE, BOB.x25519_public, plaintext)
    body = pb.Envelope(type=pb.Envelope.SESSION_MESSAGE, timestamp=SENT, content=sealed).SerializeToString()
    try:
        received = open_letter(
            BOB, pb.WebSocketMessage(request=pb.WebSocketRequestMessage(body=body)).SerializeToString()
        )
    except MessageError:
        return
    assert received.sender == ALICE.account_id


# Delivery


def test_where_each_kind_is_stored_and_for_how_long() -> None:
    after_send, after_read = (Disappearing(kind, 60) for kind in (Disappear.AFTER_SEND, Disappear.AFTER_READ))
    day = 86_400_000

    def ttl(message: Message, timer: Disappearing | None = None) -> tuple[int, int | None]:
        found = delivery.direct(Letter(message, SENT, timer), BOB.account_id)
        return found.ttl, found.copy_ttl if found.copy else None

    assert ttl(Text("x")) == (14 * day, 14 * day)
    assert ttl(Text("x"), after_send) == (60_000, 60_000)
    assert ttl(Text("x"), after_read) == (14 * day, 60_000)
    assert ttl(kinds.Typing(True)) == (20_000, None)
    assert ttl(kinds.ReadReceipt((1,))) == (14 * day, None)
    assert ttl(kinds.Unsend(TARGET)) == (14 * day, 14 * day)
    assert ttl(Call(CallStep.OFFER, "u")) == (300_000, None)
    assert ttl(Call(CallStep.ANSWER, "u")) == (300_000, 300_000)
    copy = delivery.direct(Letter(Text("x"), SENT), BOB.account_id).copy
    assert copy is not None and copy.timestamp == SENT and copy.sync_target == BOB.account_id
    grouped = delivery.to_group(Letter(Text("x"), SENT, after_send))
    assert (grouped.namespace, grouped.ttl, grouped.copy) == (11, 60_000, None)
    with pytest.raises(ValueError, match="the account"):
        delivery.to_group(Letter(kinds.GroupUpdateMessage(updates.Promote(b"p" * 32, "")), SENT))


def test_timers_of_calls_and_of_what_never_disappears() -> None:
    timer = Disappearing(Disappear.AFTER_SEND, 60)
    assert delivery.timed(Text("x"), timer) == timer
    assert delivery.timed(Call(CallStep.OFFER, "u"), timer) == Disappearing(Disappear.AFTER_READ, 60)
    assert delivery.timed(kinds.ReadReceipt((1,)), timer) is None
    assert delivery.timed(Text("x"), None) is None


def test_the_limits_of_what_is_sent_count_code_points() -> None:
    delivery.check(Text("😂" * 2_000))
    delivery.check(Text("😂" * 10_000), pro=True)
    for message in (
        Text("x" * 2_001),
        Text(),
        Text("", (ATTACHMENT,) * 33),
        Text("no link", preview=kinds.Preview("https://a.example/")),
    ):
        with pytest.raises(ValueError):
            delivery.check(message)


# Texts


def test_names_of_strangers_keep_to_one_line_and_direction() -> None:
    assert text.name("  Eve\u202e\n\x00Mallory\ud800 ") == "Eve Mallory"
    assert text.name("é" * 80) == "é" * 50
    assert text.file_name("../../etc/passwd") == "_.._etc_passwd"
    assert text.file_name("photo\u202egpj.exe") == "photogpj.exe"
    assert text.file_name("\u202e..") == "file"
    assert text.file_name("x" * 500 + ".png") == "x" * 183 + ".png"


@given(st.text())
def test_a_file_name_is_one(value: str) -> None:
    name = text.file_name(value)
    assert 0 < len(name.encode()) <= text.MAX_FILE_NAME_BYTES
    assert "/" not in name and "\x00" not in name and name not in (".", "..")


def test_mentions_are_ids_after_an_at_sign() -> None:
    body = f"@{BOB.account_id} and @{BOB.account_id}, @15{'ab' * 32} but not @{'05' + 'a' * 70} or {ALICE.account_id}"
    assert text.mentions(body) == [BOB.account_id, "15" + "ab" * 32]


def test_what_admins_sign() -> None:
    assert updates.Invite(GROUP_ID, "", b"").signed_text(5, BOB.account_id) == f"INVITE{BOB.account_id}5".encode()
    assert updates.InfoChange(updates.InfoKind.AVATAR).signed_text(5) == b"INFO_CHANGE25"
    assert updates.MemberChange(updates.MemberKind.PROMOTED, ()).signed_text(5) == b"MEMBER_CHANGE35"
    assert updates.DeleteContent(("a", "b"), ("h",)).signed_text(5) == b"DELETE_CONTENT5abh"


def test_the_decoder_reads_every_field_of_the_schema_once() -> None:
    named = {each.name for each in pb.GroupUpdateMessage.DESCRIPTOR.fields}
    assert named == set(decoding._UPDATES)
