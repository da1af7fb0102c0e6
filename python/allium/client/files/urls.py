"""Where a file is, as messages say it: a URL and how it is to be read (`spec/files-and-calls` §1, §6)."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

DEFAULT_SERVER = "http://filev2.getsession.org"
#: Ed25519.
DEFAULT_KEY = bytes.fromhex("b8eef9821445ae16e2e97ef8aa6fe782fd11ad5253cd6723b281341dba22e371")
_OFFICIAL = (".getsession.org",)
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY = re.compile(r"p=([0-9a-fA-F]{64})")
_MAX_URL = 2_048


class FileUrlError(ValueError):
    """A URL that leads to no file."""


@dataclass(frozen=True)
class FileUrl:
    """A file on a server."""

    #: Scheme and host, and a port if it is not the scheme's own.
    server: str
    file_id: str
    #: The server's Ed25519 key.
    key: bytes = DEFAULT_KEY
    #: Whether the file has the deterministic encryption.
    deterministic: bool = False

    def __str__(self) -> str:
        known = is_official(self.server) and self.key == DEFAULT_KEY
        marks = [*(["d"] if self.deterministic else []), *([] if known else [f"p={self.key.hex()}"])]
        return f"{self.server}/file/{self.file_id}" + ("#" + "&".join(marks) if marks else "")

    @classmethod
    def parse(cls, url: str) -> FileUrl:
        """The file of a URL; `FileUrlError` for any other text, and for a server whose key is not known."""
        try:
            parts = urlsplit(url) if len(url) <= _MAX_URL else None
            port = parts.port if parts else None
        except ValueError:
            parts = None
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise FileUrlError("not the URL of a file")
        start, _, file_id = parts.path.rpartition("/")
        if start != "/file" or _ID.fullmatch(file_id) is None:
            raise FileUrlError("not the URL of a file")
        marks = parts.fragment.split("&")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        server = f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, 80, 443) else "")
        keys = [found[1] for mark in marks if (found := _KEY.fullmatch(mark))]
        if not keys and not is_official(server):
            raise FileUrlError("a server whose key is not known")
        key = bytes.fromhex(keys[0]) if keys else DEFAULT_KEY
        return cls(server, file_id, key, any(mark in ("d", "d=") for mark in marks))


def is_official(server: str) -> bool:
    """Whether everybody knows a server's key."""
    host = urlsplit(server).hostname or ""
    return host.endswith(_OFFICIAL)


def content_id(data: bytes) -> str:
    """The id that a server gives these bytes: 44 characters; equal uploads are one file."""
    digest = hashlib.blake2b(data, digest_size=33, salt=b"SessionFileSvr\0\0").digest()
    return base64.urlsafe_b64encode(digest).decode()
