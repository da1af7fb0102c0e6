"""Pictures before they are sent: nothing of where they were taken, upright, small enough, and no bombs."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from allium.client.transfers import images
from allium.client.transfers.images import ImageError

SECRET = "Alice's camera at 52.5,13.4"


def picture(size: tuple[int, int], kind: str, mode: str = "RGB", **options: Any) -> bytes:
    image = Image.new(mode, size, 200)
    image.paste(90, (0, 0, size[0] // 2, size[1]))
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif(orientation: int = 1) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    found[0x010F] = SECRET
    found.get_ifd(0x8825)[1] = "N"
    return found


def shown(made: images.Picture) -> Any:
    image = Image.open(io.BytesIO(made.data))
    assert image.size == (made.width, made.height)
    assert Image.MIME[image.format or ""] == made.content_type
    return image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_metadata_do_not_travel(kind: str) -> None:
    options: dict[str, Any] = {"exif": exif(), "icc_profile": b"icc " + SECRET.encode()} if kind != "GIF" else {}
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Author", SECRET, zip=False)
        options["pnginfo"] = text
    if kind in ("GIF", "JPEG"):
        options["comment"] = SECRET.encode()
    data = picture((300, 200), kind, "L" if kind == "GIF" else "RGB", **options)
    assert SECRET.encode() in data
    made = images.without_metadata(data)
    assert SECRET.encode() not in made.data and b"Exif" not in made.data and b"iCCP" not in made.data
    image = shown(made)
    assert image.format == kind and not image.getexif() and image.size == (300, 200)


def test_a_turned_picture_is_upright_without_being_told() -> None:
    data = picture((300, 200), "JPEG", exif=exif(6))
    assert shown(images.without_metadata(data)).size == (200, 300)
    assert shown(images.thumbnail(data, 30)).size == (20, 30)


def test_sides_have_their_longest() -> None:
    large = picture((6_000, 1_000), "PNG", "L")
    assert shown(images.without_metadata(large)).size == (4_096, 683)
    assert shown(images.without_metadata(picture((6_000, 1_000), "JPEG", "L"))).size == (4_096, 683)
    assert shown(images.thumbnail(large)).size == (200, 33)
    assert shown(images.profile_picture(large)).size == (600, 600)
    assert shown(images.profile_picture(picture((10, 30), "PNG"))).size == (10, 10)


def test_what_is_seen_through_stays_so() -> None:
    made = images.profile_picture(picture((50, 50), "PNG", "RGBA"))
    assert made.content_type == "image/png" and shown(made).mode == "RGBA"
    palette = picture((50, 50), "PNG", "P", transparency=0)
    assert shown(images.without_metadata(palette)).mode == "RGBA"


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_animations_stay_ones(kind: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (40, 20), (n * 80, 0, 0)) for n in range(3)]
    path = tmp_path / "animation"
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], duration=[50, 100, 150], loop=0)
    image = shown(images.without_metadata(path, 20))
    assert (image.format, image.n_frames, image.size) == (kind, 3, (20, 10))
    assert shown(images.profile_picture(path)).size == (20, 20)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("side", [9_000, 60_000])
def test_bombs_are_refused_by_their_header(side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    packed = zlib.compress(bytes(1_000))
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    for make in (images.without_metadata, images.thumbnail, images.profile_picture):
        with pytest.raises(ImageError, match="pixels"):
            make(bomb)


def test_long_animations_are_refused() -> None:
    frames = [Image.new("1", (1, 1), n % 2) for n in range(images.MAX_FRAMES + 1)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="animation"):
        images.without_metadata(out.getvalue())


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"%PDF-1.4", b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_what_is_no_picture(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        images.thumbnail(data)
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ImageError):
        images.without_metadata(tmp_path / "x")


GOOD = [picture((20, 20), kind, "L") for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP")]


@settings(max_examples=60)
@given(st.sampled_from(GOOD), st.data())
def test_no_bytes_break_it(good: bytes, draw: st.DataObject) -> None:
    changed = bytearray(good)
    for _ in range(draw.draw(st.integers(1, 4))):
        changed[draw.draw(st.integers(0, len(changed) - 1))] = draw.draw(st.integers(0, 255))
    cut = bytes(changed)[: draw.draw(st.integers(0, len(changed)))]
    for make in (images.without_metadata, images.thumbnail, images.profile_picture):
        with contextlib.suppress(ImageError):
            shown(make(cut))
