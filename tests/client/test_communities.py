"""Communities over HTTP: rooms, posts, files, moderation and blinded messages, on a server that checks all."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from allium.client.account import Account
from allium.client.communities import answers, calls, poller, polling
from allium.client.communities.answers import PostReaction
from allium.client.communities.polling import (
    DirectReceived,
    EntryUnreadable,
    PollOutcome,
    PostDeleted,
    PostReceived,
    ReactionsChanged,
    RoomChanged,
    RoomRefused,
)
from allium.client.communities.server import CommunityFileError, CommunityServer, file_of
from allium.client.communities.signing import Identity
from allium.client.configs.community import Community, Server
from allium.client.envelope import pad
from allium.client.errors import ClockError, NetworkError, RefusedError
from allium.client.exchange import BytesBody
from allium.client.files.legacy import FileError
from allium.client.groups import blinding
from allium.client.messages.encoding import content_of
from allium.client.messages.kinds import Letter, Profile, Target, Text
from allium.client.servers import DirectRoute, Route
from tests.support.sogs_server import SogsServer, sogs_server

CAPABILITIES = frozenset(["sogs", "reactions", "blind"])
ALICE, BOB, CAROL = Account(bytes(range(16))), Account(b"\xff" * 16), Account(b"\x01" * 16)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def letter(body: str, **fields: Any) -> Letter:
    return Letter(Text(body, profile=Profile("Alice"), **fields), now_ms())


@pytest_asyncio.fixture
async def sogs() -> AsyncIterator[SogsServer]:
    async with sogs_server() as made:
        yield made


@pytest_asyncio.fixture
async def route() -> AsyncIterator[Route]:
    made = DirectRoute(lambda server: True)
    yield made
    await made.close()


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def body_of(event: PostReceived) -> str:
    assert isinstance(event.letter.message, Text)
    return event.letter.message.body


def member(route: Route, sogs: SogsServer, account: Account) -> CommunityServer:
    return CommunityServer(route, account, Community.parse(sogs.join_url("lobby")).server)


async def polled(server: CommunityServer) -> list[Any]:
    outcome = await server.poll()
    server.state = outcome.state
    return [event for event in outcome.events if not isinstance(event, RoomChanged)]


async def test_a_room_is_joined_by_its_url(sogs: SogsServer, route: Route) -> None:
    sogs.room("second", description="more")
    community = Community.parse(sogs.join_url("lobby"))
    alice = CommunityServer(route, ALICE, community.server)
    assert [room.token for room in await alice.rooms()] == ["lobby", "second"]
    room = await alice.join(community.room)
    assert (room.token, room.name, alice.state.capabilities) == ("lobby", "Lobby", CAPABILITIES)
    assert alice.identity.id == blinding.blinded_key(ALICE, sogs.key).blinded_id
    with pytest.raises(RefusedError) as refused:
        await alice.join("nowhere")
    assert refused.value.status == 404
    [changed] = (await alice.poll()).events
    assert isinstance(changed, RoomChanged) and changed.status.details is not None and changed.status.write
    alice.leave("lobby")
    assert (await alice.poll()).events == ()


@pytest.mark.parametrize("blind", [True, False])
async def test_posts_edits_and_deletions_reach_everybody(route: Route, blind: bool) -> None:
    async with sogs_server(blind=blind) as sogs:
        alice, bob = member(route, sogs, ALICE), member(route, sogs, BOB)
        await alice.join("lobby")
        await bob.join("lobby")
        assert await polled(bob) == []
        sent = letter("hello")
        entry = await alice.post("lobby", sent)
        [received] = [event for event in await polled(bob) if isinstance(event, PostReceived)]
        assert (received.letter, received.own, received.entry.author) == (sent, False, alice.identity.id)
        assert alice.identity.id.startswith("15" if blind else "05")
        [own] = [event for event in await polled(alice) if isinstance(event, PostReceived)]
        assert (own.own, own.entry.id) == (True, entry.id)
        # A quote of it names the author by the id that it has here.
        await bob.post("lobby", letter("indeed", quote=Target(sent.timestamp, entry.author or alice.identity.id)))
        [quoting] = [event for event in await polled(alice) if isinstance(event, PostReceived)]
        assert isinstance(quoting.letter.message, Text) and quoting.letter.message.quote is not None
        assert alice.identity.is_own(quoting.letter.message.quote.author)
        await polled(bob)
        await alice.edit("lobby", entry.id, letter("hello!"))
        [edited] = [event for event in await polled(bob) if isinstance(event, PostReceived)]
        assert edited.entry.id == entry.id and edited.entry.edited and body_of(edited) == "hello!"
        with pytest.raises(RefusedError):
            await bob.call(calls.delete("lobby", entry.id))
        await alice.call(calls.delete("lobby", entry.id))
        assert await polled(bob) == [PostDeleted("lobby", entry.id)]
        assert await polled(bob) == []
        # Who comes later sees what is left.
        carol = member(route, sogs, CAROL)
        await carol.join("lobby")
        assert [body_of(event) for event in await polled(carol) if isinstance(event, PostReceived)] == ["indeed"]


async def test_reactions(sogs: SogsServer, route: Route) -> None:
    alice, bob = member(route, sogs, ALICE), member(route, sogs, BOB)
    await alice.join("lobby")
    await bob.join("lobby")
    entry = await alice.post("lobby", letter("hello"))
    await polled(alice)
    await bob.call(calls.react("lobby", entry.id, "😂"))
    await bob.call(calls.react("lobby", entry.id, "👍🏽"))
    [changed] = await polled(alice)
    assert isinstance(changed, ReactionsChanged) and list(changed.reactions) == ["😂", "👍🏽"]
    assert changed.reactions["😂"].reactors == (bob.identity.id,) and not changed.reactions["😂"].own
    [mine] = [event for event in await polled(bob) if isinstance(event, ReactionsChanged)]
    assert mine.reactions["😂"].own
    who = await alice.call(calls.reactors("lobby", entry.id, "😂"))
    assert [each[0] for each in who] == [bob.identity.id]
    await bob.call(calls.unreact("lobby", entry.id, "😂"))
    [changed] = await polled(alice)
    assert list(changed.reactions) == ["👍🏽"]
    with pytest.raises(RefusedError):
        await bob.call(calls.clear_reactions("lobby", entry.id))
    sogs.rooms["lobby"].moderators.add(bob.identity.id)
    await bob.call(calls.clear_reactions("lobby", entry.id))
    [changed] = await polled(alice)
    assert changed.reactions == {}


async def test_files_of_rooms(sogs: SogsServer, route: Route, tmp_path: Path) -> None:
    alice, bob = member(route, sogs, ALICE), member(route, sogs, BOB)
    await alice.join("lobby")
    await bob.join("lobby")
    data = os.urandom(200_000)
    steps: list[tuple[int, int]] = []
    file = await alice.upload(
        "lobby", BytesBody(data), "ferien ö.png", "image/png", lambda *step: steps.append(step), width=3
    )
    assert steps[-1] == (len(data), len(data)) and file.attachment.width == 3
    assert sogs.rooms["lobby"].files[file.id][:2] == ("ferien ö.png", data)
    entry = await alice.post("lobby", letter("look", attachments=(file.attachment,)), [file])
    assert sogs.rooms["lobby"].files[file.id][2] == entry.id
    [received] = [event for event in await polled(bob) if isinstance(event, PostReceived)]
    assert isinstance(received.letter.message, Text)
    [attachment] = received.letter.message.attachments
    path = await bob.download("lobby", attachment, tmp_path)
    assert path.name == "ferien ö.png" and path.read_bytes() == data
    with pytest.raises(CommunityFileError):
        await bob.download("lobby", replace(attachment, digest=b"x" * 32), tmp_path)
    for url in ("http://elsewhere.example/room/lobby/file/1", f"{sogs.url}/room/lobby/files/1", ""):
        with pytest.raises(CommunityFileError):
            await bob.download("lobby", replace(attachment, url=url), tmp_path)
    assert file_of(bob.server, f"{sogs.url}/file/17") == 17
    assert names_in(tmp_path) == ["ferien ö.png"]
    with pytest.raises(FileError):
        await alice.upload("lobby", BytesBody(bytes(10_000_001)), "large")
    with pytest.raises(RefusedError):
        await alice.post("lobby", letter("x"), [replace(file, id=999)])


async def test_moderation(sogs: SogsServer, route: Route) -> None:
    alice, bob, carol = (member(route, sogs, account) for account in (ALICE, BOB, CAROL))
    for each in (alice, bob, carol):
        await each.join("lobby")
    with pytest.raises(RefusedError):
        await bob.call(calls.set_moderator(bob.identity.id, "lobby", admin=True, moderator=True))
    sogs.rooms["lobby"].admins.add(alice.identity.id)
    await alice.call(calls.set_moderator(bob.identity.id, "lobby", admin=False, moderator=True))
    changed = [event for event in (await bob.poll()).events if isinstance(event, RoomChanged)]
    assert changed[0].status.moderator and not changed[0].status.admin
    assert changed[0].status.details is not None and changed[0].status.details.moderators == (bob.identity.id,)
    spam = [(await carol.post("lobby", letter(f"spam {number}"))).id for number in range(3)]
    await polled(alice)
    await bob.ban_and_delete(carol.identity.id, "lobby")
    assert await polled(alice) == [PostDeleted("lobby", number) for number in spam]
    with pytest.raises(RefusedError) as refused:
        await carol.post("lobby", letter("more"))
    assert refused.value.status == 403
    with pytest.raises(RefusedError):
        await carol.ban_and_delete(alice.identity.id, "lobby")
    await bob.call(calls.unban(carol.identity.id, ["lobby"]))
    entry = await carol.post("lobby", letter("sorry"))
    await bob.call(calls.set_permissions("lobby", carol.identity.id, write=False))
    with pytest.raises(RefusedError):
        await carol.post("lobby", letter("again"))
    await alice.call(calls.pin("lobby", entry.id))
    room = await bob.join("lobby")
    assert room.pinned == (entry.id,)
    await alice.call(calls.unpin("lobby"))
    await alice.call(calls.edit_room("lobby", name="Hall", description="Be kind"))
    room = await bob.join("lobby")
    assert (room.name, room.description, room.pinned) == ("Hall", "Be kind", ())
    whisper = await bob.post("lobby", letter("psst"), whisper_to=carol.identity.id)
    for each, seen in ((carol, True), (alice, False)):
        events = [event for event in await polled(each) if isinstance(event, PostReceived)]
        assert any(event.entry.id == whisper.id and event.entry.whisper for event in events) is seen


async def test_blinded_messages_reach_the_account_behind_an_id(sogs: SogsServer, route: Route) -> None:
    alice, bob = member(route, sogs, ALICE), member(route, sogs, BOB)
    other_device = member(route, sogs, ALICE)
    for each in (alice, bob, other_device):
        await each.join("lobby")
        await polled(each)
    sent = letter("privately")
    assert await alice.send_direct(bob.identity.id, sent) > 0
    [received] = await polled(bob)
    assert isinstance(received, DirectReceived)
    assert (received.sender, received.letter, received.own) == (ALICE.account_id, sent, False)
    assert received.entry.sender == alice.identity.id
    [copy] = await polled(other_device)
    assert (copy.own, copy.entry.recipient, copy.letter) == (True, bob.identity.id, sent)
    assert await polled(bob) == []
    with pytest.raises(RefusedError):
        await alice.send_direct(blinding.blinded_key(CAROL, sogs.key).blinded_id, sent)
    for nobody in (BOB.account_id, "15" + "00" * 32):
        with pytest.raises(ValueError):
            await alice.send_direct(nobody, sent)
    assert await bob.call(calls.clear_inbox()) == {"deleted": 1}


async def test_one_poll_is_one_batch_and_more_comes_at_once(sogs: SogsServer, route: Route) -> None:
    alice, bob = member(route, sogs, ALICE), member(route, sogs, BOB)
    await alice.join("lobby")
    await bob.join("lobby")
    await alice.post("lobby", letter("first"))
    await polled(bob)
    sogs.log.clear()
    assert await polled(bob) == []
    assert sogs.log == [
        "POST /batch",
        "GET /capabilities",
        "GET /room/lobby/pollInfo/1",
        "GET /room/lobby/messages/since/1",
        "GET /inbox",
        "GET /outbox",
    ]
    written = await alice.post("lobby", letter("many"))
    room = sogs.rooms["lobby"]
    for number in range(250):
        copied = replace(room.find(written.id), id=1_000 + number, seqno=room.next())
        room.posts.append(copied)
    kept: list[PollOutcome] = []

    async def commit(outcome: PollOutcome) -> None:
        # What fails before it has kept them loses nothing: the state is as it was.
        if len(kept) == 1 and not failing:
            failing.append(True)
            raise RefusedError(0, "the disk is full")
        kept.append(outcome)

    failing: list[bool] = []
    with pytest.raises(RefusedError):
        await poller.poll_once(bob, commit)
    await poller.poll_once(bob, commit)
    found = [event.entry.id for outcome in kept for event in outcome.events if isinstance(event, PostReceived)]
    assert found == [written.id, *range(1_000, 1_250)] and len(kept) == 3
    # Twenty calls are in one batch.
    for number in range(12):
        sogs.room(f"r{number}")
        await alice.join(f"r{number}")
    sogs.log.clear()
    await polled(alice)
    assert sogs.log.count("POST /batch") == 2


def test_polls_are_rarer_while_nothing_answers() -> None:
    assert [poller.pause_after(failures) for failures in (0, 1, 2, 3, 4, 100)] == [10, 20, 40, 80, 120, 120]


async def test_what_the_server_checks(sogs: SogsServer, route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = member(route, sogs, ALICE)
    await alice.join("lobby")
    late = CommunityServer(route, ALICE, alice.server, alice.state, now=lambda: 1_000.0)
    with pytest.raises(ClockError):
        await late.post("lobby", letter("x"))
    # A key that is another server's signs for that one.
    other = CommunityServer(route, ALICE, Server(alice.server.base_url, os.urandom(32)), alice.state)
    with pytest.raises(RefusedError) as refused:
        await other.post("lobby", letter("x"))
    assert refused.value.status == 401
    unblinded = CommunityServer(route, ALICE, alice.server, replace(alice.state, capabilities=frozenset({"sogs"})))
    with pytest.raises(RefusedError) as refused:
        await unblinded.rooms()
    assert refused.value.status == 400
    sogs.banned.add(alice.identity.id)
    with pytest.raises(RefusedError) as refused:
        await alice.poll()
    assert refused.value.status == 403


async def test_a_hostile_server_hides_no_good_post_and_breaks_no_poll(sogs: SogsServer, route: Route) -> None:
    alice, bob = member(route, sogs, ALICE), member(route, sogs, BOB)
    await alice.join("lobby")
    await bob.join("lobby")
    await alice.post("lobby", letter("good"))
    junk: list[Any] = [
        None,
        5,
        "x",
        [],
        {},
        {"id": -1, "seqno": 1},
        {"id": 2**80, "seqno": 1, "data": ""},
        {"id": True, "seqno": 3},
        {"id": 9, "seqno": 9, "session_id": "nobody", "data": "AA==", "signature": "AA==", "posted": 1e300},
        {"id": 9, "seqno": 9, "session_id": 5, "data": "AA=="},
        {"id": 9, "seqno": 9, "session_id": alice.identity.id, "data": "A", "signature": None},
        {"id": 9, "seqno": 9, "session_id": alice.identity.id, "data": "A" * (1 << 20), "signature": ""},
        {"id": 9, "seqno": 9, "reactions": {"😂": None, "x" * 100: {"count": 1}, "y": {"count": -5, "reactors": 7}}},
        {"id": 9, "seqno": 9, "reactions": [1]},
        # No more than this has to be said of changed reactions.
        {"id": 9, "reactions": {"👍": {"count": 3, "index": 0}}},
    ]

    def twist(path: str, answer: Any) -> Any:
        if path.endswith("/messages/recent"):
            forged = {**answer[0], "id": 77, "session_id": bob.identity.id}
            early = {**answer[0], "id": 78, "posted": 1.0}
            return [*junk, forged, early, *answer]
        return answer

    sogs.twist = twist
    events = await polled(bob)
    good = [event for event in events if isinstance(event, PostReceived)]
    assert [body_of(event) for event in good] == ["good"]
    bad = [event for event in events if isinstance(event, EntryUnreadable)]
    assert {event.entry.id for event in bad if event.entry} == {77, 78}
    assert [event.reactions for event in events if isinstance(event, ReactionsChanged) and event.id == 9] == [
        {"👍": PostReaction(3, (), False)},
        {},
        {},
    ]
    before = bob.state
    bodies: list[Any] = [None, 5, "x", {}, [1, None, {"code": "x"}], [{"code": 200, "body": "x"}] * 3, [{}] * 500]
    current: list[Any] = [None]
    sogs.twist = lambda path, answer: current[0]
    for current[0] in bodies:
        try:
            await polled(bob)
        except NetworkError:
            continue
        # What was known stays known.
        assert bob.state.rooms["lobby"].seqno >= before.rooms["lobby"].seqno
        assert "blind" in bob.state.capabilities
    sogs.twist = None
    del sogs.rooms["lobby"]
    assert await polled(bob) == [RoomRefused("lobby", 404)]


async def test_a_server_that_forgets_blinding_does_not_learn_who_we_are(sogs: SogsServer, route: Route) -> None:
    alice = member(route, sogs, ALICE)
    await alice.join("lobby")
    sogs.twist = lambda path, answer: {"capabilities": ["sogs"]} if path == "/capabilities" else answer
    await polled(alice)
    assert alice.state.capabilities == {"sogs", "blind"} and alice.identity.id.startswith("15")


NAMES = (
    *("id", "seqno", "data", "signature", "session_id", "posted", "edited", "reactions", "😂", "count", "reactors"),
    *("message", "sender", "recipient", "posted_at", "details", "token", "deleted", "capabilities", "whisper"),
)
STRANGER = Identity.on(ALICE, Server("https://x.example", b"\xc3" * 32))
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([STRANGER.id, ALICE.account_id, "", "AAAA", "lobby"])
    | st.text(max_size=3)
)
ENTRIES = st.dictionaries(
    st.sampled_from(NAMES), LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(st.sampled_from(NAMES), LEAVES)
)


@settings(max_examples=60)
@given(st.lists(LEAVES | ENTRIES | st.lists(LEAVES | ENTRIES, max_size=3), min_size=5, max_size=5))
def test_nothing_that_a_server_says_breaks_a_poll(said: list[Any]) -> None:
    state = polling.ServerState(frozenset(["blind"]), {"lobby": polling.RoomCursor(5, 1)}, 3, 4)
    [asked] = polling.batches(state)
    outcome = polling.take(state, STRANGER, asked, [answers.SubReply(200, body) for body in said])
    assert outcome.state.rooms["lobby"].seqno >= 5 and outcome.state.inbox >= 3 and outcome.state.outbox >= 4
    assert not any(isinstance(event, PostReceived | DirectReceived) for event in outcome.events)


async def test_messages_of_the_other_blinding(sogs: SogsServer) -> None:
    bob = Identity.on(BOB, Server("https://x.example", sogs.key))
    sender = blinding.blinded_key(ALICE, sogs.key, 25)
    own = bob.key_for("25").blinded_id
    padded = pad(content_of(letter("hi")).SerializeToString())
    entry = {"id": 1, "sender": sender.blinded_id, "recipient": own, "posted_at": time.time()}
    entry["message"] = base64.b64encode(blinding.seal(sender, own, padded)).decode()
    [asked] = polling.batches(polling.ServerState(frozenset(["blind"])))
    outcome = polling.take(polling.ServerState(), bob, asked[1:2], [answers.SubReply(200, [entry])])
    [received] = outcome.events
    assert isinstance(received, DirectReceived) and received.sender == ALICE.account_id


def test_calls_that_cannot_be_made() -> None:
    bob = "15" + "ab" * 32
    bad: list[Callable[[], object]] = [
        lambda: calls.room("../x"),
        lambda: calls.room(""),
        lambda: calls.react("lobby", 1, "a/b"),
        lambda: calls.react("lobby", 1, ""),
        lambda: calls.delete("lobby", -1),
        lambda: calls.ban("x/../y", ["lobby"]),
        lambda: calls.ban(bob, []),
        lambda: calls.set_moderator(bob, "lobby", admin=True, moderator=False),
        lambda: calls.edit_room("lobby", color="red"),
        lambda: calls.set_permissions("lobby", bob, fly=True),
        lambda: calls.send_direct(ALICE.account_id, b""),
        lambda: calls.batch([]),
        lambda: calls.batch([calls.rooms()] * 21),
    ]
    for make in bad:
        with pytest.raises(ValueError):
            make()
    assert calls.react("lobby", 5, "😂").path == "/room/lobby/reaction/5/%F0%9F%98%82"
    assert (
        calls.file_headers('a"\r\n; ö')["Content-Disposition"] == "attachment; filename*=UTF-8''a%22%0D%0A%3B%20%C3%B6"
    )


def test_headers_are_those_of_the_published_vector() -> None:

    server = Server(
        "https://x.example", bytes.fromhex("c3b3c6f32f0ab5a57f853cc4f30f5da7fda5624b0c77b3fb0829de562ada081d")
    )
    identity = Identity.on(ALICE, server)
    headers = identity.headers("GET", "/capabilities", b"", 1_700_000_000, bytes(range(16)))
    assert headers == {
        "X-SOGS-Pubkey": "150212702e060007221266908a4305a8807d3425882a5466628c56891aa71da866",
        "X-SOGS-Nonce": "AAECAwQFBgcICQoLDA0ODw==",
        "X-SOGS-Timestamp": "1700000000",
        "X-SOGS-Signature": "FXQ1j88VHsgqhNsSEqZjk1tU0gX7Mu8ztNnjuOlbTxV1DK7ZeJLbgAeP6ILsWXiHq5/qAqAAw0yS8hWE4m0RDw==",
    }
    assert polling.ServerState().within({"a": polling.RoomCursor(5)}).rooms == {"a": polling.RoomCursor(5)}
