"""The asynchronous face of an account: open it, listen, send (`spec/client-network` §7, §8)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from allium.client import swarm
from allium.client.account import Account
from allium.client.configs.fields import Picture
from allium.client.credentials import AccountCredentials
from allium.client.database import Database, DatabaseError
from allium.client.database.rows import Deleted, Message
from allium.client.messages.kinds import Attachment, CommunityInvitation, Extraction, Preview, Profile, Target
from allium.client.network import Network
from allium.client.session import accountfile, actions, enclosing, erasing, letters, outbound, sending
from allium.client.session.backups import Backups
from allium.client.session.calls import Calls
from allium.client.session.communities import Communities
from allium.client.session.contacts import Contacts
from allium.client.session.conversations import Conversations
from allium.client.session.core import Core, Work
from allium.client.session.devices import Devices
from allium.client.session.enclosing import Enclosing, LocalFile
from allium.client.session.events import CallChanged, Connection, ConnectionChanged, DatabaseFailed, Event
from allium.client.session.expiring import Expirer
from allium.client.session.exports import Exports
from allium.client.session.files import Files
from allium.client.session.groups import Groups
from allium.client.session.idle import Tidier
from allium.client.session.incoming import incoming
from allium.client.session.listeners import Listeners
from allium.client.session.peer_keys import PeerKeys
from allium.client.session.pushing import Pusher
from allium.client.session.reading import ReadingThread
from allium.client.session.receiving import Receiver
from allium.client.session.sending import Sender
from allium.client.session.sent import SentMessage
from allium.client.session.settings import Settings
from allium.client.session.typist import Typist
from allium.client.session.worker import Worker

_log = logging.getLogger(__name__)
#: Before what failed in the background is begun again.
RESTART_SECONDS = 5.0
P = ParamSpec("P")
T = TypeVar("T")


class Session:
    """One account on one network, with its database. Use it as an asynchronous context manager.

    What is received is polled for once somebody listens to `events`, and by `sync`. What is sent goes at once, and
    what could not be sent goes as soon as it can.
    """

    def __init__(self, opened: accountfile.Opened, worker: Worker) -> None:
        """See `create`, `restore` and `open`."""
        self._worker = worker
        self.account, remembered = opened.account, opened.database.nodes
        age = max(0, actions.local_now() - opened.listed) / 1000
        #: For whoever asks the network for more than a session does.
        self.network = Network.open(opened.seeds, remembered.all(), remembered.guards(), remembered.swarms(), age)
        self.core = Core(self.account, opened.database, self.network.now)
        self._reading = ReadingThread(self.core, worker)
        self.groups = Groups(self.core, worker, self.network)
        self.files = Files(self)
        self.communities = Communities(self)
        self.contacts = Contacts(self)
        self.conversations = Conversations(self)
        self.backups = Backups(self.core, worker)
        self.exports = Exports(self.core, worker)
        self.devices = Devices(self)
        self.calls = Calls(self)
        #: What proves to our swarm that a request is ours.
        self.credentials = AccountCredentials(self.account)
        self._listeners = Listeners()
        self._profile = self.core.configs.shown_profile
        self._peer_keys = PeerKeys(self.core, worker, self.network)
        self._sender = Sender(self.core, worker, self.network, self.groups, self._peer_keys)
        self._pusher = Pusher(self.core, worker, self.network, self.credentials)
        self._receiver = Receiver(self.core, worker, self.network, self.credentials, self.groups, self._listeners)
        self._receiver.on_failure = self._failed
        self.groups.on_joined = self._receiver.now
        self.network.connection.on_change.append(self._connected)
        self._typist = Typist(self)
        self._expirer = Expirer(self.core, worker, self.groups)
        self.enclosing = Enclosing(self)
        self._tasks: set[asyncio.Task[None]] = set()
        self._polling: asyncio.Task[None] | None = None
        self._closed = False
        loop = asyncio.get_running_loop()

        def committed(work: Work) -> None:
            loop.call_soon_threadsafe(self._committed, work)

        self.core.committed = committed
        tidy = Tidier(self.core, worker).run
        for endless in (
            self._sender.run,
            self._pusher.run,
            self._expirer.run,
            self.devices.run,
            self.calls.run,
            self.enclosing.run,
            tidy,
        ):
            self._start(self._forever(endless))
        self._pusher.wake()

    # --- its life

    @classmethod
    async def create(
        cls,
        path: Path | str,
        display_name: str,
        *,
        seeds: Sequence[str],
        password: str | None = None,
        keep_phrase: bool = True,
    ) -> Self:
        """A new account in a new file. `display_name` has 1 to 100 bytes of UTF-8; `seeds` are URLs of seed nodes.

        Without a password the recovery phrase is kept in a file beside it, which only its owner can read, and opens it;
        without that (`keep_phrase`) `open` wants the phrase. `ValueError` for a bad name, `DatabaseError` if the file
        cannot be made, or is there already.
        """
        if not display_name:
            raise ValueError("an account has a display name")
        return await cls._made(Path(path), Account.new(), seeds, password, display_name, keep_phrase)

    @classmethod
    async def restore(
        cls,
        path: Path | str,
        phrase: str,
        *,
        seeds: Sequence[str],
        password: str | None = None,
        keep_phrase: bool = True,
    ) -> Self:
        """The account of a recovery phrase in a new file. What it is comes with the first `sync`, from its swarm.

        `PhraseError` for what is no phrase; else as `create`.
        """
        return await cls._made(Path(path), Account.from_phrase(phrase), seeds, password, None, keep_phrase)

    @classmethod
    async def _made(
        cls,
        path: Path,
        account: Account,
        seeds: Sequence[str],
        password: str | None,
        name: str | None,
        keep_phrase: bool,
    ) -> Self:
        worker = Worker()
        try:
            opened = await worker.run(accountfile.make, path, account, tuple(seeds), password, name, keep_phrase)
            return cls(opened, worker)
        except BaseException:
            await worker.close()
            raise

    @classmethod
    async def open(
        cls,
        path: Path | str,
        *,
        password: str | None = None,
        phrase: str | None = None,
        seeds: Sequence[str] | None = None,
    ) -> Self:
        """The account in a file. It wants the password, or the phrase where that is not kept; `seeds` are remembered.

        `DatabaseError` for a wrong password, and for a file that is in use or no database.
        """
        worker = Worker()
        try:
            opened = await worker.run(accountfile.load, Path(path), password, phrase, seeds)
            return cls(opened, worker)
        except BaseException:
            await worker.close()
            raise

    @classmethod
    async def open_or_create(
        cls, path: Path | str, display_name: str, *, seeds: Sequence[str], password: str | None = None
    ) -> Self:
        """The account in a file; a new one of this name where there is no file. Raises as `open` and `create`."""
        if await asyncio.to_thread(Path(path).exists):
            return await cls.open(path, password=password, seeds=seeds)
        return await cls.create(path, display_name, seeds=seeds, password=password)

    async def close(self) -> None:
        """Ends what runs, and closes connections and file. What is not sent or pushed yet waits for the next time."""
        if self._closed:
            return
        self._closed = True
        self._listeners.close()
        await self._sender.close()
        await self._peer_keys.close()
        await self._typist.close()
        tasks = [*self._tasks, *([self._polling] if self._polling else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await self.groups.close()
            await self.files.close()
            network = self.network
            pool = network.pool
            await self.run(accountfile.remember, pool.nodes, pool.age, network.paths.guards, network.swarms)
        finally:
            await self._reading.close()
            await self._worker.close(self.core.close)
            await self.network.close()

    async def erase(self, *, everywhere: bool = False) -> Sequence[str]:
        """Deletes the account's data from this device, and with `everywhere` first from the network.

        The keys of nodes that have not deleted it, or did not sign that they have; if there are any, the device's data
        stays, and may be deleted alone. Else the session is closed. `NetworkError` if the swarm cannot be reached.
        """
        if everywhere:
            await self.run(erasing.begin)
            try:
                await self.communities.clear_inboxes()
                left = await erasing.everywhere(self.network, self.credentials)
            except BaseException:
                await asyncio.shield(self.run(erasing.give_up))
                raise
            if left:
                await self.run(erasing.give_up)
                return left
        path = self.core.database.path
        await self.close()
        await asyncio.to_thread(erasing.remove_files, path, accountfile.phrase_file(path))
        return ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run(self, function: Callable[Concatenate[Work, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One transaction on the worker; for the parts of a session."""
        return await self._worker.run(lambda: self.core.run(function, *args, **kwargs))

    async def read(self, function: Callable[[Database], T]) -> T:
        """What is in the database, which `function` must not change; it waits for nothing that is written meanwhile."""
        return await self._reading.run(function)

    # --- what it is

    @property
    def account_id(self) -> str:
        """`05` and 64 digits."""
        return self.account.account_id

    @property
    def profile(self) -> Profile:
        """Our name and picture, as others see them."""
        return self._profile

    async def set_display_name(self, name: str) -> None:
        """1 to 100 bytes of UTF-8, else `ValueError`."""
        if not name:
            raise ValueError("an account has a display name")
        await self.run(actions.set_name, name)

    async def set_picture(self, picture: Picture | None) -> None:
        """A picture that was uploaded, or none."""
        await self.run(actions.set_picture, picture)

    async def settings(self) -> Settings:
        """What is set on this device."""
        return await self.run(lambda work: work.settings)

    async def set_password(self, new: str, *, old: str | None = None) -> None:
        """Encrypts the file under a password, which alone opens it from then on; `old` is the one that it has.

        `DatabaseError` if that is another one. The recovery phrase is no longer beside it.
        """
        await self._reading.exclude()
        try:
            await self._worker.run(accountfile.set_password, self.core.database, self.account, old, new)
        finally:
            self._reading.include()

    async def set_settings(self, settings: Settings) -> None:
        """For this device alone."""
        await self.run(actions.set_settings, settings)

    # --- listening

    async def events(self) -> AsyncIterator[Event]:
        """Everything that happens from now on. From the first time on that anybody listens, the session polls."""
        if self._polling is None and not self._closed:
            self._polling = asyncio.create_task(self._forever(self._receiver.run))
            for endless in (self.communities.run, self.files.run):
                self._start(self._forever(endless))
        async for event in self._listeners.listen():
            yield event

    async def incoming(self, name: str = "") -> AsyncIterator[Message]:
        """What others write, for programs that answer: each message, and after a restart what was missed.

        A message is dealt with when the next one is asked for; what ends the program before that has it come again.
        `name` tells two such programs on one account apart. The first time, it begins with what comes from then on.
        """
        async for message in incoming(self, name):
            yield message

    async def sync(self) -> None:
        """One poll of everything, and all that waits is sent and pushed. Raises `NetworkError`; repeat it then."""
        await self._receiver.sync()
        await self.devices.sync()
        await self.run(sending.hurry)
        await self._sender.flush()
        await self._pusher.push()
        await self.groups.push()
        await self.communities.sync()

    def hurry(self) -> None:
        """The account is polled at once, if anybody listens."""
        self._receiver.now()

    async def poll(self) -> None:
        """What is new of the account itself, once; for the parts of a session. Raises `NetworkError`."""
        await self._receiver.poll_own()

    # --- sending

    async def send(
        self,
        conversation_id: str,
        text: str = "",
        *,
        quote: Message | Target | None = None,
        attachments: Sequence[Attachment | Path | LocalFile] = (),
        preview: Preview | None = None,
        invitation: CommunityInvitation | None = None,
        wait: bool = True,
    ) -> SentMessage:
        """A message to an account, to ourselves, to a group or to a community.

        Files are uploaded first, which raises what `Files.upload` does. Returns when the message is stored, or when it
        could not be and waits (`state`; in a community it does not). Without `wait` it returns as soon as the message
        is kept; files that are all `LocalFile` are uploaded after that. In a community it waits all the same.
        `ValueError` for what cannot be sent.
        """
        target = Target(quote.timestamp, quote.sender) if isinstance(quote, Message) else quote
        if actions.is_community(conversation_id):
            posted = await self.communities.send(
                conversation_id,
                text,
                quote=target,
                attachments=attachments,
                preview=preview,
                invitation=invitation,
            )
            return SentMessage.of(posted)
        wanted = actions.conversation_id(conversation_id)
        if not wait and any(isinstance(each, LocalFile) for each in attachments):
            files = [each for each in attachments if isinstance(each, LocalFile)]
            return SentMessage.of(await self.enclosing.begin(wanted, text, files, quote=target, preview=preview))
        message = await self.run(
            outbound.text,
            self.groups,
            wanted,
            text,
            quote=target,
            attachments=[await enclosing.uploaded(self.files, each) for each in attachments],
            preview=preview,
            invitation=invitation,
        )
        self._typist.sent(message.conversation)
        return await self._sent(message.id) if wait else SentMessage.of(message)

    async def resend(self, message: Message | SentMessage) -> SentMessage:
        """Tries a message that failed again: the same one, which nobody gets twice."""
        if actions.is_community(message.conversation):
            return SentMessage.of(await self.communities.resend(await self.run(actions.message, message.id)))
        if not await self.enclosing.again(message.id):
            await self.run(sending.again, message.id)
            await self._sender.flush()
        return await self._sent(message.id)

    async def _sent(self, message_id: int) -> SentMessage:
        await self._sender.settled(message_id)
        return SentMessage.of(await self.run(actions.message, message_id))

    async def react(self, message: Message, emoji: str, *, remove: bool = False) -> bool:
        """Puts an emoji on a message, or takes it off; False if it was so. `ValueError` after 20 in a minute."""
        if actions.is_community(message.conversation):
            await self.communities.react(message, emoji, remove=remove)
            return True
        return await self.run(outbound.react, self.groups, message, emoji, remove=remove)

    async def mark_read(self, conversation_id: str, *, up_to: int | None = None) -> int:
        """Marks a conversation as read up to a time (Unix milliseconds), or whole; how many messages that were."""
        if actions.is_community(conversation_id):
            return await self.communities.mark_read(conversation_id, up_to)
        return await self.run(outbound.read, self.groups, actions.conversation_id(conversation_id), up_to)

    async def delete(self, message: Message, *, everywhere: bool = False) -> None:
        """Deletes a message on this device; or, of our own and as a group's admin any, for everybody.

        The latter raises `NetworkError`, with nothing deleted, if the swarm cannot be reached, and `ValueError` for
        somebody else's message.
        """
        await self.enclosing.cancel(message.id)
        if not everywhere:
            await self.run(letters.erase, message, Deleted.HERE)
            return
        if actions.is_community(message.conversation):
            await self.communities.delete(message)
            return
        if message.conversation.startswith("03"):
            await self.groups.delete_messages(message.conversation, [message])
            await self.run(letters.erase, message, Deleted.EVERYWHERE)
            return
        await self.run(actions.check_own, message)
        if message.hash:
            await swarm.delete(self.network, self.credentials, [message.hash])
        await self.run(actions.unsend, self.groups, message)

    async def set_typing(self, conversation_id: str, typing: bool = True) -> None:
        """To be called at each key: tells the other side that we type, and 10 s after the last key that we ceased to.

        With False at once. Nothing is told where both have not agreed to each other and to this, and none of it raises.
        """
        told = self._typist.pressed if typing else self._typist.ceased
        await told(actions.conversation_id(conversation_id))

    async def notify_extraction(self, conversation_id: str, kind: Extraction, when: int = 0) -> None:
        """Tells the other side of a screenshot, or a file that was saved; `when` its message was sent."""
        await self.run(outbound.extraction, self.groups, actions.conversation_id(conversation_id), kind, when)

    # --- in the background

    def _start(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forever(self, endless: Callable[[], Coroutine[None, None, None]]) -> None:
        """What runs as long as the session, and after a full disk goes on."""
        while True:
            try:
                await endless()
            except Exception as error:
                _log.error("%s ended: %s", endless.__qualname__, type(error).__name__)
                if isinstance(error, DatabaseError):
                    self._failed(error)
            await asyncio.sleep(RESTART_SECONDS)

    def _committed(self, work: Work) -> None:
        if self._closed:
            return
        if work.profile is not None:
            self._profile = work.profile
        self._listeners.tell(work.events)
        if work.queued:
            self._sender.wake()
        if work.needs_push:
            self._pusher.wake()
        if work.devices_changed:
            self.devices.wake()
        if any(isinstance(each, CallChanged) for each in work.events):
            self.calls.wake()
        self._expirer.due(work.next_expiry)
        if work.read_elsewhere:
            self._start(self._receiver.adopt(work.read_elsewhere))
        if work.deletions or work.shortened:
            self._start(swarm.tidy(self.network, self.credentials, work.deletions, work.shortened))

    def _connected(self, online: bool) -> None:
        self._listeners.tell([ConnectionChanged(Connection.ONLINE if online else Connection.OFFLINE)])
        self._receiver.connection(online)
        if online and not self._closed:
            self._start(self._hurry())
            self.enclosing.wake()
            self.communities.wake()

    def _failed(self, error: DatabaseError) -> None:
        self._listeners.tell([DatabaseFailed(str(error))])

    async def _hurry(self) -> None:
        await self.run(sending.hurry)
