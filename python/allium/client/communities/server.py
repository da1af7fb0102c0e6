"""One community server, asked by any route (`spec/groups` §9)."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from allium.client.account import Account
from allium.client.communities import answers, calls, polling
from allium.client.communities.answers import PostEntry, Room, SubReply
from allium.client.communities.calls import Call
from allium.client.communities.polling import CommunityEvent, PollOutcome, RoomCursor, ServerState
from allium.client.communities.signing import BLIND, Identity
from allium.client.configs.community import Server
from allium.client.envelope import pad
from allium.client.errors import ClockError, RefusedError
from allium.client.exchange import Body, BytesBody, ServerReply, ServerRequest
from allium.client.files.legacy import FileError
from allium.client.groups import blinding, community
from allium.client.messages.encoding import content_of
from allium.client.messages.kinds import Attachment, Letter
from allium.client.servers import TRANSFER_TIMEOUT, Route, ServerUnreachableError, perform
from allium.client.transfers.sinks import FileSink, Sink
from allium.client.transfers.transfer import CountedBody, Progress, pieces_of

#: Whose rooms a client offers to who is in none.
OFFICIAL = Server(
    "https://open.getsession.org", bytes.fromhex("a03c383cf63c3c4efe67acc52112a6dd734b3a946b9545f488aaa93da7991238")
)
_CLOCK = 425
_FILE_URL = re.compile(r"(?P<base>https?://[^/]+)/(?:room/(?P<room>[A-Za-z0-9_-]{1,64})/)?file/(?P<id>[0-9]{1,18})/?")


class CommunityFileError(FileError):
    """A file that is not the one that a post names, or no file of a room."""


@dataclass(frozen=True, slots=True)
class RoomFile:
    """A file that was sent to a room, and waits for a post that names it."""

    id: int
    #: What the post says of it.
    attachment: Attachment


class CommunityServer:
    """A server as one account sees it. Errors: `RefusedError`, `NetworkError`, of the latter `ClockError`.

    Who it is stays hidden from a server with blinding, which all deployed ones have; another one learns the Account ID.
    """

    def __init__(
        self,
        route: Route,
        account: Account,
        server: Server,
        state: ServerState | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`state` is what an earlier run has kept; `now` gives Unix seconds by the network's clocks."""
        self.route = route
        self.account = account
        self.server = server
        self.state = state or ServerState()
        self._now = now

    @property
    def identity(self) -> Identity:
        """Who we are there, by what is known of the server."""
        return Identity.on(self.account, self.server, self.state.capabilities or (BLIND,))

    # --- single calls

    async def call(self, call: Call) -> Any:
        """One call; its answer's JSON value."""
        reply = await self._perform(call)
        try:
            return reply.checked().json()
        except ValueError:
            raise ServerUnreachableError(self.server, "its answer cannot be read") from None

    async def several(self, wanted: Sequence[Call], *, in_order: bool = False) -> list[SubReply]:
        """The answers to several calls, each of which may be a refusal; `in_order`, up to the first of those."""
        body = await self.call(calls.sequence(wanted) if in_order else calls.batch(wanted))
        try:
            return answers.batch_of(body, len(wanted))
        except ValueError as error:
            raise ServerUnreachableError(self.server, str(error)) from None

    async def _perform(self, call: Call) -> ServerReply:
        await self._know_capabilities(call)
        data = call.body
        repeatable = call.method != "POST" or call.path == "/batch"

        def make() -> ServerRequest:
            sent = BytesBody(data) if data else None
            return ServerRequest(call.method, call.path, self._headers(call, data), sent)

        return self._checked_clock(await perform(self.route, self.server, make, repeatable=repeatable))

    async def know(self) -> Identity:
        """Who we are there, once the server has said what it can do."""
        await self._know_capabilities(calls.rooms())
        return self.identity

    async def _know_capabilities(self, call: Call) -> None:
        """Before the first call it has to be known by which id the server wants to be asked."""
        if self.state.capabilities or call.path == "/capabilities":
            return
        reply = await perform(self.route, self.server, ServerRequest("GET", "/capabilities"))
        try:
            found = answers.capabilities_of(reply.checked().json())
        except ValueError:
            raise ServerUnreachableError(self.server, "it is no community server") from None
        self.state = replace(self.state, capabilities=found)

    def _headers(self, call: Call, body: bytes) -> dict[str, str]:
        signed = self.identity.headers(call.method, call.path, body, int(self._now()))
        return signed | ({"Content-Type": "application/json"} if body else {})

    def _checked_clock(self, reply: ServerReply) -> ServerReply:
        if reply.status == _CLOCK:
            raise ClockError(f"{self.server.base_url} refused our time; set this machine's clock")
        return reply

    # --- rooms

    async def rooms(self) -> list[Room]:
        """All that may be joined."""
        return answers.rooms_of(await self.call(calls.rooms()))

    async def join(self, token: str) -> Room:
        """A room, from now on polled for."""
        room = answers.room_of(await self.call(calls.room(token)))
        if room is None:
            raise ServerUnreachableError(self.server, "it does not say what room this is")
        self.state = replace(
            self.state, rooms={**self.state.rooms, room.token: self.state.rooms.get(room.token, RoomCursor())}
        )
        return room

    def leave(self, token: str) -> None:
        """The room is no longer polled for. The server is told nothing: it keeps no members."""
        kept = {name: cursor for name, cursor in self.state.rooms.items() if name != token}
        self.state = replace(self.state, rooms=kept)

    async def poll(self) -> PollOutcome:
        """What is new in all rooms and in the inbox, in one batch.

        `state` stays as it was: the caller sets it to the outcome's, once it has kept that and the events.
        """
        await self.know()
        state, more = self.state, False
        events: list[CommunityEvent] = []
        for wanted in polling.batches(state):
            outcome = polling.take(state, self.identity, wanted, await self.several(wanted))
            state, more = outcome.state, more or outcome.more
            events += outcome.events
        return PollOutcome(tuple(events), state, more)

    # --- posts

    async def post(self, token: str, letter: Letter, files: Iterable[RoomFile] = (), **whisper: Any) -> PostEntry:
        """Posts a letter; the entry that the server made of it. `whisper` as of `calls.post`."""
        written = community.write(await self.know(), letter)
        told = calls.post(token, written.data, written.signature, [each.id for each in files], **whisper)
        return self._entry(await self.call(told))

    async def edit(self, token: str, number: int, letter: Letter, files: Iterable[RoomFile] = ()) -> None:
        """Gives a post of ours other words."""
        written = community.write(await self.know(), letter)
        await self.call(calls.edit(token, number, written.data, written.signature, [each.id for each in files]))

    def _entry(self, body: Any) -> PostEntry:
        entries, _ = answers.posts_of([{"session_id": self.identity.id, **body} if isinstance(body, dict) else body])
        if not entries:
            raise ServerUnreachableError(self.server, "it does not say what became of the post")
        return entries[0]

    async def ban_and_delete(self, user: str, token: str) -> None:
        """Bans somebody from a room, and deletes all of theirs in it; `RefusedError` if either was refused."""
        done = await self.several([calls.ban(user, [token]), calls.delete_all(user, token)], in_order=True)
        for each in done:
            if not 200 <= each.status < 300:
                raise RefusedError(each.status, str(each.body)[:200])
        if len(done) < 2:
            raise ServerUnreachableError(self.server, "it did half of what was asked")

    # --- direct messages

    async def send_direct(self, recipient: str, letter: Letter) -> int:
        """A message to somebody of whom only the blinded id is known; its id.

        `ValueError` for another id, and on a server without blinding.
        """
        own = (await self.know()).key_for(recipient)
        padded = pad(content_of(letter).SerializeToString(deterministic=True))
        body = await self.call(calls.send_direct(recipient, blinding.seal(own, recipient, padded)))
        try:
            return answers.file_id_of(body)
        except ValueError:
            raise ServerUnreachableError(self.server, "it does not say what became of the message") from None

    # --- files

    async def upload(
        self,
        token: str,
        source: Body,
        name: str,
        content_type: str = "",
        progress: Progress | None = None,
        **shown: Any,
    ) -> RoomFile:
        """Sends a file to a room, where everybody can read it; `FileError` if it is too large.

        What is sent is hashed once before, as the request's signature is over it.
        """
        if source.size > calls.MAX_ROOM_FILE_BYTES:
            raise FileError(f"a file has at most {calls.MAX_ROOM_FILE_BYTES} bytes")
        call = Call("POST", calls.file_path(token))
        await self.know()
        body_hash, digest = hashlib.blake2b(digest_size=64), hashlib.sha256()
        async for piece in source.pieces():
            body_hash.update(piece)
            digest.update(piece)

        def make() -> ServerRequest:
            hashed = body_hash.digest() if source.size else b""
            signed = self.identity.headers_of_hash(call.method, call.path, hashed, int(self._now()))
            return ServerRequest(
                call.method, call.path, signed | calls.file_headers(name), CountedBody(source, progress)
            )

        reply = await perform(self.route, self.server, make, repeatable=False, timeout=TRANSFER_TIMEOUT)
        try:
            number = answers.file_id_of(self._checked_clock(reply).checked().json())
        except ValueError:
            raise ServerUnreachableError(self.server, "it does not name the file") from None
        url = f"{self.server.base_url}{calls.file_path(token, number)}"
        return RoomFile(number, Attachment(url, b"", digest.digest(), source.size, content_type, name, **shown))

    async def receive(self, token: str, attachment: Attachment, sink: Sink, progress: Progress | None = None) -> None:
        """Writes a file of a post to `sink`; good only if this returns. `CommunityFileError` if it is another one."""
        digest = await self.fetch(token, file_of(self.server, attachment.url), sink, progress)
        if attachment.digest and digest != attachment.digest:
            raise CommunityFileError("the file is not the one that the post names")

    async def fetch(self, token: str, number: int, sink: Sink, progress: Progress | None = None) -> bytes:
        """Writes a file of a room, such as its picture, to `sink`; its SHA-256. Good only if this returns."""
        call = Call("GET", calls.file_path(token, number))
        await self.know()

        def make() -> ServerRequest:
            return ServerRequest(call.method, call.path, self._headers(call, b""))

        digest = hashlib.sha256()
        async for piece, gone, whole in pieces_of(self.route, self.server, make):
            digest.update(piece)
            sink.write(piece)
            if progress:
                progress(gone, whole)
        return digest.digest()

    async def download(
        self, token: str, attachment: Attachment, directory: Path, progress: Progress | None = None
    ) -> Path:
        """Puts a file of a room into `directory` under its name, made safe, and says where it is."""
        with FileSink(directory) as sink:
            await self.receive(token, attachment, sink, progress)
            return await sink.placed(attachment.name, attachment.content_type)


def file_of(server: Server, url: str) -> int:
    """The number of a file by its URL; `CommunityFileError` if that is none of this server."""
    found = _FILE_URL.fullmatch(url)
    if found is None or found["base"].lower() != server.base_url:
        raise CommunityFileError("not a file of this community")
    return int(found["id"])
