"""`session.files`: files of messages, to a file server and from it; pictures (`spec/files-and-calls`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import mimetypes
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from allium.client.configs.community import Server
from allium.client.configs.fields import Picture
from allium.client.database.rows import AttachmentState, StoredAttachment
from allium.client.errors import NetworkError, RefusedError
from allium.client.exchange import Body, BytesBody
from allium.client.files.encryption import legacy_encryption
from allium.client.files.legacy import FileError
from allium.client.files.names import safe_name, suffix_of
from allium.client.files.urls import FileUrlError
from allium.client.messages.kinds import Attachment, Preview
from allium.client.previews.fetch import LinkPreview, PreviewError, PreviewFetcher
from allium.client.previews.links import links_in
from allium.client.servers import DirectRoute, OnionRoute, Route
from allium.client.session import actions, uploads
from allium.client.session.core import Work
from allium.client.session.events import ConversationChanged
from allium.client.transfers import images
from allium.client.transfers.images import ImageError
from allium.client.transfers.sinks import PathBody
from allium.client.transfers.transfer import FileServer, Progress, RemoteFile, Transfers, is_renewal_due

if TYPE_CHECKING:
    from allium.client.session.session import Session

#: How often it is looked whether our picture has to be put in force again, seconds.
LOOK_SECONDS = 6 * 3600.0
_UNKNOWN_TYPE = "application/octet-stream"
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_SERVER, _PICTURE, _RENEWED = "file-server", "picture", "picture-renewed"


class Files:
    """Uploads and downloads of one session, over the network's paths unless its user wants them to be straight."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._routes: dict[bool, Route] = {}
        #: Whether servers are asked straight, and learn this machine's address.
        self.direct = False
        #: The URL of the file server that the user named.
        self._chosen = ""
        #: Asks sites for previews; made with the first one.
        self.fetcher: PreviewFetcher | None = None

    @property
    def route(self) -> Route:
        """How servers are asked."""
        if self.direct not in self._routes:
            network = self._session.network
            self._routes[self.direct] = DirectRoute(self._is_chosen) if self.direct else OnionRoute(network)
        return self._routes[self.direct]

    def _is_chosen(self, server: Server) -> bool:
        return server.base_url == self._chosen or self._session.communities.is_joined(server)

    def use(self, route: Route) -> None:
        """Another way to servers than those that are known here, in place of the one that is used now."""
        self._routes[self.direct] = route

    async def server(self) -> FileServer:
        """Where our files are sent."""
        found = await self._session.run(lambda work: work.database.facts.get(_SERVER))
        if found is None:
            return FileServer()
        told = json.loads(found)
        self._chosen = told["url"]
        return FileServer(told["url"], bytes.fromhex(told["key"]))

    async def set_server(self, server: FileServer | None) -> None:
        """For this device; None: the one that every client knows. `FileUrlError` for a key or URL that is none."""
        self._chosen = server.server.base_url if server else ""
        if server is None:
            await self._session.run(lambda work: work.database.facts.remove(_SERVER))
            return
        told = json.dumps({"url": server.server.base_url, "key": server.key.hex()}).encode()
        await self._session.run(lambda work: work.database.facts.set(_SERVER, told))

    # --- files of messages

    async def upload(
        self,
        source: Path | bytes,
        *,
        name: str = "",
        content_type: str = "",
        voice: bool = False,
        unchanged: bool = False,
        progress: Progress | None = None,
    ) -> Attachment:
        """Encrypts a file and sends it; what `Session.send` takes. Pictures lose their metadata unless `unchanged`.

        Asked again after a failure, it sends nothing that has arrived.
        `FileError` for one that is too large, `RefusedError`, `NetworkError`, `OSError`.
        """
        body, kind, shown = await prepared(source, name, content_type, unchanged=unchanged)
        remote = await self._send(body, progress=progress)
        return remote.attachment(kind, shown_name(source, name, kind), voice=voice, **shown)

    async def _send(self, body: Body, *, padded: bool = True, progress: Progress | None = None) -> RemoteFile:
        name = await uploads.name_of(body, padded)
        encryption = await self._session.run(uploads.begun, name)
        again = encryption is not None
        if encryption is None:
            encryption = await legacy_encryption(body, padded=padded)
            await self._session.run(uploads.begin, name, encryption)
        remote = await Transfers(self.route, await self.server()).upload(
            encryption, body, again=again, progress=progress
        )
        await self._session.run(uploads.end, name)
        return remote

    async def download(self, stored: StoredAttachment, directory: Path, *, progress: Progress | None = None) -> Path:
        """Puts a file of a message into `directory` under its name, made safe, and says where it is.

        `FileError` or `FileUrlError` if it is not what the message says, `RefusedError` (`MissingError` when the server
        has it no longer), `NetworkError`, `OSError`.
        """
        await self._set_state(stored, AttachmentState.PENDING)
        try:
            message = await self._session.run(actions.message, stored.message)
            if message.conversation.startswith("http"):
                path = await self._session.communities.download(message, stored.attachment, directory, progress)
            else:
                transfers = Transfers(self.route, await self.server())
                path = await transfers.download(stored.attachment, directory, progress=progress)
        except (FileError, FileUrlError, RefusedError):
            await self._set_state(stored, AttachmentState.FAILED)
            raise
        except BaseException:
            # It may be tried again.
            await asyncio.shield(self._set_state(stored, AttachmentState.REMOTE))
            raise
        await self._set_state(stored, AttachmentState.HERE, str(path))
        return path

    async def _set_state(self, stored: StoredAttachment, state: AttachmentState, path: str = "") -> None:
        def change(work: Work) -> None:
            work.database.attachments.set_state(stored.id, state, path)
            message = work.database.messages.get(stored.message)
            if message is not None and state is not AttachmentState.PENDING:
                work.tell(ConversationChanged(message.conversation))

        await self._session.run(change)

    async def preview(self, text: str) -> Preview | None:
        """What is behind the first link of a text, for `Session.send`; None if there is none or nothing is found.

        It asks the site from this machine's own address: only for users who want that.
        """
        found = await self.find_preview(text)
        return None if found is None else await self.upload_preview(found)

    async def find_preview(self, text: str) -> LinkPreview | None:
        """The same with nothing sent to a file server yet."""
        link = next(links_in(text), None)
        if link is None:
            return None
        self.fetcher = self.fetcher or PreviewFetcher()
        try:
            return await self.fetcher.preview(link)
        except PreviewError:
            return None

    async def upload_preview(self, found: LinkPreview) -> Preview:
        """What was found, with its image on the file server; without it, if that cannot be."""
        image = None
        if found.image is not None:
            body = BytesBody(found.image.data)
            # Of pictures of previews the size is not hidden.
            with contextlib.suppress(NetworkError, RefusedError):
                remote = await self._send(body, padded=False)
                image = remote.attachment(found.image.content_type, width=found.image.width, height=found.image.height)
        return Preview(found.url, found.title, image)

    # --- pictures of profiles and groups

    async def upload_picture(self, source: Path | bytes) -> Picture:
        """A square of at most 600 pixels, sent; for a profile or a group. `ImageError`, and errors as `upload`."""
        made = await asyncio.to_thread(images.profile_picture, source)
        return await self._send_picture(made.data)

    async def _send_picture(self, data: bytes) -> Picture:
        remote = await Transfers(self.route, await self.server()).upload_picture(data, self._seed)
        return Picture(str(remote.url), remote.encryption.key)

    async def set_picture(self, source: Path | bytes | None) -> None:
        """Our own picture, or none; it is kept from expiring from then on. Errors as `upload_picture`."""
        if source is None:
            await self._session.run(_remember, None, None)
            return
        made = await asyncio.to_thread(images.profile_picture, source)
        picture = await self._send_picture(made.data)
        await self._session.run(_remember, picture, made.data)

    async def picture(self, url: str, key: bytes) -> bytes:
        """Somebody's picture, as its URL and key of 32 bytes are in a profile; errors as `download`."""
        return await Transfers(self.route, await self.server()).download_picture(url, key)

    async def renew_picture(self) -> bool:
        """Keeps our picture from expiring, if it is time to; whether it was."""
        found = await self._session.run(_due)
        if found is None:
            return False
        url, data = found
        remote = await Transfers(self.route, await self.server()).renew_picture(url, data, self._seed)
        picture = None if remote is None else Picture(str(remote.url), remote.encryption.key)
        await self._session.run(_renewed, picture)
        return True

    async def run(self) -> None:
        """Renews our picture, for ever."""
        while True:
            with contextlib.suppress(NetworkError, RefusedError):
                await self.renew_picture()
            await asyncio.sleep(LOOK_SECONDS)

    async def close(self) -> None:
        """Closes its connections."""
        for route in self._routes.values():
            await route.close()

    @property
    def _seed(self) -> bytes:
        return self._session.account.ed25519_secret[:32]


