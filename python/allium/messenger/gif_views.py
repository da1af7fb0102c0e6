"""Moving pictures as the API shows them: those of an account, and those that a provider has found."""

from __future__ import annotations

from msgspec import Struct

from allium.messenger.views import AttachmentView


class GifView(Struct, kw_only=True):
    """A moving picture of a conversation; `name` is the same wherever the picture is."""

    name: str
    file: AttachmentView


class GifsView(Struct, kw_only=True):
    """Some of them; `next` is the `before` of the next ones, null at the end."""

    gifs: list[GifView]
    next: int | None


class FoundGifView(Struct, kw_only=True):
    """What a provider has; `preview` is its small picture, of so many pixels (0: it does not say)."""

    id: str
    title: str
    width: int
    height: int
    preview: str


class FoundGifsView(Struct, kw_only=True):
    """Some of it; `next` is the `offset` of the next ones, null at the end."""

    gifs: list[FoundGifView]
    next: int | None
