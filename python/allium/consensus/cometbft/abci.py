"""The socket over which CometBFT asks the application: each message behind its length (a varint), answered in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from google.protobuf.message import DecodeError

from allium import log
from allium.consensus.cometbft.abci_pb2 import Request, Response, ResponseException

#: Name of the socket in CometBFT's directory, from which it is started.
SOCKET = "abci.sock"
#: More than the largest block, and than a part of a snapshot.
_MAX_BYTES = 64 << 20

Answer = Callable[[Request], Awaitable[Response]]


class _ProtocolError(Exception):
    pass


@contextlib.asynccontextmanager
async def serving(home: Path, answer: Answer) -> AsyncIterator[None]:
    """Answers at `home`'s socket while the context is open. What `answer` raises goes to CometBFT, which then ends."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read(reader)) is not None:
                writer.write(_delimited(await _answered(answer, request)))
                await writer.drain()
        except (_ProtocolError, DecodeError, OSError) as error:
            log.get("consensus").error("what CometBFT sent is no request", reason=str(error))
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, sock=_listener(home))
    try:
        yield
    finally:
        server.close()


async def _answered(answer: Answer, request: Request) -> Response:
    try:
        return await answer(request)
    except Exception as error:
        # Whatever it is: without an answer CometBFT would wait for ever.
        return Response(exception=ResponseException(error=str(error)))


def _listener(home: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    (home / SOCKET).unlink(missing_ok=True)
    directory = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # A socket's path has at most 107 bytes, and the directory's may be longer.
        listener.bind(f"/proc/self/fd/{directory}/{SOCKET}")
    except OSError:
        listener.close()
        raise
    finally:
        os.close(directory)
    (home / SOCKET).chmod(0o600)
    return listener


async def _read(reader: asyncio.StreamReader) -> Request | None:
    length = shift = 0
    while True:
        if not (byte := await reader.read(1)):
            return None
        length |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            break
        if (shift := shift + 7) > 28:
            raise _ProtocolError("a length of more than five bytes")
    if length > _MAX_BYTES:
        raise _ProtocolError(f"a message of {length} bytes")
    try:
        return Request.FromString(await reader.readexactly(length))
    except asyncio.IncompleteReadError:
        return None


def _delimited(response: Response) -> bytes:
    body = response.SerializeToString()
    length, head = len(body), bytearray()
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*head, length]) + body
