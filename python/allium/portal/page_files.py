"""The portal's page, as Node.js has built it: served beside the API, and its content told by a hash."""

from __future__ import annotations

import gzip
import hashlib
import json
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from allium.errors import CommandError
from allium.server.messages import TEXT, Answer, Answerer, Request

#: Where the page is in the package.
DIRECTORY = Path(__file__).with_name("page")
INDEX = "index.html"
#: The first parts of the paths at which the page shows something (`spec/portal` §2).
ROUTES = ("stake", "register", "mystakes", "vested-stakes", "address", "pool", "bridge", "faucet", "leaderboard")
#: What is different at each portal, and so no part of the hash.
CONFIG, LISTED = "config.json", "page.json"
#: The front end's own origin has its backend there.
BACKEND = "/api/ssb"

_MISSING = "The portal's page is not built: run `make pages` in the source (it needs Node.js 20 or newer).\n"
#: Of an installation's own; what is named by its content (`assets/`) is kept by browsers for ever.
_FIXED = "assets/"
_NO_GAIN = (".png", ".webp", ".woff2")

#: Leads to the bridge by which tokens come to the chain, where there is one.
_BRIDGE = "/bridge/arbitrum"


@dataclass(frozen=True)
class _Known:
    name: str
    rpc: tuple[str, ...] = ()
    explorer: str = ""
    bridge: str = ""


#: Chains that people have heard of: name, where wallets find them, who shows transactions, how tokens get there.
_CHAINS = {
    42161: _Known(
        "Arbitrum One",
        ("https://arb1.arbitrum.io/rpc",),
        "https://arbiscan.io",
        "https://bridge.arbitrum.io/?sourceChain=ethereum&destinationChain=arbitrum-one",
    ),
    421614: _Known(
        "Arbitrum Sepolia",
        ("https://sepolia-rollup.arbitrum.io/rpc",),
        "https://sepolia.arbiscan.io",
        "https://bridge.arbitrum.io/?sourceChain=sepolia&destinationChain=arbitrum-sepolia",
    ),
}


@dataclass(frozen=True)
class WalletConnect:
    """By what the page finds wallets on other devices: an id of who runs the relay, and where that is."""

    id: str
    relay: str

    @property
    def origin(self) -> str:
        """What the page may ask for it."""
        parts = urlsplit(self.relay)
        return f"{parts.scheme}://{parts.netloc}"


def policy(backend: str = "", walletconnect: WalletConnect | None = None) -> str:
    """The Content-Security-Policy of the page, which asks `backend` beside its own origin, and a relay if there is one.

    Wallets' icons are `data:` URIs.
    """
    others = [backend, "" if walletconnect is None else walletconnect.origin]
    asked = " ".join(["'self'", *filter(None, others)])
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src {asked}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), serial=(), hid=()",
}


def hashes(directory: Path = DIRECTORY) -> dict[str, str]:
    """SHA-256 of each file of a page, hex, by its path; empty where there is none."""
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in (CONFIG, LISTED)
    }


def content_hash(files: Mapping[str, str]) -> str:
    """The hash of a page: SHA-256 of the lines of `sha256sum`, ordered by path."""
    lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


@dataclass(frozen=True)
class Surroundings:
    """What a page is told of where it is."""

    backend: str = BACKEND
    #: How it calls the chain, what it tells a wallet that lacks it, and where its links lead; else what is usual.
    name: str | None = None
    rpc: Sequence[str] = ()
    explorer: str | None = None
    bridge: str | None = None
    walletconnect: WalletConnect | None = None

    def told(self, chain_id: int) -> dict[str, Any]:
        """`config.json`."""
        known = _CHAINS.get(chain_id, _Known(f"Chain {chain_id}"))
        chain = {
            "id": chain_id,
            "name": self.name or known.name,
            "rpc": list(self.rpc or known.rpc),
            "explorer": self.explorer or known.explorer,
            "bridge": self.bridge or known.bridge,
        }
        remote = {} if self.walletconnect is None else {"walletConnect": asdict(self.walletconnect)}
        return {"backend": self.backend.rstrip("/"), "chain": chain, **remote}


@dataclass(frozen=True)
class _File:
    kind: str
    body: bytes
    packed: bytes | None
    fixed: bool

    @classmethod
    def of(cls, path: str, body: bytes) -> _File:
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        if kind.startswith("text/") or kind.endswith("javascript"):
            kind += "; charset=utf-8"
        packed = None if path.endswith(_NO_GAIN) else gzip.compress(body, mtime=0)
        return cls(kind, body, packed, path.startswith(_FIXED))

    def answer(self, request: Request, allowed: str) -> Answer:
        headers = {
            **_HEADERS,
            "content-security-policy": allowed,
            "content-type": self.kind,
            "cache-control": "public, max-age=31536000, immutable" if self.fixed else "no-cache",
        }
        body = self.body
        if self.packed is not None:
            headers["vary"] = "accept-encoding"
            if "gzip" in request.headers.get("accept-encoding", ""):
                body, headers["content-encoding"] = self.packed, "gzip"
        return Answer(200, headers, body, size=len(body))


class PageFiles:
    """Answers with the files of a page, all of which are in memory."""

    def __init__(self, here: Surroundings, chain_id: int, directory: Path = DIRECTORY) -> None:
        config = here.told(chain_id)
        self._policy, self._bridge = policy(walletconnect=here.walletconnect), config["chain"]["bridge"]
        files = hashes(directory)
        self.hash = content_hash(files)
        self._files = {path: _File.of(path, (directory / path).read_bytes()) for path in files}
        for name, told in ((CONFIG, config), (LISTED, {"hash": self.hash, "files": files})):
            self._files[name] = _File.of(name, _document(told))

    def beside(self, api: Answerer) -> Answerer:
        """Answers what is the page's, and leaves the rest to `api`."""

        async def answer(request: Request) -> Answer:
            found = self.found(request) if request.method in ("GET", "HEAD") else None
            return await api(request) if found is None else found

        return answer

    def found(self, request: Request) -> Answer | None:
        """A file of the page; `None` for a path that is not its."""
        path = request.path.lstrip("/")
        if request.path.rstrip("/") == _BRIDGE and self._bridge:
            return _elsewhere(self._bridge)
        if path == "" or path.split("/")[0] in ROUTES:
            path = INDEX
            if path not in self._files:
                return _said(404, _MISSING)
        file = self._files.get(path)
        return None if file is None else file.answer(request, self._policy)


def _document(told: Any) -> bytes:
    return json.dumps(told, indent=1).encode()


def _said(status: int, words: str) -> Answer:
    body = words.encode()
    headers = {"content-security-policy": policy(), "content-type": TEXT, "cache-control": "no-store"}
    return Answer(status, {**_HEADERS, **headers}, body, size=len(body))


def _elsewhere(url: str) -> Answer:
    answer = _said(302, f"It goes on at {url}\n")
    answer.headers["location"] = url
    return answer


def export(directory: Path, config: Mapping[str, Any], source: Path = DIRECTORY) -> list[str]:
    """Writes a page as static files for any web server, with its `config.json`; their paths.

    `404.html` is the page too: hosts without rules show it for paths that are no files. Raises `CommandError` without a
    page, and `OSError`.
    """
    if not (source / INDEX).exists():
        raise CommandError(_MISSING.strip())
    listed = hashes(source)
    told = {CONFIG: _document(config), LISTED: _document({"hash": content_hash(listed), "files": listed})}
    files = {path: (source / path).read_bytes() for path in listed}
    written = {**files, **told, "404.html": files[INDEX]}
    for path, body in written.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(body)
    return list(written)