async def prepared(
    source: Path | bytes, name: str, content_type: str, *, unchanged: bool
) -> tuple[Body, str, dict[str, int]]:
    """What is sent of a file, its media type, and of a picture its width and height. `OSError`, `FileError`."""
    kind = content_type or mimetypes.guess_type(name or (source.name if isinstance(source, Path) else ""))[0]
    kind = kind or _UNKNOWN_TYPE
    if kind in _PICTURES and not unchanged:
        if find_spec("PIL") is None:
            raise FileError("a picture's metadata cannot be removed: install allium[images], or send it unchanged")
        try:
            made = await asyncio.to_thread(images.without_metadata, source)
            return BytesBody(made.data), made.content_type, {"width": made.width, "height": made.height}
        except ImageError as error:
            raise FileError(f"{error}; send it unchanged if you want to") from None
    return (BytesBody(source) if isinstance(source, bytes) else PathBody(source)), kind, {}


def shown_name(source: Path | bytes, name: str, content_type: str) -> str:
    """What the receiver is told: one's own directories are nobody's business."""
    given = name or (source.name if isinstance(source, Path) else "")
    return safe_name(given, content_type) if given else f"file{suffix_of(content_type)}"


def _remember(work: Work, picture: Picture | None, data: bytes | None) -> None:
    actions.set_picture(work, picture)
    if picture is None or data is None:
        work.database.facts.remove(_PICTURE)
    else:
        work.database.facts.set(_PICTURE, picture.key + data)
    work.database.facts.set(_RENEWED, str(work.seconds).encode())


def _due(work: Work) -> tuple[str, bytes] | None:
    """URL and bytes of our picture, if it has to be renewed and this device is the one that has it."""
    picture, kept = work.configs.profile.picture, work.database.facts.get(_PICTURE)
    renewed = int(work.database.facts.get(_RENEWED) or 0)
    if picture is None or kept is None or not is_renewal_due(renewed, work.seconds):
        return None
    return (picture.url, kept[len(picture.key) :]) if kept.startswith(picture.key) else None


def _renewed(work: Work, picture: Picture | None) -> None:
    if picture is not None:
        work.configs.profile.set_reuploaded_picture(picture, work.seconds)
    work.database.facts.set(_RENEWED, str(work.seconds).encode())
