"""The socket over which CometBFT asks the application; answered in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from google.protobuf.message import DecodeError

from allium.base import files, log
from allium.consensus.cometbft import framing
from allium.consensus.cometbft.abci_pb2 import Request, Response, ResponseException

#: Name of the socket in CometBFT's directory, from which it is started.
SOCKET = "abci.sock"
#: More than the largest block, and than a part of a snapshot.
_MAX_BYTES = 64 << 20

Answer = Callable[[Request], Awaitable[Response]]


@contextlib.asynccontextmanager
async def serving(home: Path, answer: Answer) -> AsyncIterator[None]:
    """Answers at `home`'s socket while the context is open. What `answer` raises goes to CometBFT, which then ends."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (body := await framing.read(reader, _MAX_BYTES)) is not None:
                response = await _answered(answer, Request.FromString(body))
                writer.write(framing.delimited(response.SerializeToString()))
                await writer.drain()
        except (framing.FramingError, DecodeError, OSError) as error:
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
    files.own(home / SOCKET, home)
    return listener
