"""Pictures before they are sent, and small ones to be shown: turned upright, cut, made smaller, and without metadata.

A picture's header says how large it is; what is too large is refused before it is decoded (`spec/files-and-calls` §2.3,
§3). All of it takes the processor for a while: call it in a thread. It needs Pillow, of the extra `images`.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Of one side: of pictures that are sent, of a profile's, of one in a list.
MAX_SIDE, MAX_PROFILE_SIDE, THUMBNAIL_SIDE = 4096, 600, 200
#: Decoded at once, all frames of an animation counted: 256 MB of memory.
MAX_PIXELS = 64_000_000
#: A JPEG may be larger: its decoder makes it smaller.
_MAX_JPEG_PIXELS = 160_000_000
MAX_FRAMES = 1_000
_MAX_BYTES = 64 << 20
#: What is read; all else is a file like any other.
_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp", "BMP": "image/bmp"}
_JPEG_QUALITY, _PROFILE_QUALITY = 90, 85
_ORIENTATION = 0x0112
_UPRIGHT = 1


class ImageError(ValueError):
    """What is no picture that can be shown, or too large a one."""


@dataclass(frozen=True)
class Picture:
    """A picture of this program's own making."""

    data: bytes = field(repr=False)
    content_type: str
    #: In pixels.
    width: int
    height: int


def without_metadata(source: bytes | Path, longest: int = MAX_SIDE) -> Picture:
    """A picture to be sent: nothing in it says where, when or with what it was taken; no side is longer than `longest`.

    Animations stay ones. `ImageError` for anything else.
    """
    with _Reader(source, longest) as image:
        kind = image.format if image.format in ("PNG", "JPEG", "GIF", "WEBP") else "PNG"
        if getattr(image, "is_animated", False) and kind in ("GIF", "WEBP", "PNG"):
            return _animation(image, kind, longest)
        return _still(_smaller(_upright(image), longest), kind, _JPEG_QUALITY)


def thumbnail(source: bytes | Path, longest: int = THUMBNAIL_SIDE) -> Picture:
    """A small still of a picture, to be shown; `ImageError`."""
    with _Reader(source, 2 * longest) as image:
        return _still(_smaller(_upright(image), longest), "JPEG", _PROFILE_QUALITY)


def profile_picture(source: bytes | Path, side: int = MAX_PROFILE_SIDE) -> Picture:
    """The square in the middle of a picture, still, of at most `side` pixels; `ImageError`."""
    with _Reader(source, 2 * side) as image:
        upright = _upright(image)
        edge = min(upright.size)
        left, top = (upright.width - edge) // 2, (upright.height - edge) // 2
        return _still(_smaller(upright.crop((left, top, left + edge, top + edge)), side), "JPEG", _PROFILE_QUALITY)


class _Reader:
    """An image that was found to be one, and not too large; what goes wrong with it is an `ImageError`."""

    def __init__(self, source: bytes | Path, wanted: int) -> None:
        """`wanted`: a JPEG whose sides are longer than this may be decoded at a half, a quarter or an eighth."""
        self._source, self._wanted = source, wanted
        self._image: Any = None

    def __enter__(self) -> Any:
        try:
            return self._open()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise

    def _open(self) -> Any:
        from PIL import Image

        if isinstance(self._source, Path) and self._source.stat().st_size > _MAX_BYTES:
            raise ImageError("too large a file for a picture")
        file = io.BytesIO(self._source) if isinstance(self._source, bytes) else self._source
        with warnings.catch_warnings():
            # Its own warning of large pictures; ours is a limit.
            warnings.simplefilter("ignore")
            try:
                self._image = image = Image.open(file, formats=list(_TYPES))
            except Image.DecompressionBombError:
                raise ImageError("too many pixels") from None
            if image.format == "JPEG" and image.width * image.height <= _MAX_JPEG_PIXELS:
                image.draft("RGB", (self._wanted, self._wanted))
            if image.width * image.height > MAX_PIXELS:
                raise ImageError("too many pixels")
            image.load()
        return image

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._image is not None:
            self._image.close()
        if error is None or isinstance(error, ImageError) or not isinstance(error, Exception):
            return
        # Decoders of strangers' bytes raise whatever they like.
        raise ImageError("not a picture that can be shown") from None


def _upright(image: Any) -> Any:
    from PIL import ImageOps

    try:
        turned = image.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT
    except Exception:  # metadata that are none are no reason to refuse the picture
        return image
    return ImageOps.exif_transpose(image) if turned else image


def _smaller(image: Any, longest: int) -> Any:
    size = _size(image.width, image.height, longest)
    if size == image.size:
        return image
    from PIL import Image

    return _shown(image).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _size(width: int, height: int, longest: int) -> tuple[int, int]:
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _shown(image: Any) -> Any:
    """In colours that every kind of file has."""
    if image.mode in ("RGB", "RGBA", "L"):
        return image
    return image.convert("RGBA" if _is_transparent(image) else "RGB")


def _is_transparent(image: Any) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _still(image: Any, kind: str, quality: int) -> Picture:
    """Pixels alone, in a new file: no comment, place, profile or preview comes along."""
    image = _shown(image)
    if kind == "JPEG" and image.mode == "RGBA":
        kind = "PNG"
    from PIL import Image

    bare = Image.new(image.mode, image.size)
    bare.paste(image)
    out = io.BytesIO()
    options: dict[str, Any] = {"JPEG": {"quality": quality, "optimize": True}, "WEBP": {"quality": quality}}.get(
        kind, {}
    )
    bare.save(out, kind, **options)
    return Picture(out.getvalue(), _TYPES[kind], *bare.size)


def _animation(image: Any, kind: str, longest: int) -> Picture:
    frames = image.n_frames
    if frames > MAX_FRAMES or frames * image.width * image.height > 4 * MAX_PIXELS:
        raise ImageError("too long an animation")
    from PIL import Image

    size = _size(image.width, image.height, longest)
    if frames * size[0] * size[1] > MAX_PIXELS:
        raise ImageError("too long an animation")
    bare: list[Any] = []
    durations: list[int] = []
    for number in range(frames):
        image.seek(number)
        durations.append(min(max(int(image.info.get("duration", 100) or 0), 10), 60_000))
        frame = image.convert("RGBA")
        bare.append(frame if frame.size == size else frame.resize(size, Image.Resampling.BICUBIC))
        bare[-1].info.clear()
    out = io.BytesIO()
    looping = image.info.get("loop", 1 if kind == "GIF" else 0)
    options: dict[str, Any] = {"save_all": True, "append_images": bare[1:], "duration": durations, "loop": looping}
    if kind == "GIF":
        options |= {"disposal": 2, "optimize": False}
        if "loop" not in image.info:
            del options["loop"]
    bare[0].save(out, kind, **options)
    return Picture(out.getvalue(), _TYPES[kind], *size)
