"""What clients ask, and the exact answers (`spec/files-and-calls` §1): the same by HTTP and in onion requests."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs

from allium.base import log
from allium.errors import Complaint
from allium.files.index import FileRecord
from allium.files.service import FileService, FullError, TooLargeError
from allium.files.versions import PLATFORMS, SignatureError, Versions, verify
from allium.server.messages import JSON, Answer, BodyReader, Request, document, failure, not_allowed, text

#: What a browser neither shows nor runs, wherever it found the link.
CONTENT_HEADERS = {
    "content-type": "application/octet-stream",
    "content-disposition": "attachment",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
}
#: JSON around the base64 of a file.
_LEGACY_OVERHEAD = 1024
_MAX_QUERY = 1024


class LegacyReader:
    """A `BodyReader` of the JSON that the legacy request for a blob is answered with."""

    _HEAD, _TAIL = b'{"status_code":200,"result":"', b'"}'

    def __init__(self, reader: BodyReader) -> None:
        self._reader = reader

    @classmethod
    def size(cls, blob: int) -> int:
        """Bytes of the answer for a blob of so many."""
        return len(cls._HEAD) + _base64_bytes(blob) + len(cls._TAIL)

    @property
    def file(self) -> BinaryIO | None:
        """See `BodyReader`."""
        return None

    async def read(self) -> bytes:
        """See `BodyReader`."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `BodyReader`."""
        yield self._HEAD
        rest = b""
        async for chunk in self._reader.chunks():
            rest += chunk
            whole = len(rest) // 3 * 3
            yield base64.b64encode(rest[:whole])
            rest = rest[whole:]
        yield base64.b64encode(rest) + self._TAIL

    def close(self) -> None:
        """See `BodyReader`."""
        self._reader.close()


class FileApi:
    """Answers requests from a server's files."""

    def __init__(self, service: FileService, versions: Versions) -> None:
        self._service = service
        self._versions = versions
        self._whole = asyncio.Semaphore(1)
        self._log = log.get("files")

    async def answer(self, request: Request) -> Answer:
        """The answer. Raises only what reading the body raises."""
        try:
            return await self._route(request)
        except TooLargeError:
            return failure(413)
        except FullError:
            return failure(507)
        except SignatureError as error:
            return text(error.status, str(error))
        except Complaint as error:
            self._log.error("a request failed", method=request.method, reason=str(error))
            return failure(503)

    async def _route(self, request: Request) -> Answer:
        # What is only looked at is answered alike; whoever sends the answer leaves the body out.
        method = "GET" if request.method == "HEAD" else request.method
        match (method, request.path.split("/")[1:]):
            case "POST", ["file"]:
                return await self._upload(request)
            case "GET", ["file", name]:
                return await self._download(name)
            case "GET", ["file", name, "info"]:
                return _info(await self._service.find(name))
            case "POST", ["file", name, "extend"]:
                return _info(await self._service.extend(name, _ttl(request)))
            case "POST", ["files"]:
                return await self._legacy_upload(request)
            case "GET", ["files", name]:
                return await self._legacy_download(name)
            case "GET", ["session_version"]:
                return self._session_version(request)
            case _, ["file" | "files"]:
                return not_allowed("POST")
            case _, ["file" | "files", _] | ["file", _, "info"] | ["session_version"]:
                return not_allowed("GET")
            case _, ["file", _, "extend"]:
                return not_allowed("POST")
        return failure(404)

    async def _upload(self, request: Request) -> Answer:
        record = await self._service.receive(request.body, request.length, _ttl(request))
        told = {"id": self._service.shown(record), "uploaded": record.uploaded, "expires": record.expires}
        return document(200, told)

    async def _download(self, name: str) -> Answer:
        found = await self._service.read(name)
        if found is None:
            return failure(404)
        record, reader = found
        return Answer(200, dict(CONTENT_HEADERS), reader=reader, size=record.size)

    async def _legacy_upload(self, request: Request) -> Answer:
        most = _base64_bytes(self._service.limits.file_bytes) + _LEGACY_OVERHEAD
        if request.length is not None and request.length > most:
            raise TooLargeError
        async with self._service.spool(hashed=False) as body:
            async for chunk in request.body:
                if body.size + len(chunk) > most:
                    raise TooLargeError
                await body.write(chunk)
            await body.finish()
            # The one request that needs a body whole, and several times over.
            async with self._whole:
                data = await asyncio.to_thread(_legacy_file, body.path)
                if data is None:
                    return failure(400)
                record = await self._service.receive(_one(data), len(data), None)
        shown = self._service.shown(record)
        return document(200, {"status_code": 200, "result": int(shown) if shown.isdecimal() else shown})

    async def _legacy_download(self, name: str) -> Answer:
        found = await self._service.read(name)
        if found is None:
            return failure(404)
        record, reader = found
        headers = {"content-type": JSON, "x-content-type-options": "nosniff"}
        return Answer(200, headers, reader=LegacyReader(reader), size=LegacyReader.size(record.size))

    def _session_version(self, request: Request) -> Answer:
        if len(request.query) > _MAX_QUERY:
            return failure(400)
        asked = parse_qs(request.query, keep_blank_values=True)
        platform, channel = asked.get("platform", [""])[0], asked.get("release_channel", [""])[0]
        if platform not in PLATFORMS:
            return failure(404)
        target = f"{request.path}?{request.query}" if request.query else request.path
        verify(request.headers, request.method, target)
        told = self._versions.answer(platform, channel)
        return failure(502) if told is None else document(200, told)


def _info(record: FileRecord | None) -> Answer:
    if record is None:
        return failure(404)
    return document(200, {"size": record.size, "uploaded": record.uploaded, "expires": record.expires})


def _ttl(request: Request) -> float | None:
    """Seconds that the client asks for; what is no number is as if it had not asked."""
    asked = request.headers.get("x-fs-ttl", "").strip()
    return float(asked) if asked.isascii() and asked.isdecimal() and len(asked) <= 12 else None


def _base64_bytes(size: int) -> int:
    return (size + 2) // 3 * 4


def _legacy_file(body: Path) -> bytes | None:
    """The file in a legacy request's body; `None` when there is none in it."""
    try:
        encoded = json.loads(body.read_bytes())["file"]
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        return None


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data
