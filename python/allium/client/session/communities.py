"""`session.communities`: rooms that are joined, what is written there, and moderation (`spec/groups` §9)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allium.client.communities import calls, polling
from allium.client.communities.answers import Room
from allium.client.communities.calls import Call
from allium.client.communities.poller import pause, poll_once
from allium.client.communities.polling import PollOutcome
from allium.client.communities.server import OFFICIAL, CommunityServer, RoomFile, file_of
from allium.client.configs.community import Community, Server
from allium.client.database.rows import Deleted, Message, MessageState
from allium.client.errors import NetworkError, RefusedError
from allium.client.exchange import BytesBody
from allium.client.messages import delivery
from allium.client.messages.kinds import Attachment, CommunityInvitation, Letter, Preview, Target, Text
from allium.client.session import community_rows, letters, outbound
from allium.client.session.core import Work
from allium.client.session.enclosing import LocalFile
from allium.client.session.files import prepared, shown_name
from allium.client.transfers.sinks import MemorySink, PathBody
from allium.client.transfers.transfer import Progress

if TYPE_CHECKING:
    from allium.client.session.session import Session

_log = logging.getLogger(__name__)

#: What a server may take of a `sync`, seconds.
SYNC_SECONDS = 12.0
#: How often it is looked whether a server was joined or left, seconds.
_LOOK_SECONDS = 5.0
#: After so many without an answer a post waits for its user.
MOST_ATTEMPTS = 8


class Communities:
    """The rooms of an account. A room's conversation has the id that `join` gives.

    Errors are `RefusedError`, `NetworkError`, and `ValueError` for a conversation that is no room which is joined.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._servers: dict[str, CommunityServer] = {}
        self._polls: dict[str, asyncio.Task[None]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._wakes: dict[str, asyncio.Event] = {}
        #: Posts that are under way.
        self._sending: set[int] = set()
        #: By server, posts that it may not have, and how often that was so; None if an earlier run may have left some.
        self._unposted: dict[str, dict[int, int]] = {}
        #: On the worker: what the rows were last made to agree with.
        self._told: object = None

    # --- what there is

    async def all(self) -> dict[str, Community]:
        """Every room that is joined, by its conversation."""

        def found(work: Work) -> dict[str, Community]:
            now = community_rows.told(work)
            if now == self._told:
                return community_rows.rooms(work)
            self._told = now
            return community_rows.reconcile(work)

        return await self._session.run(found)

    def is_joined(self, server: Server) -> bool:
        """Whether this server was asked for, by its URL."""
        return server.base_url in self._servers

    async def rooms(self, url: str) -> list[Room]:
        """The rooms of a server, by the URL of one of them; nothing is joined. `CommunityError` for a bad URL."""
        return await (await self._server(Community.parse(url).server)).rooms()

    async def official(self) -> list[Room]:
        """The rooms that a client offers to who is in none; `OFFICIAL` is their server."""
        return await (await self._server(OFFICIAL)).rooms()

    async def own_id(self, conversation_id: str) -> str:
        """The id under which we post in a room, which mentions of us and quotes name."""
        server, _ = await self.server(conversation_id)
        return (await server.know()).id

    async def picture(self, conversation_id: str) -> bytes | None:
        """A room's picture, as it came; None if it has none."""
        server, room = await self.server(conversation_id)
        conversation = await self._session.conversations.get(conversation_id)
        number = conversation.extra.get("image") if conversation else None
        if number is None:
            return None
        sink = MemorySink()
        await server.fetch(room, number, sink)
        return sink.data

    async def set_requests(self, allowed: bool) -> None:
        """Whether people whom we only share a room with may write to us, on all our devices."""

        def change(work: Work) -> None:
            work.configs.profile.set_community_requests(allowed, work.seconds)

        await self._session.run(change)

    async def join(self, url: str) -> str:
        """Joins a room by its URL, on all our devices; its conversation. `CommunityError` for a bad URL."""
        community = Community.parse(url)
        server = await self._server(community.server)
        room = await server.join(community.room)
        joined = Community(community.server, room.token)
        await self._session.run(community_rows.enter, joined)
        await self._poll(community.server)
        return community_rows.conversation_id(joined)

    async def leave(self, conversation_id: str) -> None:
        """Leaves a room, on all our devices, and forgets what was said."""
        community = await self._joined(conversation_id)
        await self._session.run(community_rows.leave, community)
        (await self._server(community.server)).leave(community.room)

    async def server(self, conversation_id: str) -> tuple[CommunityServer, str]:
        """The server of a room and the room's token, for calls that have no method here."""
        community = await self._joined(conversation_id)
        return await self._server(community.server), community.room

    async def _joined(self, conversation_id: str) -> Community:
        found = (await self._session.run(community_rows.rooms)).get(conversation_id.lower())
        if found is None:
            raise ValueError("there is no such community; join it by its URL")
        return found

    async def _server(self, server: Server) -> CommunityServer:
        """With what is kept of it and with the rooms that are joined now."""
        kept = await self._session.run(lambda work: community_rows.state_of(work, server, community_rows.rooms(work)))
        found = self._servers.get(server.base_url)
        if found is None or found.server != server:
            now = self._session.network.now
            found = CommunityServer(
                self._session.files.route, self._session.account, server, kept, lambda: now() / 1000
            )
            self._servers[server.base_url] = found
        found.route = self._session.files.route
        # What is kept is what there is, whatever ended the last poll.
        found.state = replace(kept, capabilities=kept.capabilities or found.state.capabilities)
        return found

    # --- posts

    async def send(
        self,
        conversation_id: str,
        text: str = "",
        *,
        quote: Target | None = None,
        attachments: Sequence[Attachment | Path | LocalFile] = (),
        preview: Preview | None = None,
        invitation: CommunityInvitation | None = None,
    ) -> Message:
        """Posts to a room; the post as it is shown, whose state says whether the server has it. See `Session.send`."""
        server, room = await self.server(conversation_id)
        own_id = (await server.know()).id
        files = [await self._file(server, room, each) for each in attachments]

        def begin(work: Work) -> tuple[Letter, Message]:
            blocks = True if work.configs.profile.community_requests is False else None
            shown = tuple(each.attachment for each in files)
            profile = work.configs.shown_profile
            message = Text(text, shown, quote, preview, invitation, profile, blocks_community_requests=blocks)
            delivery.check(message)
            letter = Letter(message, outbound.next_timestamp(work))
            row = community_rows.row_of(conversation_id.lower(), own_id, letter, own=True)
            added = work.database.messages.add(row)
            if added is None:
                raise ValueError("a message of that time was sent already")
            self._sending.add(added.id)
            return letter, added

        letter, message = await self._session.run(begin)
        return await self._post(server, room, letter, message, files)

    async def _post(
        self, server: CommunityServer, room: str, letter: Letter, message: Message, files: Sequence[RoomFile]
    ) -> Message:
        self._sending.add(message.id)
        attempts = self._unposted.setdefault(server.server.base_url, {})
        # Who is cancelled, too, does not know whether it is there.
        attempts.setdefault(message.id, 0)
        try:
            entry = await server.post(room, letter, files)
        except NetworkError as error:
            # It may be there, which the next poll shows; if it does not, it is posted again.
            _log.info("a post failed: %s", type(error).__name__)
            attempts[message.id] = attempts.get(message.id, 0) + 1
            if attempts[message.id] >= MOST_ATTEMPTS:
                await self._session.run(community_rows.set_state, message.id, MessageState.FAILED)
        except RefusedError as error:
            _log.info("a post was refused: %s", type(error).__name__)
            await self._session.run(community_rows.set_state, message.id, MessageState.FAILED)
        else:
            await self._session.run(community_rows.posted, message.id, message.conversation, entry.id)
        finally:
            self._sending.discard(message.id)
        found = await self._session.run(lambda work: work.database.messages.get(message.id))
        return found or message

    async def resend(self, message: Message) -> Message:
        """Posts once more what failed, unless the room has it after all."""
        server, room = await self.server(message.conversation)
        await self._poll(server.server)
        self._unposted.setdefault(server.server.base_url, {}).pop(message.id, None)
        return await self._again(server, room, message)

    async def _again(self, server: CommunityServer, room: str, message: Message) -> Message:
        """Posts a message unless it is there, or on its way; after a poll."""
        found = await self._session.run(_content, message.id)
        if found is None or found[0].hash or message.id in self._sending:
            return found[0] if found else message
        again, letter = found
        files = [
            RoomFile(file_of(server.server, each.url), each)
            for each in (letter.message.attachments if isinstance(letter.message, Text) else ())
        ]
        return await self._post(server, room, letter, again, files)

    async def _file(self, server: CommunityServer, room: str, source: Attachment | Path | LocalFile) -> RoomFile:
        if isinstance(source, Attachment):
            return RoomFile(file_of(server.server, source.url), source)
        local = LocalFile(source) if isinstance(source, Path) else source
        body, kind, shown = await prepared(local.path, local.name, local.content_type, unchanged=local.unchanged)
        name = shown_name(local.path, local.name, kind)
        sent = await server.upload(room, body, name, kind, None, **shown)
        return replace(sent, attachment=replace(sent.attachment, caption=local.caption, voice=local.voice))

    async def upload(
        self, conversation_id: str, source: Path | bytes, name: str, content_type: str = "", **options: Any
    ) -> Attachment:
        """Sends a file to a room as it is, in the clear; what `send` takes. For `options` see `CommunityServer`."""
        server, room = await self.server(conversation_id)
        body = BytesBody(source) if isinstance(source, bytes) else PathBody(source)
        return (await server.upload(room, body, name, content_type, **options)).attachment

    async def download(
        self, message: Message, attachment: Attachment, directory: Path, progress: Progress | None = None
    ) -> Path:
        """Puts a file of a post into `directory`; see `CommunityServer.download`."""
        server, room = await self.server(message.conversation)
        return await server.download(room, attachment, directory, progress)

    async def older(self, message: Message, limit: int = calls.POSTS) -> int:
        """Fetches posts of a room from before one, which a poll does not bring; how many there were."""
        server, room = await self.server(message.conversation)
        body = await server.call(calls.before(room, community_rows.number_of(message), limit))
        events, _, count = polling.posts(room, body, server.identity)
        await self._session.run(
            community_rows.take_events, server.server, events, server.identity.id, self._session.groups
        )
        return count

    async def react(self, message: Message, emoji: str, *, remove: bool = False) -> None:
        """Puts an emoji on a post, or takes it off. `ValueError` for too many in a minute."""
        await self._session.run(outbound.count_reaction)
        server, room = await self.server(message.conversation)
        number = community_rows.number_of(message)
        await server.call(calls.unreact(room, number, emoji) if remove else calls.react(room, number, emoji))
        await self._poll(server.server)

    async def delete(self, message: Message) -> None:
        """Deletes a post for everybody: one of ours, or as a moderator."""
        await self._call(message.conversation, lambda room: calls.delete(room, community_rows.number_of(message)))
        await self._session.run(letters.erase, message, Deleted.EVERYWHERE)

    async def mark_read(self, conversation_id: str, up_to: int | None = None) -> int:
        """As `Session.mark_read`."""
        community = await self._joined(conversation_id)

        def read(work: Work) -> int:
            marked = outbound.read(work, self._session.groups, conversation_id.lower(), up_to)
            community_rows.mark_read(work, community, work.now if up_to is None else up_to)
            return marked

        return await self._session.run(read)

    async def send_direct(self, conversation_id: str, recipient: str, text: str) -> Message:
        """Writes to somebody of a room by the blinded id (15, 25) under which they post there; a message request.

        What they answer comes from their Account ID.
        """
        server, _ = await self.server(conversation_id)

        def begin(work: Work) -> Letter:
            message = Text(text, profile=work.configs.shown_profile)
            delivery.check(message)
            return Letter(message, outbound.next_timestamp(work))

        letter = await self._session.run(begin)
        number = await server.send_direct(recipient, letter)

        def shown(work: Work) -> Message | None:
            name = f"{server.server.base_url} inbox {number}"
            work.database.seen.add({name: work.now + 15 * 86_400_000}, work.now)
            return community_rows.show_direct(work, server.server, recipient.lower(), letter, name=name)

        found = await self._session.run(shown)
        if found is None:
            raise ValueError("a message of that time was sent already")
        return found

    # --- moderation

    async def ban(self, conversation_id: str, user: str, *, timeout: float | None = None, delete: bool = False) -> None:
        """Bans somebody from a room, for some seconds or for good, and with `delete` deletes all of theirs in it."""
        if delete:
            server, room = await self.server(conversation_id)
            await server.ban_and_delete(user, room)
            return
        await self._call(conversation_id, lambda room: calls.ban(user, [room], timeout))

    async def unban(self, conversation_id: str, user: str) -> None:
        """The inverse."""
        await self._call(conversation_id, lambda room: calls.unban(user, [room]))

    async def set_moderator(self, conversation_id: str, user: str, *, admin: bool = True, remove: bool = False) -> None:
        """Makes somebody an admin (or but a moderator) of a room, or neither."""
        given = not remove
        await self._call(
            conversation_id,
            lambda room: calls.set_moderator(user, room, admin=admin and given, moderator=given),
        )

    async def set_permissions(self, conversation_id: str, user: str, **permissions: bool) -> None:
        """What somebody may: `read`, `write`, `upload`, `accessible`."""
        await self._call(conversation_id, lambda room: calls.set_permissions(room, user, **permissions))

    async def pin(self, message: Message, *, pinned: bool = True) -> None:
        """Pins a post, or takes the pin off."""
        number = community_rows.number_of(message)
        await self._call(
            message.conversation, lambda room: calls.pin(room, number) if pinned else calls.unpin(room, number)
        )

    async def edit_room(self, conversation_id: str, **changes: Any) -> None:
        """Name, description, picture and defaults of a room; see `calls.edit_room`."""
        await self._call(conversation_id, lambda room: calls.edit_room(room, **changes))

    async def _call(self, conversation_id: str, make: Any) -> Any:
        server, room = await self.server(conversation_id)
        call: Call = make(room)
        return await server.call(call)

    # --- polling

    async def sync(self) -> None:
        """One poll of each server, side by side; one that does not answer soon keeps nobody waiting."""
        tasks = [asyncio.create_task(self._polled(each)) for each in await self._wanted()]
        if not tasks:
            return
        try:
            await asyncio.wait(tasks, timeout=SYNC_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for error in results:
            if isinstance(error, RefusedError | NetworkError | asyncio.CancelledError):
                _log.info("a community was not polled: %s", type(error).__name__)
            elif error is not None:
                raise error

    def wake(self) -> None:
        """The network answers again: nothing waits any longer."""
        for event in self._wakes.values():
            event.set()

    async def clear_inboxes(self) -> None:
        """Has every server delete what blinded users wrote to us, as far as it can be reached."""
        for server in await self._wanted():
            with contextlib.suppress(NetworkError, RefusedError):
                await (await self._server(server)).call(calls.clear_inbox())

    async def _wanted(self) -> list[Server]:
        joined = await self.all()
        return list({each.server.base_url: each.server for each in joined.values()}.values())

    async def _poll(self, server: Server) -> None:
        async with self._locks.setdefault(server.base_url, asyncio.Lock()):
            asked = await self._server(server)

            async def commit(outcome: PollOutcome) -> None:
                await self._session.run(community_rows.take, server, outcome, asked.identity.id, self._session.groups)

            await poll_once(asked, commit)

    async def _polled(self, server: Server) -> None:
        """A poll, and then what of our posts it has not shown: they are not there."""
        await self._poll(server)
        attempts = self._unposted.get(server.base_url)
        if attempts is not None and not attempts:
            return
        found = await self._session.run(community_rows.unposted, server)
        here = {message.id for message in found}
        self._unposted[server.base_url] = {each: count for each, count in (attempts or {}).items() if each in here}
        for message in found:
            try:
                known, room = await self.server(message.conversation)
                await self._again(known, room, message)
            except ValueError:
                # A file that is of no server, or a room that was left meanwhile.
                await self._session.run(community_rows.set_state, message.id, MessageState.FAILED)

    async def run(self) -> None:
        """Polls every server in its own time, for ever."""
        try:
            while True:
                wanted = {server.base_url: server for server in await self._wanted()}
                for url, server in wanted.items():
                    if url not in self._polls or self._polls[url].done():
                        self._polls[url] = asyncio.create_task(self._follow(server))
                for url in self._polls.keys() - wanted.keys():
                    self._polls.pop(url).cancel()
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            polls = list(self._polls.values())
            self._polls.clear()
            for task in polls:
                task.cancel()
            await asyncio.gather(*polls, return_exceptions=True)

    async def _follow(self, server: Server) -> None:
        failures = 0
        wake = self._wakes.setdefault(server.base_url, asyncio.Event())
        while True:
            try:
                await self._polled(server)
                failures = 0
            except (NetworkError, RefusedError):
                failures += 1
            except Exception as error:
                # A fault of ours, or of the disk. It costs no other server its polls.
                _log.error("a poll of a community failed: %s", type(error).__name__)
                failures += 1
            await pause(failures, wake)


def _content(work: Work, message_id: int) -> tuple[Message, Letter] | None:
    """A post of ours and the letter that it is, as it was first made."""
    message = work.database.messages.get(message_id)
    if message is None:
        return None
    files = tuple(each.attachment for each in work.database.attachments.of([message_id]))
    invitation = message.extra.get("invitation")
    preview = message.extra.get("preview")
    text = Text(
        message.body,
        files,
        message.quote,
        Preview(preview["url"], preview["title"]) if preview else None,
        CommunityInvitation(invitation["url"], invitation["name"]) if invitation else None,
        work.configs.shown_profile,
    )
    return message, Letter(text, message.timestamp)
