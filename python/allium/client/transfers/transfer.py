"""Files to a file server and from it, by any route, in pieces (`spec/files-and-calls` §1).

A task that is cancelled ends its transfer at once and leaves nothing behind.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nacl import bindings

from allium.client.configs.community import CommunityError, Server
from allium.client.errors import NetworkError, RefusedError
from allium.client.exchange import (
    MAX_REFUSAL_BYTES,
    Body,
    BytesBody,
    MissingError,
    ServerReply,
    ServerRequest,
    refusal,
)
from allium.client.files import deterministic, legacy
from allium.client.files.encryption import MAX_STORED_BYTES, EncryptedBody, FileEncryption, deterministic_encryption
from allium.client.files.legacy import FileError
from allium.client.files.urls import DEFAULT_KEY, DEFAULT_SERVER, FileUrl, FileUrlError
from allium.client.messages.kinds import Attachment
from allium.client.servers import (
    ATTEMPTS,
    TRANSFER_TIMEOUT,
    PathFailedError,
    Route,
    ServerUnreachableError,
    perform,
)
from allium.client.transfers.sinks import FileSink, MemorySink, Sink

#: A picture is put in force again after this many seconds; servers forget it after 14 days.
RENEW_SECONDS = 12 * 86_400
#: Of a picture's URL in bytes, as configs take it.
MAX_PICTURE_URL_BYTES = 223
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
#: Ids of content, the only ones that can be extended.
_CONTENT_ID_LENGTH = 44
_UPLOAD_HEADERS = {"content-type": "application/octet-stream", "content-disposition": "attachment"}

#: Called with the bytes that have gone, and how many there are of them in all (0: not known).
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class FileServer:
    """A file server: its URL and Ed25519 key (32 bytes)."""

    url: str = DEFAULT_SERVER
    key: bytes = DEFAULT_KEY

    @property
    def server(self) -> Server:
        """As onion requests reach it; `FileUrlError` for a key or URL that is none."""
        try:
            return Server.parse(self.url, bindings.crypto_sign_ed25519_pk_to_curve25519(self.key))
        except CommunityError as error:
            raise FileUrlError(str(error)) from None
        except Exception:  # PyNaCl has its own exception type for a point it cannot convert
            raise FileUrlError("a server's key that is none") from None


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What a server says of a file; times are Unix seconds, None where it does not say."""

    file_id: str
    size: int | None = None
    uploaded: float | None = None
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that is on a server, and what opens it."""

    url: FileUrl
    encryption: FileEncryption
    info: FileInfo

    def attachment(self, content_type: str = "", name: str = "", **shown: Any) -> Attachment:
        """What a message says of it; `shown` are further fields of an `Attachment`."""
        encryption = self.encryption
        return Attachment(
            str(self.url), encryption.key, encryption.digest, encryption.size, content_type, name, **shown
        )


class Transfers:
    """Uploads and downloads by one route. `server` is where files are sent; they come from where their URL says."""

    def __init__(self, route: Route, server: FileServer | None = None) -> None:
        self.route = route
        self.file_server = server or FileServer()

    # --- what is known of a file

    async def info(self, file_id: str, server: FileServer | None = None) -> FileInfo:
        """Size and times; `MissingError`, `RefusedError`, `NetworkError`."""
        return await self._ask(server, "GET", f"/file/{_checked(file_id)}/info", {}, file_id)

    async def extend(self, file_id: str, ttl: int | None = None, server: FileServer | None = None) -> FileInfo:
        """Has it kept for `ttl` seconds from now, or as long as the server likes; as `info`."""
        return await self._ask(server, "POST", f"/file/{_checked(file_id)}/extend", _ttl(ttl), file_id)

    async def _ask(
        self, server: FileServer | None, method: str, endpoint: str, headers: dict[str, str], file_id: str
    ) -> FileInfo:
        request = ServerRequest(method, endpoint, headers)
        where = (server or self.file_server).server
        return _info(await perform(self.route, where, request, repeatable=True), where, file_id)

    # --- sending

    async def upload(
        self,
        encryption: FileEncryption,
        source: Body,
        *,
        again: bool = False,
        ttl: int | None = None,
        progress: Progress | None = None,
    ) -> RemoteFile:
        """Sends a file, encrypted like this. `again`: it was begun before, and the server may have it.

        `FileError` if `source` is not what it was made for; `TooLargeError`, `RefusedError`, `NetworkError`.
        """
        if (again or encryption.deterministic) and (found := await self._found(encryption, ttl)):
            if progress:
                progress(encryption.stored_size, encryption.stored_size)
            return self._remote(encryption, found)
        body = CountedBody(EncryptedBody(encryption, source), progress)
        request = ServerRequest("POST", "/file", {**_UPLOAD_HEADERS, **_ttl(ttl)}, body)
        where = self.file_server.server
        reply = await perform(self.route, where, request, repeatable=True, timeout=TRANSFER_TIMEOUT)
        return self._remote(encryption, _info(reply, where, None))

    async def _found(self, encryption: FileEncryption, ttl: int | None) -> FileInfo | None:
        """What the server has of it, kept for as long as a new file would be; None if it has to be sent."""
        try:
            found = await self.info(encryption.content_id)
            return await self.extend(encryption.content_id, ttl) if found.size == encryption.stored_size else None
        except RefusedError:
            # Older servers know neither request.
            return None

    def _remote(self, encryption: FileEncryption, info: FileInfo) -> RemoteFile:
        url = FileUrl(self.file_server.url, info.file_id, self.file_server.key, encryption.deterministic)
        return RemoteFile(url, encryption, info)

    async def upload_picture(self, picture: bytes, seed: bytes) -> RemoteFile:
        """A profile's or group's picture, for `seed`'s account; `FileError` for one that profiles cannot name."""
        source = BytesBody(picture)
        remote = await self.upload(await deterministic_encryption(source, seed, "picture"), source)
        if len(str(remote.url).encode()) > MAX_PICTURE_URL_BYTES:
            raise FileError(f"a picture's URL has at most {MAX_PICTURE_URL_BYTES} bytes")
        return remote

    async def renew_picture(self, url: str, picture: bytes, seed: bytes) -> RemoteFile | None:
        """Keeps a picture from expiring; the new one if it has to be named anew, else None. Errors as `upload`."""
        current = FileUrl.parse(url)
        server = FileServer(current.server, current.key)
        if len(current.file_id) == _CONTENT_ID_LENGTH:
            try:
                await self.extend(current.file_id, server=server)
            except MissingError:
                pass
            else:
                return None
        remote = await self.upload_picture(picture, seed)
        return None if str(remote.url) == url else remote

    # --- receiving

    async def download(
        self, attachment: Attachment, directory: Path, *, name: str = "", progress: Progress | None = None
    ) -> Path:
        """Puts a file into `directory` under its name, made safe, and says where it is.

        What breaks off half-way begins anew, and so does `progress`.
        `FileUrlError` or `FileError` if it is not what the message says, `MissingError`, `RefusedError`,
        `NetworkError`, `OSError`.
        """
        for left in reversed(range(ATTEMPTS)):
            came = Came(progress)
            with FileSink(directory) as sink:
                try:
                    await self.receive(attachment, sink, progress=came)
                except (PathFailedError, ServerUnreachableError):
                    # Of what did not even begin, other paths were tried.
                    if not (came.gone and left):
                        raise
                else:
                    return await sink.placed(name or attachment.name, attachment.content_type)
        raise AssertionError  # the last attempt raises or returns

    async def download_picture(self, url: str, key: bytes) -> bytes:
        """A profile's picture, with its key of 32 bytes; errors as `download`."""
        sink = MemorySink()
        found = FileUrl.parse(url)
        if found.deterministic:
            await self._receive(found, deterministic.Decryptor(key), sink, None)
            return sink.data
        await self._receive(found, _Plain(), sink, None)
        if sink.data[:1] == b"S":
            # An `S` may be chance; the other encryption says.
            try:
                decryptor = deterministic.Decryptor(key)
                return decryptor.update(sink.data) + decryptor.finish()
            except FileError:
                pass
        return legacy.decrypt_picture(sink.data, key)

    async def receive(self, attachment: Attachment, sink: Sink, *, progress: Progress | None = None) -> None:
        """Writes a file to `sink`; what was written is good only if this returns. Errors as `download`."""
        url = FileUrl.parse(attachment.url)
        if url.deterministic:
            decryptor: Decryptor = deterministic.Decryptor(attachment.key)
        else:
            decryptor = legacy.Decryptor(attachment.key, attachment.digest, attachment.size)
        await self._receive(url, decryptor, sink, progress)

    async def _receive(self, url: FileUrl, decryptor: Decryptor, sink: Sink, progress: Progress | None) -> None:
        where = FileServer(url.server, url.key).server
        request = ServerRequest("GET", f"/file/{url.file_id}")
        async for piece, gone, whole in pieces_of(self.route, where, lambda: request):
            sink.write(decryptor.update(piece))
            if progress:
                progress(gone, whole)
        sink.write(decryptor.finish())


