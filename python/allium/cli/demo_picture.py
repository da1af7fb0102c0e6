"""A step of the demo: a picture goes through the file server from one session to another."""

from __future__ import annotations

import asyncio
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from allium.client.database.rows import MessageState
from allium.client.session import Session
from allium.client.transfers.transfer import FileServer
from allium.devnet.layout import FileServerRecord, NetworkRecord

if TYPE_CHECKING:
    from allium.cli.demo_screen import DemoScreen

FIRST_TEXT = "Look at what I drew."
SECOND_TEXT = "Three rings, and you are in the middle."
NAME = "rings.png"
#: A side of the picture, and how wide each ring is; pixels.
_SIDE, _RING = 96, 12
#: Red, green, blue: from the middle outwards, and then again.
_COLOURS = (b"\xe2\xda\xf0", b"\x14\x11\x1f", b"\xbe\x8c\xeb", b"\x5a\xc3\xcd")


def rings() -> bytes:
    """Rings in colour, as PNG: uncompressed rows of red, green and blue, each behind a byte 0, in one IDAT."""
    middle = _SIDE // 2
    rows = (
        b"\0" + b"".join(_colour(round(((x - middle) ** 2 + (y - middle) ** 2) ** 0.5)) for x in range(_SIDE))
        for y in range(_SIDE)
    )
    # Eight bits for each of three colours, and nothing that is not usual.
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _colour(distance: int) -> bytes:
    return _COLOURS[distance // _RING % len(_COLOURS)]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


async def play(directory: Path, network: NetworkRecord, files: FileServerRecord, view: DemoScreen) -> None:
    """Shows the step; what does not hold, and whatever a session raises, fails it. Databases go into `directory`."""
    picture = rings()
    with view.step("Carol sends Dave a picture through the file server") as step:
        async with (
            await Session.create(directory / "carol.db", "Carol", seeds=[network.seed_url]) as carol,
            await Session.create(directory / "dave.db", "Dave", seeds=[network.seed_url]) as dave,
        ):
            await carol.files.set_server(FileServer(files.url, bytes.fromhex(files.pubkey_ed25519)))
            first = await carol.send(dave.account_id, FIRST_TEXT)
            # Made here, it has no metadata to be rid of.
            attachment = await carol.files.upload(picture, name=NAME, unchanged=True)
            second = await carol.send(dave.account_id, SECOND_TEXT, attachments=[attachment])
            step.details.append(f"{NAME}, {len(picture)} bytes, encrypted, over three nodes to {files.url}")
            step.check({first.state, second.state} == {MessageState.SENT}, "a text and a message of it are stored")
            await dave.sync()
            messages = await dave.conversations.messages(carol.account_id)
            said = sorted((message.timestamp, message.body) for message in messages)
            step.check([text for _, text in said] == [FIRST_TEXT, SECOND_TEXT], "Dave reads both")
            found = [each for message in messages for each in await dave.conversations.attachments(message)]
            step.check(len(found) == 1, "and finds a picture in one")
            path = await dave.files.download(found[0], directory)
            received = await asyncio.to_thread(path.read_bytes)
            step.check((path.name, received) == (NAME, picture), "the picture is there, byte for byte")
