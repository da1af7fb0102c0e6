"""Files on disk that nobody reads or changes without the account."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from allium.messenger import content, sealed
from allium.messenger.errors import ApiError
from allium.messenger.serving import bounds

KEY = sealed.key_of(b"secret")


@pytest.mark.parametrize("size", [0, 1, sealed.PIECE - 1, sealed.PIECE, sealed.PIECE + 1, 3 * sealed.PIECE])
def test_every_range_is_read_as_it_was(tmp_path: Path, size: int) -> None:
    plain, target = tmp_path / "a", tmp_path / f"a{sealed.SUFFIX}"
    whole = secrets.token_bytes(size)
    plain.write_bytes(whole)
    sealed.seal(plain, target, KEY)
    assert target.stat().st_mode & 0o777 == 0o600
    file = sealed.opened(target, KEY)
    assert file.size == size
    for start in (0, 1, sealed.PIECE - 1, sealed.PIECE, size - 1, size):
        if 0 <= start <= size:
            read = bytearray()
            while piece := file.read(start + len(read), size):
                read += piece
            assert bytes(read) == whole[start:]
    file.close()


def test_what_was_changed_is_not_read(tmp_path: Path) -> None:
    plain, target = tmp_path / "a", tmp_path / f"a{sealed.SUFFIX}"
    plain.write_bytes(b"x" * (2 * sealed.PIECE))
    sealed.seal(plain, target, KEY)
    good = target.read_bytes()
    head, piece = 29, sealed.PIECE + 16
    spoilt = {
        "changed": good[:-1] + bytes([good[-1] ^ 1]),
        "cut": good[:-1],
        "shortened": good[:21] + sealed.PIECE.to_bytes(8, "big") + good[29:],
        "swapped": good[:head] + good[head + piece :] + good[head : head + piece],
    }
    for wrong in spoilt.values():
        target.write_bytes(wrong)
        file = sealed.opened(target, KEY)
        with pytest.raises(OSError):
            for start in range(0, file.size, sealed.PIECE):
                file.read(start, 1)
        file.close()
    target.write_bytes(good)
    file = sealed.opened(target, sealed.key_of(b"another"))
    with pytest.raises(OSError):
        file.read(0, 1)
    file.close()


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (None, (0, 10)),
        ("bytes=0-", (0, 10)),
        ("bytes=2-3", (2, 4)),
        ("bytes=2-99", (2, 10)),
        ("bytes=-4", (6, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=-", (0, 10)),
        ("bytes=1-2,4-5", (0, 10)),
        ("lines=1-2", (0, 10)),
        ("bytes=1-2x", (0, 10)),
    ],
)
def test_ranges(wanted: str | None, found: tuple[int, int]) -> None:
    assert bounds(wanted, 10) == found


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=5-4", "bytes=-0", "bytes=999999999999999999-"])
def test_ranges_that_are_nowhere(wanted: str) -> None:
    with pytest.raises(ApiError):
        bounds(wanted, 10)


@pytest.mark.parametrize(
    ("head", "told", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "text/html", "image/png"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "", "image/webp"),
        (b"\0\0\0\x18ftypmp42", "", "video/mp4"),
        (b"\0\0\0\x18ftypmp42", "audio/mp4", "audio/mp4"),
        (b"\x1aE\xdf\xa3", "audio/webm;codecs=opus", "audio/webm"),
        (b"OggS", "text/javascript", "audio/ogg"),
        (b"%PDF-1.7", "", "application/pdf"),
        (b"<svg xmlns", "image/svg+xml", content.UNKNOWN),
        (b"<html>", "image/png", content.UNKNOWN),
        (b"", "image/png", content.UNKNOWN),
    ],
)
def test_a_type_is_what_the_bytes_are(head: bytes, told: str, kind: str) -> None:
    assert content.kind(head, told) == kind
