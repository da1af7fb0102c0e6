"""What a file is by its first bytes, whatever its sender says: only these types are ever shown in place."""

from __future__ import annotations

from urllib.parse import quote

#: Bytes that are looked at.
HEAD = 64
#: What browsers are told of anything else, so that they keep it and do nothing with it.
UNKNOWN = "application/octet-stream"
_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
    (b"%PDF-", "application/pdf"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_AUDIO_BRANDS = (b"M4A ", b"M4B ")


def kind(head: bytes, told: str = "") -> str:
    """The media type of a file that begins so; `told` chooses between sound and film where both begin alike."""
    for beginning, found in _BEGINNINGS:
        if head.startswith(beginning):
            return _as_told(found, told)
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], UNKNOWN)
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in (b"avif", b"avis"):
            return "image/avif"
        return "audio/mp4" if brand in _AUDIO_BRANDS else _as_told("video/mp4", told)
    return UNKNOWN


def _as_told(found: str, told: str) -> str:
    main, _, sub = found.partition("/")
    told_main, _, told_sub = told.partition(";")[0].strip().lower().partition("/")
    same = told_sub == sub and {main, told_main} == {"audio", "video"}
    return f"{told_main}/{sub}" if same else found


def is_shown(media_type: str) -> bool:
    """Whether a page may show it in place; anything else is saved."""
    return media_type.startswith(("image/", "audio/", "video/")) or media_type == "application/pdf"


def disposition(name: str, *, shown: bool) -> str:
    """How a browser is to save it, under which name."""
    plain = "".join(each if each.isascii() and (each.isalnum() or each in " ._-") else "_" for each in name)[:100]
    how = "inline" if shown else "attachment"
    return f"{how}; filename=\"{plain or 'file'}\"; filename*=UTF-8''{quote(name[:200], safe='')}"