class Came:
    """Notes how far something has got, for whoever wants to know and for itself."""

    def __init__(self, progress: Progress | None) -> None:
        self.gone = 0
        self._progress = progress

    def __call__(self, gone: int, whole: int) -> None:
        """As a `Progress`."""
        self.gone = gone
        if self._progress:
            self._progress(gone, whole)


class Decryptor(Protocol):
    """What both encryptions have in common."""

    def update(self, data: bytes) -> bytes:
        """What there is so far of the file."""

    def finish(self) -> bytes:
        """The rest of the file."""


class _Plain:
    """Of what is opened later."""

    def update(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


async def pieces_of(
    route: Route, where: Server, make: Callable[[], ServerRequest], most: int = MAX_STORED_BYTES
) -> AsyncIterator[tuple[bytes, int, int]]:
    """The pieces of a file, each with the bytes so far and in all (0: not known); errors as `Transfers.download`.

    Another path is tried until the first piece has come; `make` makes each attempt's request.
    """
    failure: NetworkError | None = None
    for _ in range(ATTEMPTS):
        gone = 0
        try:
            async with route.exchange(where, make(), TRANSFER_TIMEOUT, most) as reply:
                if not 200 <= reply.status < 300:
                    said = b""
                    async for piece in reply:
                        said = (said + piece)[:MAX_REFUSAL_BYTES]
                    raise refusal(reply.status, said)
                async for piece in reply:
                    gone += len(piece)
                    yield piece, gone, reply.size or 0
                return
        except (PathFailedError, ServerUnreachableError) as error:
            if gone:
                raise
            failure = error
    assert failure is not None  # noqa: S101, there is at least one attempt
    raise failure


@dataclass(frozen=True, slots=True)
class CountedBody:
    """A body that tells how far it has got, if anybody wants to know."""

    body: Body
    progress: Progress | None

    @property
    def size(self) -> int:
        """See `Body`."""
        return self.body.size

    async def pieces(self) -> AsyncIterator[bytes]:
        """See `Body`."""
        gone = 0
        async for piece in self.body.pieces():
            yield piece
            gone += len(piece)
            if self.progress:
                self.progress(gone, self.body.size)


def is_renewal_due(uploaded: float, now: float) -> bool:
    """Whether a picture that was put in force at `uploaded` has to be again; both in Unix seconds."""
    return not uploaded <= now < uploaded + RENEW_SECONDS


def _info(reply: ServerReply, server: Server, file_id: str | None) -> FileInfo:
    """What a server says of a file whose id is known, or None; `RefusedError`, `ServerUnreachableError`."""
    try:
        said = reply.checked().json()
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise ServerUnreachableError(server, "its answer cannot be read")
    if file_id is None:
        found = said.get("id")
        file_id = str(found) if isinstance(found, str | int) else ""
        if _ID.fullmatch(file_id) is None:
            raise ServerUnreachableError(server, "its answer names no file")
    size = said.get("size")
    return FileInfo(
        file_id,
        size if isinstance(size, int) and size >= 0 else None,
        _time(said.get("uploaded")),
        _time(said.get("expires")),
    )


def _time(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 < value < 1e12 else None


def _checked(file_id: str) -> str:
    if _ID.fullmatch(file_id) is None:
        raise FileUrlError("not the id of a file")
    return file_id


def _ttl(seconds: int | None) -> dict[str, str]:
    return {} if seconds is None else {"X-FS-TTL": str(seconds)}
