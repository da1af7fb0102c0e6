"""One open account: its session, what is under way for it, and its events as the API tells them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from allium.client.database.rows import ConversationKind, Message, MessageState
from allium.client.errors import NetworkError, RefusedError
from allium.client.session import Session, calling, group_view
from allium.client.session import events as happened
from allium.client.session.core import Work
from allium.messenger import calls_shown, listing, showing, values
from allium.messenger.facts import Facts
from allium.messenger.gif_library import GifLibrary
from allium.messenger.gif_search import GifSearch
from allium.messenger.hub import Hub
from allium.messenger.keeping import Keeper
from allium.messenger.link_previews import LinkPreviews
from allium.messenger.people import People
from allium.messenger.views import AccountView, ConversationView, MessageView

_log = logging.getLogger(__name__)
#: Nobody types for longer without saying so again, seconds.
TYPING_SECONDS = 15.0
#: Before it is asked again who a restored account is.
NAME_SECONDS = 5.0
MAX_TASKS = 64
_ARRIVED = (MessageState.SENT, MessageState.UNSYNCED)
#: It is told how far a file is when that has changed by so much.
PROGRESS_STEP = 0.02


class OpenAccount:
    """An account whose session is open."""

    def __init__(self, number: str, directory: Path, session: Session, hub: Hub, gif_provider: str = "") -> None:
        self.id, self.directory, self.session = number, directory, session
        self.prefix = f"/api/accounts/{number}"
        self._hub = hub
        #: Of files that are under way, from 0 to 1.
        self.progress: dict[int, float] = {}
        self.downloads: dict[int, asyncio.Task[None]] = {}
        #: What was found behind links that are typed now.
        self.previews = LinkPreviews()
        self.gif_library, self.gif_search = GifLibrary(self), GifSearch(gif_provider)
        #: Rooms of communities -> who we are there.
        self._own_ids: dict[str, str] = {}
        self._typing: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._shown: dict[int, float] = {}
        session.enclosing.progress = self._sent
        self.keeper = Keeper(self)
        self.start(self._pump())
        self.start(self.keeper.run())

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs something for as long as the account is open."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @property
    def is_busy(self) -> bool:
        """Whether no more may be started."""
        return len(self._tasks) >= MAX_TASKS

    async def close(self) -> None:
        """Ends what is under way and closes the session."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.gif_search.close()
        await self.session.close()

    @property
    def online(self) -> bool:
        """Whether the network answers."""
        return self.session.network.connection.online is True

    @property
    def typing(self) -> set[str]:
        """Conversations in which the other side types now."""
        now = asyncio.get_running_loop().time()
        self._typing = {name: until for name, until in self._typing.items() if until > now}
        return set(self._typing)

    async def view(self) -> AccountView:
        """The account as it is shown."""

        def made(work: Work) -> AccountView:
            profile = work.configs.profile
            return AccountView(
                id=self.id,
                account_id=work.own_id,
                display_name=profile.name or "",
                picture=People(work, self.prefix).url(work.own_id, profile.picture),
                unread=work.database.conversations.unread(),
                online=self.online,
                phrase_seen=Facts.load(work).phrase_seen,
                color=values.color(work.own_id),
                letters=values.letters(profile.name or "", work.own_id),
                call=None if (call := calling.current(work)) is None else calls_shown.call(work, self.prefix, call),
            )

        return await self.session.run(made)

    async def messages(self, found: list[Message]) -> list[MessageView]:
        """As they are shown."""
        return await self.session.run(showing.messages, self.prefix, found, self.progress, self.own_ids)

    async def groups(self) -> dict[str, group_view.GroupView]:
        """All groups by their ids."""
        return {each.id: each for each in await self.session.groups.all()}

    async def conversations(
        self, wanted: Callable[[ConversationView], bool] = lambda shown: True, *, hidden: bool = False
    ) -> list[ConversationView]:
        """The list of them."""
        groups, typing = await self.groups(), self.typing
        strange: list[str] = []

        def made(work: Work) -> list[ConversationView]:
            found = work.database.conversations.all(hidden=hidden)
            for each in found:
                if each.kind is ConversationKind.COMMUNITY and each.id not in self._own_ids:
                    strange.append(each.id)
            return listing.conversations(work, self.prefix, found, groups, typing, self.own_ids)

        shown = await self.session.run(made)
        for each in strange:
            if not self.is_busy:
                self._own_ids[each] = ""
                self.start(self._learn_own_id(each))
        return [each for each in shown if wanted(each)]

    @property
    def own_ids(self) -> set[str]:
        """Who we are in communities, as far as their servers have told."""
        return set(filter(None, self._own_ids.values()))

    async def _learn_own_id(self, room: str) -> None:
        try:
            self._own_ids[room] = await self.session.communities.own_id(room)
        except (NetworkError, RefusedError, ValueError):
            # It is asked again with the next list.
            self._own_ids.pop(room, None)
        else:
            self._tell("conversation_changed", conversation=values.in_url(room))

    # --- events

    async def _pump(self) -> None:
        async for event in self.session.events():
            try:
                await self._told(event)
            except Exception as error:
                # One that cannot be shown hides no other.
                _log.error("an event was lost: %s", type(error).__name__)

    async def _told(self, event: happened.Event) -> None:
        match event:
            case happened.MessageReceived(message):
                self._typing.pop(message.conversation, None)
                await self._message("message_received", message)
            case happened.RequestReceived(message):
                await self._message("request_received", message)
            case happened.NoticeReceived(message):
                await self._message("notice_received", message)
            case happened.MessageChanged(message):
                if message.has_attachments and message.state in _ARRIVED:
                    await self.keeper.seal_all(message.id)
                await self._message("message_changed", message)
            case happened.MessageDeleted(conversation, number, placeholder):
                self.keeper.sweep()
                self._tell(
                    "message_deleted",
                    conversation=values.in_url(conversation),
                    message_id=number,
                    placeholder=placeholder,
                )
            case happened.ReactionReceived(conversation, number, sender, emoji, removed):
                found = await self.session.conversations.message(number)
                shown = await self.messages([found]) if found is not None else [None]
                self._tell(
                    "reaction_received",
                    conversation=values.in_url(conversation),
                    message_id=number,
                    sender=sender,
                    emoji=emoji,
                    removed=removed,
                    message=shown[0],
                )
            case happened.ReceiptReceived(conversation, timestamps):
                self._tell("receipt_received", conversation=values.in_url(conversation), timestamps=timestamps)
            case happened.TypingReceived(conversation, started):
                if started:
                    self._typing[conversation] = asyncio.get_running_loop().time() + TYPING_SECONDS
                else:
                    self._typing.pop(conversation, None)
                self._tell("typing_received", conversation=values.in_url(conversation), started=started)
            case happened.ConnectionChanged(connection):
                self._tell("connection_changed", online=connection is happened.Connection.ONLINE)
            case happened.CallChanged(call):
                self._tell("call_changed", call=await self.session.run(calls_shown.call, self.prefix, call))
            case happened.DatabaseFailed(reason):
                self._tell("database_failed", reason=reason)
            case _:
                self._changed(event)

    def _changed(self, event: happened.Event) -> None:
        match event:
            case happened.GroupChanged(group):
                self._tell("group_changed", group=group, conversation=group)
            case happened.ContactChanged(contact) | happened.RequestAccepted(contact):
                self._tell("contact_changed", contact=contact, conversation=contact)
            case happened.ConversationChanged(conversation):
                # It may have been cleared.
                self.keeper.sweep()
                self._tell("conversation_changed", conversation=values.in_url(conversation))
            case happened.ConfigChanged(namespace):
                self._tell("config_changed", namespace=namespace)
                self._tell("account_changed")
            case happened.CallReceived(conversation, sender, call, timestamp):
                step = call.step.name.lower()
                self._tell("call_received", conversation=conversation, sender=sender, step=step, timestamp=timestamp)

    async def _message(self, kind: str, message: Message) -> None:
        # It may have changed since; what is shown is what is there.
        found = await self.session.conversations.message(message.id) or message
        [shown] = await self.messages([found])
        self._tell(kind, conversation=shown.conversation, message=shown)

    def _tell(self, kind: str, **members: Any) -> None:
        self._hub.tell(kind, self.id, **members)

    def tell_progress(self, message: int, attachment: int, progress: float) -> None:
        """How far a file is."""
        self._tell("attachment_progress", message_id=message, attachment=attachment, progress=progress)

    def _sent(self, message: int, attachment: int, done: int, total: int) -> None:
        """How far a file is that is sent."""
        now = done / total if total > 0 else 0.0
        if now >= 1.0:
            self.progress.pop(attachment, None)
            self._shown.pop(attachment, None)
        else:
            self.progress[attachment] = now
            if now - self._shown.get(attachment, -1.0) < PROGRESS_STEP:
                return
            self._shown[attachment] = now
        self.tell_progress(message, attachment, min(now, 1.0))

    async def tell_changed(self, message: int) -> None:
        """A message looks different now."""
        found = await self.session.conversations.message(message)
        if found is not None:
            await self._message("message_changed", found)

    async def keep_name(self, name: str) -> None:
        """Sees that the account has this name after what the network knows of it has come."""
        while True:
            try:
                await self.session.sync()
            except (NetworkError, RefusedError):
                await asyncio.sleep(NAME_SECONDS)
            else:
                break
        if (await self.view()).display_name != name:
            await self.session.set_display_name(name)

    async def sync(self) -> None:
        """Asks the network at once what is new; an unreachable one is tried again anyway."""
        with contextlib.suppress(NetworkError):
            await self.session.sync()
