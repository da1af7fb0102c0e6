"""Files and communities of sessions, over a devnet with a file server and beside a community server."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from nacl import bindings
from PIL import Image

from allium.client.communities import calls
from allium.client.communities.polling import PostReceived
from allium.client.configs.community import Community, Server
from allium.client.configs.fields import Picture
from allium.client.database.rows import AttachmentState, ConversationKind, Deleted, Message, MessageState, NewMessage
from allium.client.envelope import pad
from allium.client.errors import RefusedError
from allium.client.exchange import MissingError, ServerRequest
from allium.client.files.legacy import FileError
from allium.client.messages.kinds import Letter, Text
from allium.client.previews.fetch import PreviewFetcher
from allium.client.servers import PathFailedError, ReplyStream, Route
from allium.client.session import Session, community_rows, letters
from allium.client.session.core import Work
from allium.client.session.events import MessageReceived, ReactionReceived
from allium.client.transfers import transfer
from allium.client.transfers.quic import QuicRoute
from allium.client.transfers.transfer import FileServer
from tests.client.test_session import next_of
from tests.support.devnet import Devnet
from tests.support.sogs_server import SogsServer, sogs_server
from tests.support.web_site import LOOPBACK, web_site


@contextlib.asynccontextmanager
async def session(net: Devnet, path: Path, name: str) -> AsyncIterator[Session]:
    files = net.network["files"]
    async with await Session.create(path, name, seeds=[net.network["seed_url"]]) as made:
        await made.files.set_server(FileServer(files["url"], bytes.fromhex(files["pubkey_ed25519"])))
        yield made


@contextlib.asynccontextmanager
async def two(net: Devnet, directory: Path) -> AsyncIterator[tuple[Session, Session]]:
    async with session(net, directory / "alice.db", "Alice") as alice, session(net, directory / "bob.db", "Bob") as bob:
        yield alice, bob


def photo(path: Path) -> Path:
    image = Image.new("RGB", (800, 400), 90)
    exif = Image.Exif()
    exif[0x010F] = "Alice's camera"
    image.save(path, "JPEG", exif=exif)
    return path


async def messages(of: Session, conversation: str) -> list[Message]:
    return list(await of.conversations.messages(conversation))


async def test_files_are_sent_with_a_message_and_fetched(files_devnet: Devnet, tmp_path: Path) -> None:
    document = tmp_path / "secret encryption.pdf"
    document.write_bytes(os.urandom(50_000))
    async with two(files_devnet, tmp_path) as (alice, bob):
        sent = await alice.send(bob.account_id, "look", attachments=[photo(tmp_path / "p.jpg"), document])
        assert sent.state is MessageState.SENT
        await bob.sync()
        [message] = await messages(bob, alice.account_id)
        picture, file = await bob.conversations.attachments(message)
        assert (picture.attachment.content_type, picture.attachment.width) == ("image/jpeg", 800)
        assert picture.state is AttachmentState.REMOTE
        there = tmp_path / "downloads"
        there.mkdir()
        path = await bob.files.download(picture, there)
        assert path.name == "p.jpg" and b"camera" not in path.read_bytes()
        path = await bob.files.download(file, there)
        assert path == there / "secret encryption.pdf" and path.read_bytes() == document.read_bytes()
        picture, file = await bob.conversations.attachments(message)
        assert (file.state, file.path) == (AttachmentState.HERE, str(path))
        gone = replace(file, attachment=replace(file.attachment, url=file.attachment.url[:-70] + "#p=" + "0" * 64))
        with pytest.raises((FileError, RefusedError, ValueError)):
            await bob.files.download(gone, there)
        [_, file] = await bob.conversations.attachments(message)
        assert file.state is AttachmentState.FAILED


async def test_a_file_goes_over_quic_and_is_fetched_over_nodes(files_devnet: Devnet, tmp_path: Path) -> None:
    async with two(files_devnet, tmp_path) as (alice, bob):
        alice.files.use(QuicRoute(await alice.files.server(), alice.files.route))
        attachment = await alice.files.upload(b"straight over QUIC")
        # No node saw it.
        assert not alice.network.paths.paths
        await alice.send(bob.account_id, "look", attachments=[attachment])
        await bob.sync()
        [message] = await messages(bob, alice.account_id)
        [file] = await bob.conversations.attachments(message)
        assert (await bob.files.download(file, tmp_path)).read_bytes() == b"straight over QUIC"


class LossyRoute:
    """Loses the answers to uploads."""

    def __init__(self, inner: Route) -> None:
        self._inner = inner

    @contextlib.asynccontextmanager
    async def exchange(self, server: Server, request: ServerRequest, *limits: float) -> AsyncIterator[ReplyStream]:
        async with self._inner.exchange(server, request, *limits) as reply:  # type: ignore[arg-type]
            if request.method == "POST":
                raise PathFailedError("the answer is lost", arrived=True)
            yield reply

    async def close(self) -> None:
        await self._inner.close()


async def test_servers_may_be_asked_straight(files_devnet: Devnet, tmp_path: Path) -> None:
    async with sogs_server() as sogs, session(files_devnet, tmp_path / "a.db", "Alice") as alice:
        alice.files.direct = True
        attachment = await alice.files.upload(b"straight")
        room = await alice.communities.join(sogs.join_url("lobby"))
        assert (await alice.send(room, "hello")).state is MessageState.SENT
        await alice.send(alice.account_id, attachments=[attachment])
        [message] = await messages(alice, alice.account_id)
        [file] = await alice.conversations.attachments(message)
        assert (await alice.files.download(file, tmp_path)).read_bytes() == b"straight"


async def test_an_upload_whose_answer_was_lost_is_found(files_devnet: Devnet, tmp_path: Path) -> None:
    data = os.urandom(100_000)
    async with session(files_devnet, tmp_path / "a.db", "Alice") as alice:
        alice.files.use(LossyRoute(alice.files.route))
        with pytest.raises(PathFailedError):
            await alice.files.upload(data)
    async with await Session.open(tmp_path / "a.db") as alice:
        steps: list[tuple[int, int]] = []
        attachment = await alice.files.upload(data, progress=lambda *step: steps.append(step))
        assert len(steps) == 1 and steps[0][0] == steps[0][1]
        # The next one is another upload, with keys of its own.
        assert (await alice.files.upload(data)).key != attachment.key


async def test_a_picture_of_the_profile_is_kept_from_expiring(
    files_devnet: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(files_devnet, tmp_path) as (alice, bob):
        await alice.files.set_picture(photo(tmp_path / "p.jpg"))
        assert alice.profile.picture_url and len(alice.profile.picture_key) == 32
        await alice.send(bob.account_id, "hello")
        await bob.sync()
        contact = await bob.contacts.get(alice.account_id)
        assert contact is not None and contact.picture == Picture(alice.profile.picture_url, alice.profile.picture_key)
        shown = await bob.files.picture(contact.picture.url, contact.picture.key)
        with Image.open(io.BytesIO(shown)) as image:
            assert image.size == (400, 400)
        assert not await alice.files.renew_picture()
        monkeypatch.setattr(transfer, "RENEW_SECONDS", 0)
        url = alice.profile.picture_url
        assert await alice.files.renew_picture()
        assert alice.profile.picture_url == url
        await alice.files.set_picture(None)
        assert not alice.profile.picture_url and not await alice.files.renew_picture()


async def test_a_preview_is_the_senders(files_devnet: Devnet, tmp_path: Path) -> None:
    async with web_site(tmp_path, "site.example") as site, two(files_devnet, tmp_path) as (alice, bob):
        site.page("/a", '<title>A page</title><link rel="icon" href="/i.jpg">')
        site.page("/i.jpg", photo(tmp_path / "p.jpg").read_bytes(), "image/jpeg")
        alice.files.fetcher = PreviewFetcher(site.resolve, lambda address: address == LOOPBACK, site.trust)
        text = "see https://site.example/a."
        preview = await alice.files.preview(text)
        assert preview is not None and preview.image is not None
        await alice.send(bob.account_id, text, preview=preview)
        await bob.sync()
        [message] = await messages(bob, alice.account_id)
        kept = letters.preview_of(message.extra["preview"])
        assert kept is not None and (kept.url, kept.title) == ("https://site.example/a", "A page")
        assert kept.image == preview.image
        assert await alice.files.preview("no link, https://127.0.0.1/ is none") is None


async def test_a_room_is_one_of_the_conversations(files_devnet: Devnet, tmp_path: Path) -> None:
    async with sogs_server() as sogs, two(files_devnet, tmp_path) as (alice, bob):
        room = await alice.communities.join(sogs.join_url("lobby"))
        assert await bob.communities.join(sogs.join_url("lobby")) == room
        conversation = await bob.conversations.get(room)
        assert conversation is not None
        assert (conversation.kind, conversation.name) == (ConversationKind.COMMUNITY, "Lobby")
        sent = await alice.send(room, "hello", attachments=[photo(tmp_path / "p.jpg")])
        assert sent.state is MessageState.SENT
        await bob.sync()
        [message] = await messages(bob, room)
        assert (message.body, message.sender[:2], message.read) == ("hello", "15", False)
        [file] = await bob.conversations.attachments(message)
        path = await bob.files.download(file, tmp_path)
        assert b"camera" not in path.read_bytes() and (file.attachment.width, file.attachment.key) == (800, b"")
        assert await bob.mark_read(room) == 1
        await bob.react(message, "😂")
        answered = await bob.send(room, "indeed", quote=message)
        await alice.sync()
        mine, answer = await messages(alice, room)
        assert (mine.outgoing, mine.state) == (True, MessageState.SENT)
        assert answer.quote is not None and (answer.quote.author, answer.quote.timestamp) == (
            mine.sender,
            mine.timestamp,
        )
        [reaction] = await alice.conversations.reactions(mine)
        assert reaction.emoji == "😂" and mine.extra["reactions"] == {"😂": 1}
        with pytest.raises(RefusedError):
            await alice.delete(answer, everywhere=True)
        [_, own] = await messages(bob, room)
        await bob.delete(own, everywhere=True)
        await alice.sync()
        assert [each.deleted for each in await messages(alice, room)] == [Deleted.NO, Deleted.EVERYWHERE]
        assert answered.timestamp == own.timestamp
        await bob.communities.leave(room)
        assert await bob.conversations.get(room) is None
        with pytest.raises(ValueError, match="no such community"):
            await bob.send(room, "x")


async def test_rooms_are_joined_and_read_on_all_devices(files_devnet: Devnet, tmp_path: Path) -> None:
    async with sogs_server() as sogs, two(files_devnet, tmp_path) as (alice, bob):
        room = await alice.communities.join(sogs.join_url("lobby"))
        await bob.communities.join(sogs.join_url("lobby"))
        await bob.send(room, "first")
        await alice.send(room, "second")
        await alice.sync()
        await alice.mark_read(room)
        await alice.sync()
        phrase = alice.account.phrase
        seeds = [files_devnet.network["seed_url"]]
        async with await Session.restore(tmp_path / "other.db", phrase, seeds=seeds) as other:
            await other.sync()
            assert list(await other.communities.all()) == [room]
            assert [each.body for each in await messages(other, room)] == ["first", "second"]
            assert [each.outgoing for each in await messages(other, room)] == [False, True]
            conversation = await other.conversations.get(room)
            assert conversation is not None and conversation.unread == 0
            await other.communities.leave(room)
            await other.sync()
            await alice.sync()
            assert await alice.conversations.get(room) is None


async def test_somebody_of_a_room_is_written_to(files_devnet: Devnet, tmp_path: Path) -> None:
    async with sogs_server() as sogs, two(files_devnet, tmp_path) as (alice, bob):
        room = await alice.communities.join(sogs.join_url("lobby"))
        await bob.communities.join(sogs.join_url("lobby"))
        await bob.send(room, "anybody here?")
        await alice.sync()
        [message] = await messages(alice, room)
        sent = await alice.communities.send_direct(room, message.sender, "I am")
        await alice.sync()
        assert [each.body for each in await messages(alice, message.sender)] == ["I am"]
        assert sent.conversation == message.sender
        await bob.sync()
        [request] = await bob.contacts.requests()
        assert request.account_id == alice.account_id
        [received] = await messages(bob, alice.account_id)
        assert received.body == "I am"
        assert await bob.contacts.accept(alice.account_id)
        await bob.sync()
        await alice.sync()
        # It is known whose id that was: the conversation is with the account from now on.
        assert await alice.conversations.get(message.sender) is None
        [moved, *_] = await messages(alice, bob.account_id)
        assert (moved.body, moved.outgoing) == ("I am", True)
        contact = await alice.contacts.get(bob.account_id)
        assert contact is not None and (contact.approved, contact.approved_me) == (True, True)
        await bob.send(alice.account_id, "hello")
        await alice.sync()
        assert (await messages(alice, bob.account_id))[-1].body == "hello"


async def test_who_wants_no_requests_of_rooms_gets_none(files_devnet: Devnet, tmp_path: Path) -> None:
    async with sogs_server() as sogs, two(files_devnet, tmp_path) as (alice, bob):
        room = await alice.communities.join(sogs.join_url("lobby"))
        await bob.communities.join(sogs.join_url("lobby"))
        await bob.communities.set_requests(False)
        await bob.send(room, "leave me alone")
        server, _ = await alice.communities.server(room)
        [said] = [event for event in (await server.poll()).events if isinstance(event, PostReceived)]
        assert isinstance(said.letter.message, Text) and said.letter.message.blocks_community_requests is True
        await alice.communities.send_direct(room, said.entry.author, "but")
        await bob.sync()
        assert list(await bob.contacts.requests()) == []


async def test_a_community_that_is_gone_keeps_nobody_waiting(
    files_devnet: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sogs_server() as sogs, session(files_devnet, tmp_path / "c.db", "Carol") as carol:
        await carol.run(_join_nowhere)
        room = await carol.communities.join(sogs.join_url("lobby"))
        await carol.sync()
        silent = asyncio.Event()
        monkeypatch.setattr("allium.client.session.communities.SYNC_SECONDS", 0.5)
        sogs.wait = silent.wait
        await carol.sync()
        silent.set()
        assert (await carol.send(room, "back")).state is MessageState.SENT


def _join_nowhere(work: Work) -> None:
    community = Community(Server("http://127.0.0.1:9", bindings.crypto_scalarmult_base(b"\1" * 32)), "lobby")
    community_rows.enter(work, community)


async def test_older_posts_are_fetched_on_demand(files_devnet: Devnet, tmp_path: Path) -> None:
    async with sogs_server() as sogs, two(files_devnet, tmp_path) as (alice, bob):
        room = await alice.communities.join(sogs.join_url("lobby"))
        first = await alice.send(room, "long ago")
        server, token = await alice.communities.server(room)
        for number in range(100):
            await server.post(token, Letter(Text(str(number)), first.timestamp + 1 + number))
        await bob.communities.join(sogs.join_url("lobby"))
        known = await bob.conversations.messages(room, limit=200)
        assert [each.body for each in known] == [str(number) for number in range(100)]
        assert await bob.communities.older(known[0]) == 1
        [oldest, *_] = await bob.conversations.messages(room, limit=200)
        assert oldest.body == "long ago"
        assert await bob.communities.older(oldest) == 0


async def test_what_was_not_posted_is_posted_once(files_devnet: Devnet, tmp_path: Path) -> None:
    async with sogs_server() as sogs, session(files_devnet, tmp_path / "a.db", "Alice") as alice:
        room = await alice.communities.join(sogs.join_url("lobby"))
        # Once the server refuses, and once its answer is lost.
        sogs.rooms["lobby"].permissions[await alice.communities.own_id(room)] = {"write": False}
        refused = await alice.send(room, "one")
        assert refused.state is MessageState.FAILED
        sogs.rooms["lobby"].permissions.clear()
        assert (await alice.resend(refused)).state is MessageState.SENT
        sogs.twist = lambda path, answer: "junk" if path.endswith("/message") else answer
        lost = await alice.send(room, "two")
        assert lost.state is MessageState.FAILED
        sogs.twist = None
        assert (await alice.resend(lost)).state is MessageState.SENT
        assert [each.body for each in await messages(alice, room)] == ["one", "two"]
        assert len(sogs.rooms["lobby"].posts) == 2


async def test_a_post_that_a_crash_cut_off_is_found_or_has_failed(files_devnet: Devnet, tmp_path: Path) -> None:
    async with sogs_server() as sogs:
        async with session(files_devnet, tmp_path / "a.db", "Alice") as alice:
            room = await alice.communities.join(sogs.join_url("lobby"))
            server, token = await alice.communities.server(room)
            # As a process leaves them that ends before the request, and before its answer.
            letters = [Letter(Text(body), alice.network.now() + len(body)) for body in ("lost", "there")]
            for letter in letters:
                row = community_rows.row_of(room, server.identity.id, letter, own=True)
                await alice.run(_keep, row)
            await server.post(token, letters[1])
        async with await Session.open(tmp_path / "a.db") as alice:
            await alice.sync()
            lost, there = await messages(alice, room)
            assert (lost.state, there.state) == (MessageState.FAILED, MessageState.SENT)
            await alice.resend(lost)
            await alice.sync()
        assert len(sogs.rooms["lobby"].posts) == 2


def _keep(work: Work, row: NewMessage) -> None:
    work.database.messages.add(row)


async def test_listeners_hear_of_rooms_and_moderators_work(
    files_devnet: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("allium.client.communities.poller.CADENCE_SECONDS", 0.2)
    monkeypatch.setattr("allium.client.session.communities._LOOK_SECONDS", 0.2)
    async with sogs_server() as sogs, two(files_devnet, tmp_path) as (alice, bob):
        heard = asyncio.create_task(next_of(alice.events(), MessageReceived))
        reacted = asyncio.create_task(next_of(alice.events(), ReactionReceived))
        room = await alice.communities.join(sogs.join_url("lobby"))
        await bob.communities.join(sogs.join_url("lobby"))
        await bob.send(room, "spam")
        message = (await heard).message
        assert (message.body, message.conversation) == ("spam", room)
        [own] = await messages(bob, room)
        await bob.react(own, "👍")
        assert (await reacted).emoji == "👍"
        sogs.rooms["lobby"].admins.add(await alice.communities.own_id(room))
        await alice.communities.pin(message)
        await alice.communities.edit_room(room, description="Be kind")
        await alice.communities.ban(room, message.sender, delete=True)
        await alice.sync()
        conversation = await alice.conversations.get(room)
        assert conversation is not None and conversation.extra["admin"] is True
        assert (conversation.extra["description"], len(conversation.extra["pinned"])) == ("Be kind", 1)
        [gone] = await messages(alice, room)
        assert gone.deleted is Deleted.EVERYWHERE
        assert (await bob.send(room, "more")).state is MessageState.FAILED
        await alice.communities.unban(room, message.sender)
        await alice.communities.set_moderator(room, message.sender, admin=False)
        server, token = await bob.communities.server(room)
        await server.call(calls.ban("15" + "ab" * 32, [token]))
        with pytest.raises(MissingError):
            await server.call(calls.single(token, 999))


async def test_a_hostile_community_costs_the_session_nothing(files_devnet: Devnet, tmp_path: Path) -> None:
    async with sogs_server() as sogs, two(files_devnet, tmp_path) as (alice, bob):
        room = await alice.communities.join(sogs.join_url("lobby"))
        await bob.communities.join(sogs.join_url("lobby"))
        await alice.send(room, "good")
        _spoil(sogs)
        await bob.send(alice.account_id, "beside it")
        await alice.sync()
        await bob.sync()
        assert [each.body for each in await messages(bob, room)] == ["good"]
        assert [each.body for each in await messages(alice, bob.account_id)] == ["beside it"]
        # What is its author's and in no known form is kept for a version that knows it; what is forged is not.
        server, token = await alice.communities.server(room)
        data = pad(b"\xff\xff of tomorrow")
        await server.call(calls.post(token, data, server.identity.sign(data)))
        await bob.sync()
        [kept] = await bob.run(lambda work: work.database.unreadable.after())
        assert (kept.data, kept.pubkey) == (data, sogs.url)


def _spoil(sogs: SogsServer) -> None:
    def twist(path: str, answer: object) -> object:
        if "/messages/" in path and isinstance(answer, list):
            forged = [{**each, "id": 10_000 + number, "signature": "AA=="} for number, each in enumerate(answer)]
            return [None, {"id": 1}, *forged, *answer]
        return answer

    sogs.twist = twist
