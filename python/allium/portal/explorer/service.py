"""Answers requests below /explorer: pages, downloads and the few files that pages need.

Everything is made once for each snapshot and question, and kept while it lasts: who asks again gets the same bytes, or
is told that nothing has changed. Strangers ask: whatever is in a path or a query ends in a page.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
import sqlite3
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from eth_utils.address import to_checksum_address

from allium.appchain.types import PublicKey
from allium.base import log
from allium.portal.documents import ArbitrumInfo
from allium.portal.epoch import Epoch
from allium.portal.explorer import contacts, lists, pages
from allium.portal.explorer.contacts import Contact
from allium.portal.explorer.figures import ContractFigures, FigureSource
from allium.portal.explorer.samples import Samples
from allium.portal.explorer.snapshot import Snapshot
from allium.portal.explorer.tables import Query, Table, asked
from allium.portal.limits import Rate, TooOftenError
from allium.server.messages import CHUNK_BYTES, JSON, Answer, Answerer, Request

PREFIX = "/explorer"
HTML, CSV = "text/html; charset=utf-8", "text/csv; charset=utf-8"
_STATIC = Path(__file__).with_name("static")
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
#: Of what is kept: pieces, and bytes of all.
_MOST_KEPT, _MOST_BYTES = 512, 48 << 20
_LONGEST_QUERY = 1024
_SMALL = 1024
_SAMPLE_SECONDS, _CONTACT_SECONDS, _AGAIN_SECONDS = 30.0, 60.0, 1.0
#: What a query may have.
_FIELDS = frozenset(
    {"q", "sort", "order", "page", "skip", "state", "country", "swarm", "version", "name", "account", "address"}
)
_ADDRESS, _PUBKEY = re.compile("0[xX][0-9a-fA-F]{40}"), re.compile("[0-9a-fA-F]{64}")
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "vary": "accept-encoding",
}


class Now(Protocol):
    """How everything is at the moment."""

    @property
    def epoch(self) -> Epoch:
        """The network."""
        ...

    @property
    def tip(self) -> ArbitrumInfo:
        """The contracts."""
        ...


@dataclass(frozen=True)
class Made:
    """A body, plain and compressed; compressed is empty where that is not worth it."""

    status: int
    kind: str
    plain: bytes
    small: bytes
    tag: str
    file_name: str = ""

    @classmethod
    def of(cls, kind: str, body: bytes, status: int = 200, file_name: str = "") -> Made:
        """Of a body."""
        small = gzip.compress(body, 5, mtime=0) if len(body) > _SMALL else b""
        return cls(status, kind, body, small, hashlib.blake2b(body, digest_size=16).hexdigest(), file_name)

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.plain) + len(self.small)


class _Pieces:
    """Sends a body in pieces, so that who reads slowly holds no more than one."""

    file: BinaryIO | None = None

    def __init__(self, body: bytes) -> None:
        self._body = memoryview(body)

    async def read(self) -> bytes:
        return bytes(self._body)

    async def chunks(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._body), CHUNK_BYTES):
            yield bytes(self._body[at : at + CHUNK_BYTES])

    def close(self) -> None:
        self._body.release()


class Explorer:
    """The explorer of one portal."""

    def __init__(
        self,
        now: Now,
        samples: Samples,
        source: FigureSource,
        requests: Rate,
        who: Callable[[], str],
        network_file: Path | None,
        node_dir: Path | None,
    ) -> None:
        """`requests`: how often one source may ask; `who`: which source asks now."""
        self._now, self._samples, self._figures = now, samples, source
        self._requests, self._who = requests, who
        self._network_file, self._node_dir = network_file, node_dir
        self._contacts: Mapping[PublicKey, Contact] = {}
        self._snapshot: Snapshot | None = None
        self._kept: OrderedDict[tuple[Any, ...], Made] = OrderedDict()
        self._bytes = 0
        self._making = asyncio.Lock()
        self._static = {
            each.name: Made.of(_TYPES[each.suffix[1:]], each.read_bytes())
            for each in _STATIC.iterdir()
            if each.suffix[1:] in _TYPES
        }
        self._log = log.get("explorer")

    # --- what goes on beside requests

    async def run(self) -> None:
        """Keeps samples and what is known of nodes, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for work in (self._figures.run, self._keep_samples, self._read_contacts):
                tasks.create_task(self._lasting(work))

    async def _lasting(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Begins anew after whatever goes wrong: the API, which shares the process, needs none of it."""
        while True:
            try:
                await work()
            except Exception as error:
                log.failure(self._log, "a part of the explorer failed", error)
            await asyncio.sleep(_SAMPLE_SECONDS)

    async def _keep_samples(self) -> None:
        while True:
            snapshot = await self._current()
            known = snapshot.state.height > 0 and snapshot.tip.block > 0
            if known:
                try:
                    await asyncio.to_thread(self._keep_sample, snapshot)
                except sqlite3.Error as error:
                    self._log.error("a sample of the figures is not kept", reason=str(error))
            await asyncio.sleep(_SAMPLE_SECONDS if known else _AGAIN_SECONDS)

    def _keep_sample(self, snapshot: Snapshot) -> None:
        self._samples.keep(snapshot.now)

    async def _read_contacts(self) -> None:
        while True:
            found = await asyncio.to_thread(contacts.read, self._node_dir, self._network_file)
            if found != self._contacts:
                self._contacts = found
            await asyncio.sleep(_CONTACT_SECONDS)

    # --- requests

    def beside(self, api: Answerer) -> Answerer:
        """An answerer of what is below `PREFIX`, and of all else as `api` does."""

        async def answer(request: Request) -> Answer:
            if request.path == PREFIX or request.path.startswith(f"{PREFIX}/"):
                return await self.answer(request)
            return await api(request)

        return answer

    async def answer(self, request: Request) -> Answer:
        """The answer."""
        try:
            self._requests.take(self._who())
        except TooOftenError as error:
            refused = _sent(_refusal(429, "Too many requests", "This address asks too often."), request)
            refused.headers["retry-after"] = str(max(1, round(error.seconds)))
            return refused
        if request.method not in ("GET", "HEAD"):
            refused = _sent(_refusal(405, "Only to be read", "There is nothing to send."), request)
            refused.headers["allow"] = "GET, HEAD"
            return refused
        if len(request.path) + len(request.query) > _LONGEST_QUERY:
            return _sent(_refusal(414, "Too long", "That address is too long."), request)
        parts = request.path[len(PREFIX) :].strip("/").split("/")
        if parts[0] == "static":
            made = self._static.get("/".join(parts[1:]))
            if made is not None:
                return _sent(made, request, 3600)
            return _sent(_refusal(404, "Nothing there", "There is no such file."), request)
        given = {name: value for name, value in asked(request.query).items() if name in _FIELDS}
        return _sent(await self._made(parts, given), request, self._lasts())

    def _lasts(self) -> int:
        """For how many seconds nobody has to ask again: a part of a block, as events come in between."""
        return min(10, self._now.epoch.state.parameters.block_seconds // 2)

    async def _current(self) -> Snapshot:
        """The snapshot of now; made when something has changed and somebody looks."""
        given = self._now.epoch, self._now.tip, self._contacts, self._figures.figures
        if self._snapshot is not None and self._snapshot.is_of(*given):
            return self._snapshot
        async with self._making:
            given = self._now.epoch, self._now.tip, self._contacts, self._figures.figures
            if self._snapshot is None or not self._snapshot.is_of(*given):
                self._snapshot = await asyncio.to_thread(self._taken, given)
                self._kept.clear()
                self._bytes = 0
            return self._snapshot

    def _taken(
        self, given: tuple[Epoch, ArbitrumInfo, Mapping[PublicKey, Contact], ContractFigures | None]
    ) -> Snapshot:
        try:
            kept = self._samples.all()
        except sqlite3.Error as error:
            self._log.error("samples of the figures cannot be read", reason=str(error))
            kept = []
        return Snapshot(*given, kept, self._snapshot)

    async def _made(self, parts: list[str], given: dict[str, str]) -> Made:
        snapshot = await self._current()
        place = (*parts, "?", *sorted(given.items()))
        if (made := self._kept.get(place)) is not None:
            self._kept.move_to_end(place)
            return made
        async with self._making:
            # Another may have made it while this one waited.
            if (made := self._kept.get(place)) is None:
                made = await asyncio.to_thread(_make, snapshot, parts, given)
                if snapshot is self._snapshot:
                    self._keep(place, made)
        return made

    def _keep(self, place: tuple[Any, ...], made: Made) -> None:
        if made.size > _MOST_BYTES // 2:
            return
        self._kept[place] = made
        self._bytes += made.size
        while len(self._kept) > _MOST_KEPT or self._bytes > _MOST_BYTES:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= gone.size


def _make(snapshot: Snapshot, parts: list[str], given: dict[str, str]) -> Made:
    """A page or a download. What there is not is a page that says so."""
    match parts:
        case [""]:
            return Made.of(HTML, pages.overview(snapshot))
        case ["nodes", pubkey] if _PUBKEY.fullmatch(pubkey):
            row = snapshot.node_by_key.get(pubkey.lower())
            if row is not None:
                return Made.of(HTML, pages.node(snapshot, row))
        case ["swarms"]:
            query = lists.swarms(snapshot).query(given)
            return Made.of(HTML, pages.swarms(snapshot, query, given.get("account", "")))
        case ["address"]:
            account = given.get("address", "")
            if _ADDRESS.fullmatch(account):
                return Made.of(HTML, pages.address(snapshot, to_checksum_address(account.lower())))
            return Made.of(HTML, pages.address_form(snapshot, account, bool(account)), 400 if account else 200)
        case ["address", account] if _ADDRESS.fullmatch(account):
            return Made.of(HTML, pages.address(snapshot, to_checksum_address(account.lower())))
        case [name] if name in _PAGES:
            table, page = _PAGES[name]
            return Made.of(HTML, page(snapshot, table(snapshot).query(given)))
        case [file] if (made := _download(snapshot, file, given)) is not None:
            return made
    return _refusal(404, "Nothing there", "There is no such page, node or download.", snapshot)


_TABLES: Mapping[str, Callable[[Snapshot], Table[Any]]] = {
    "nodes": lists.nodes,
    "swarms": lists.swarms,
    "countries": lists.countries,
    "rewards": lists.rewards,
    "events": lists.events,
    "names": lists.payments,
}
_PAGES: Mapping[str, tuple[Callable[[Snapshot], Table[Any]], Callable[[Snapshot, Query], bytes]]] = {
    "nodes": (lists.nodes, pages.nodes),
    "countries": (lists.countries, pages.countries),
    "rewards": (lists.rewards, pages.rewards),
    "events": (lists.events, pages.events),
    "names": (lists.payments, pages.names),
}


def _download(snapshot: Snapshot, file: str, given: dict[str, str]) -> Made | None:
    name, _, ending = file.rpartition(".")
    if name not in _TABLES or ending not in ("csv", "json"):
        return None
    table = _TABLES[name](snapshot)
    query = table.query(given)
    height = snapshot.state.height
    called = f"{name}-{height}.{ending}"
    if ending == "csv":
        return Made.of(CSV, table.csv(query), file_name=called)
    source = {
        "network": snapshot.state.parameters.name,
        "height": height,
        "time": snapshot.state.time,
        "state": snapshot.state.root.hex(),
        "l2_height": snapshot.state.l2_height,
        "contracts_block": snapshot.tip.block,
    }
    return Made.of(JSON, table.json(query, source), file_name=called)


def _refusal(status: int, title: str, words: str, snapshot: Snapshot | None = None) -> Made:
    return Made.of(HTML, pages.problem(snapshot, title, words), status)


def _sent(made: Made, request: Request, seconds: int = 0) -> Answer:
    headers = {**_HEADERS, "content-type": made.kind}
    packed = bool(made.small) and _takes_gzip(request.headers.get("accept-encoding", ""))
    tag = f'"{made.tag}{"-gz" if packed else ""}"'
    if made.file_name:
        headers["content-disposition"] = f'attachment; filename="{made.file_name}"'
    if made.status == 200:
        headers["etag"] = tag
        headers["cache-control"] = f"public, max-age={seconds}"
        known = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
        if tag in known:
            return Answer(304, headers)
    else:
        headers["cache-control"] = "no-store"
    body = made.small if packed else made.plain
    if packed:
        headers["content-encoding"] = "gzip"
    if len(body) > CHUNK_BYTES:
        return Answer(made.status, headers, reader=_Pieces(body), size=len(body))
    return Answer(made.status, headers, body, size=len(body))


def _takes_gzip(accepted: str) -> bool:
    for each in accepted.lower().split(","):
        name, _, weight = each.partition(";")
        if name.strip() in ("gzip", "*"):
            return weight.strip().replace(" ", "") not in ("q=0", "q=0.0")
    return False
