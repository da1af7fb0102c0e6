"""A page's title and picture, from HTML that may be anything: OpenGraph first, then what HTML itself has.

No parser of whole documents is needed for it, and none that hostile pages could keep busy: one pass over the head.
"""

from __future__ import annotations

import codecs
import html
import re
from dataclasses import dataclass, field

from allium.base.text import line
from allium.client.previews import links
from allium.client.previews.links import LinkError

#: What is read of a page.
MAX_PAGE_BYTES = 500 * 1024
MAX_TITLE = 200
_MAX_TAGS, _MAX_TAG = 5_000, 4_096
_MAX_IMAGES = 10
_CHARSET_IN_PAGE = re.compile(rb"""charset\s{0,10}=\s{0,10}["']?\s{0,10}([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
_CHARSET_OF_TYPE = re.compile(r"""charset\s{0,10}=\s{0,10}"?([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
_CHARSET_WITHIN = 2_048
_TAG = re.compile(r"<(!--|/?[a-zA-Z][a-zA-Z0-9-]{0,30})")
_ATTRIBUTE = re.compile(r"""([a-zA-Z][a-zA-Z0-9:_.-]{0,40})\s{0,10}=\s{0,10}("[^"]*"|'[^']*'|[^\s"'>]+)|(>)""")
#: What is in these is no HTML; each ends with its own name.
_OPAQUE = ("script", "style", "noscript", "textarea", "template", "svg")
_ENDS = {name: re.compile(f"</{name}", re.IGNORECASE) for name in (*_OPAQUE, "title")}
#: What a title may hide or turn round.
_STEERING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C, 0xFEFF], None)


@dataclass(frozen=True)
class Page:
    """What a page says of itself."""

    title: str
    #: URLs of pictures, the best first; not looked at yet.
    images: tuple[str, ...] = ()


def read(data: bytes, content_type: str, url: str) -> Page:
    """What there is in the first bytes of a page; never fails."""
    head = _Head()
    head.scan(_decoded(data[:MAX_PAGE_BYTES], content_type))
    titles = head.named.get("og:title", ""), head.named.get("twitter:title", ""), head.title
    title = next((shown for each in titles if (shown := _shown(each))), "")
    found: list[str] = []
    for target in [*head.images, *head.icons]:
        try:
            image = links.joined(head.base or url, target)
        except LinkError:
            continue
        if image not in found:
            found.append(image)
    return Page(title, tuple(found[:_MAX_IMAGES]))


@dataclass
class _Head:
    """What was found in the head of a page so far."""

    title: str = ""
    named: dict[str, str] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    icons: list[str] = field(default_factory=list)
    base: str = ""

    def scan(self, text: str) -> None:
        position = 0
        for _ in range(_MAX_TAGS):
            tag = _TAG.search(text, position)
            if tag is None:
                return
            name, position = tag[1].lower(), tag.end()
            if name == "!--":
                end = text.find("-->", position)
                if end < 0:
                    return
                position = end + 3
            elif name in ("/head", "body"):
                return
            elif name in _OPAQUE or name == "title":
                closing = _ENDS[name].search(text, position)
                if closing is None:
                    return
                if name == "title" and not self.title:
                    inner = text[position : min(closing.start(), position + _MAX_TAG)]
                    self.title = html.unescape(inner.partition(">")[2])
                position = closing.end()
            elif name in ("meta", "link", "base"):
                position = self._take(name, text, position)

    def _take(self, name: str, text: str, position: int) -> int:
        """Reads one tag of interest; where it ends."""
        values: dict[str, str] = {}
        end = min(len(text), position + _MAX_TAG)
        for found in _ATTRIBUTE.finditer(text, position, end):
            end = found.end()
            if found[3]:
                break
            values.setdefault(found[1].lower(), html.unescape(found[2].strip("\"'")))
        if name == "meta":
            self._meta((values.get("property") or values.get("name") or "").lower(), values.get("content", ""))
        elif name == "link" and "icon" in values.get("rel", "").lower():
            self.icons.append(values.get("href", ""))
        elif name == "base" and not self.base and values.get("href", "").lower().startswith("https://"):
            self.base = values["href"]
        return end

    def _meta(self, name: str, content: str) -> None:
        if name in ("og:title", "twitter:title"):
            self.named.setdefault(name, content)
        elif name in ("og:image", "og:image:url", "og:image:secure_url", "twitter:image") and content:
            self.images.append(content)


def _decoded(data: bytes, content_type: str) -> str:
    named = _CHARSET_OF_TYPE.search(content_type)
    inside = _CHARSET_IN_PAGE.search(data[:_CHARSET_WITHIN])
    for name in (named[1] if named else "", inside[1].decode() if inside else ""):
        if text := _as(name, data):
            return text
    return data.decode("utf-8", "replace")


def _as(charset: str, data: bytes) -> str | None:
    """The text in a character set; None if that is none, or one of Python's codecs that are no sets of characters."""
    try:
        codec = codecs.lookup(charset)
        if not getattr(codec, "_is_text_encoding", True) or codec.name in ("idna", "punycode", "unicode_escape"):
            return None
        return codec.decode(data, "replace")[0]
    except Exception:  # codecs of names from strangers raise what they like
        return None


def _shown(title: str) -> str:
    return line(title.translate(_STEERING), MAX_TITLE)
