"""Requests to servers (files, communities): over the network's paths, or directly (`spec/client-network` §5).

What a server does wrong is not the path's fault, and what a path does wrong says nothing of the server.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from allium.base.unanswered import why
from allium.client import addresses
from allium.client.addresses import Address
from allium.client.configs.community import Server
from allium.client.errors import NetworkError
from allium.client.exchange import MAX_REFUSAL_BYTES, PIECE_BYTES, Body, BytesBody, ServerReply, ServerRequest
from allium.client.network import Network
from allium.client.onion_v4 import MAX_COMPLAINT_BYTES, Hop, ReplyError, ReplyOpener, RequestSealer
from allium.client.path import Path
from allium.client.pool import Snode

if TYPE_CHECKING:
    import aiohttp

#: A node gives a server 25 s; whoever waits for less cannot tell which of both is slow.
TIMEOUT = 35.0
#: Of a request or reply that is a file.
TRANSFER_TIMEOUT = 300.0
#: Replies that are no files.
MAX_REPLY_BYTES = 6 << 20
ATTEMPTS = 3
_MAX_DOUBTED = 100
_BAD_NODE = re.compile(rb"Next node (?:not found|is currently unreachable): ([0-9a-f]{64})")
_NOT_READY = re.compile(rb"Snode not ready: ([0-9a-f]{64})")
#: What nodes say of each other and of requests, as clients know it (`spec/onion` §7).
_OF_PATH = re.compile(
    rb"Next node|Next hop congested|Snode not ready|Service node is not ready|Server busy|Request time out|"
    rb"Invalid response from snode|Error parsing onion request|onion request max path|Invalid internal onion request"
)


class PathFailedError(NetworkError):
    """The nodes between us and a server failed; over another path it may work."""

    def __init__(self, reason: str, *, arrived: bool) -> None:
        super().__init__(reason)
        #: Whether the server may have got the request all the same.
        self.arrived = arrived


class ServerUnreachableError(NetworkError):
    """The server does not answer, or answers what no server of its kind does."""

    def __init__(self, server: Server, reason: str, *, arrived: bool = True) -> None:
        super().__init__(f"{server.base_url} cannot be used: {reason}")
        self.server = server
        #: As of `PathFailedError`.
        self.arrived = arrived


class ReplyStream(Protocol):
    """A reply whose body is still arriving. It is the server's only once it was read to its end."""

    @property
    def status(self) -> int:
        """As of HTTP."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""

    @property
    def size(self) -> int | None:
        """Bytes of the body, where they are known."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in pieces; `NetworkError` when it is not whole."""


class Route(Protocol):
    """A way to servers."""

    def exchange(
        self, server: Server, request: ServerRequest, timeout: float = TIMEOUT, most: int = MAX_REPLY_BYTES
    ) -> AbstractAsyncContextManager[ReplyStream]:
        """Sends a request; `NetworkError`. The reply's body has at most `most` bytes."""

    async def close(self) -> None:
        """Closes its connections."""


class OnionRoute:
    """Over three nodes, of which none knows both who asks and which server is asked."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._connections = Connections()
        #: By server, the path over which it last said what cannot be read: only another path's success tells whose
        #: fault that was, and a server must not be able to cost us our paths.
        self._doubted: dict[str, Path] = {}

    @asynccontextmanager
    async def exchange(
        self, server: Server, request: ServerRequest, timeout: float = TIMEOUT, most: int = MAX_REPLY_BYTES
    ) -> AsyncIterator[ReplyStream]:
        """See `Route`; `PathFailedError`, `ServerUnreachableError`."""
        await self.network.refresh()
        path = await self.network.paths.get()
        travelled = tuple(path.nodes)
        hops = [Hop(node.ed25519, node.x25519) for node in travelled]
        size = None if request.body is None else request.body.size
        try:
            sealer = RequestSealer(hops, server, request.method, request.endpoint, request.headers, size)
        except ValueError as error:
            raise ServerUnreachableError(server, str(error), arrived=False) from None
        opening = self._connections.post(
            f"{path.guard.url}/onion_req/v2", _sealed(sealer, request.body), sealer.size, timeout
        )
        try:
            async with opening as answer:
                if answer.status != 200:
                    said = await answer.content.read(MAX_REFUSAL_BYTES)
                    raise self._failure(path, travelled, server, answer.status, said)
                stream = _OnionStream(self, path, server, sealer.opener(most), answer)
                await stream.begin()
                yield stream
        except _Unanswered as error:
            if error.connected:
                self.network.paths.silent(path)
            else:
                self.network.paths.guard_failed(path)
            raise PathFailedError(f"no answer over {path}: {error}", arrived=error.connected) from None

    def _failure(
        self, path: Path, travelled: Sequence[Snode], server: Server, status: int, body: bytes
    ) -> PathFailedError | ServerUnreachableError:
        """What an answer in the clear means; strikes whoever is at fault for it."""
        paths, pool = self.network.paths, self.network.pool
        paths.connection.heard()
        text = body[:200].decode(errors="replace")
        failure = PathFailedError(f"the path failed with status {status}: {text}", arrived=status in (500, 504))
        # A node of the path cannot have others than those behind it blamed.
        behind = {node.ed25519: node for node in travelled[1:]}
        if (found := _BAD_NODE.search(body)) and (node := behind.get(bytes.fromhex(found[1].decode()))):
            paths.doubt(path)
            pool.drop(node)
            return failure
        if (found := _NOT_READY.search(body)) and (node := behind.get(bytes.fromhex(found[1].decode()))):
            paths.doubt(path)
            pool.strike(node)
            return failure
        if _OF_PATH.match(body):
            paths.failed(path)
            return failure
        return ServerUnreachableError(server, f"status {status}: {text}", arrived=status != 502)

    def succeeded(self, path: Path, server: Server) -> None:
        """The server's own reply came over a path."""
        self.network.paths.succeeded(path)
        doubted = self._doubted.pop(server.base_url, path)
        if doubted is not path:
            self.network.paths.failed(doubted)

    def unusable(self, path: Path, server: Server, said: tuple[int, str] | None, reason: str) -> NetworkError:
        """What a reply that does not open means; `said`: by a node of the path, if one is known to have."""
        if said is not None and said[1] == "Invalid url":
            return ServerUnreachableError(server, "the network's nodes do not contact such an address", arrived=False)
        if said is None:
            if len(self._doubted) >= _MAX_DOUBTED:
                self._doubted.clear()
            self._doubted[server.base_url] = path
            return ServerUnreachableError(server, reason)
        self.network.paths.failed(path)
        return PathFailedError(f"no usable answer over {path}: status {said[0]}: {said[1][:200]}", arrived=True)

    async def close(self) -> None:
        """Closes its connections; the network stays."""
        await self._connections.close()


class DirectRoute:
    """Straight to the server, which learns this machine's address. Only when the user has said so.

    A URL in a message must not lead into this machine's own network: only servers that the user chose may be there.
    """

    def __init__(
        self,
        is_chosen: Callable[[Server], bool] = lambda server: False,
        is_allowed: Callable[[Address], bool] = addresses.is_public,
    ) -> None:
        """`is_chosen`: whether the user has named a server; others are asked at `is_allowed` addresses."""
        self._is_chosen, self._is_allowed = is_chosen, is_allowed
        self._connections, self._careful = Connections(), Connections(is_allowed)

    @asynccontextmanager
    async def exchange(
        self, server: Server, request: ServerRequest, timeout: float = TIMEOUT, most: int = MAX_REPLY_BYTES
    ) -> AsyncIterator[ReplyStream]:
        """See `Route`; `ServerUnreachableError`."""
        url = server.base_url + request.endpoint
        chosen, address = self._is_chosen(server), addresses.literal(server.host)
        if not chosen and address is not None and not self._is_allowed(address):
            raise ServerUnreachableError(server, "it is at no public address", arrived=False)
        connections = self._connections if chosen else self._careful
        try:
            async with connections.plain(url, request, timeout) as answer:
                yield _DirectStream(answer, server, most)
        except _Unanswered as error:
            raise ServerUnreachableError(server, str(error), arrived=error.connected) from None

    async def close(self) -> None:
        """Closes its connections."""
        await self._connections.close()
        await self._careful.close()


async def request(
    network: Network | Route,
    server: Server,
    method: str,
    endpoint: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> ServerReply:
    """One request and its whole reply, whatever that says. `NetworkError`."""
    route = OnionRoute(network) if isinstance(network, Network) else network
    try:
        whole = None if body is None else BytesBody(body)
        return await perform(route, server, ServerRequest(method, endpoint, headers or {}, whole))
    finally:
        if route is not network:
            await route.close()


async def perform(
    route: Route,
    server: Server,
    make: ServerRequest | Callable[[], ServerRequest],
    *,
    repeatable: bool | None = None,
    timeout: float = TIMEOUT,
    most: int = MAX_REPLY_BYTES,
) -> ServerReply:
    """One request and its whole reply, whatever that says; over other paths when one fails. `NetworkError`.

    `make` may make each attempt's request. What changes something is not tried again once it may have arrived, unless
    it is `repeatable`.
    """
    failure: NetworkError | None = None
    for number in range(ATTEMPTS):
        attempt = make if isinstance(make, ServerRequest) else make()
        again = attempt.method in ("GET", "HEAD", "PUT", "DELETE") if repeatable is None else repeatable
        try:
            async with route.exchange(server, attempt, timeout, most) as reply:
                body = b"".join([piece async for piece in reply])
                return ServerReply(reply.status, reply.headers, body)
        except (PathFailedError, ServerUnreachableError) as error:
            failure = error
            # A server that is not there is asked over one other path: it may have been the last node's fault.
            if (error.arrived and not again) or (isinstance(error, ServerUnreachableError) and number):
                raise
    assert failure is not None  # noqa: S101, there is at least one attempt
    raise failure


class _Unanswered(Exception):
    """No answer of HTTP; `connected`: whether the request may have been read."""

    def __init__(self, reason: str, *, connected: bool) -> None:
        super().__init__(reason)
        self.connected = connected


class Connections:
    """HTTP with bodies in pieces: no cookies, no proxies, no redirects. Made with the first request."""

    def __init__(self, is_allowed: Callable[[Address], bool] | None = None) -> None:
        """`is_allowed`: to which addresses of names; None for any."""
        self._is_allowed = is_allowed
        self._session: aiohttp.ClientSession | None = None

    def post(
        self, url: str, pieces: AsyncIterator[bytes], size: int, timeout: float
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """A payload to a node, whose certificate proves nothing."""
        headers = {"User-Agent": "WhatsApp", "Accept-Language": "en-us", "Content-Length": str(size)}
        return self._exchange("POST", url, headers, pieces, timeout, verified=False)

    def plain(
        self, url: str, request: ServerRequest, timeout: float
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """A request as it is, to a server whose certificate has to be good."""
        headers = dict(request.headers)
        pieces = None
        if request.body is not None:
            headers["Content-Length"] = str(request.body.size)
            pieces = request.body.pieces()
        return self._exchange(request.method, url, headers, pieces, timeout, verified=True)

    @asynccontextmanager
    async def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        pieces: AsyncIterator[bytes] | None,
        timeout: float,
        *,
        verified: bool,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        import aiohttp
        import yarl

        if self._session is None:
            resolver = addresses.resolver(is_allowed=self._is_allowed) if self._is_allowed else None
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(limit=32, resolver=resolver),
                trust_env=False,
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Content-Type"),
            )
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=10.0)
        connected = False
        body = None if pieces is None else _WatchedPieces(pieces)
        try:
            async with self._session.request(
                method,
                yarl.URL(url, encoded=True),
                headers=headers,
                data=body and body.pieces(),
                timeout=limits,
                ssl=verified,
                allow_redirects=False,
            ) as answer:
                connected = True
                yield answer
        except TimeoutError:
            raise _Unanswered("no whole answer in time", connected=True) from None
        except aiohttp.ClientConnectorError as error:
            raise _Unanswered(why(error), connected=connected) from None
        except (aiohttp.ClientError, OSError) as error:
            if body is not None and body.failure is not None:
                raise body.failure from None
            raise _Unanswered(why(error), connected=True) from None

    async def close(self) -> None:
        """Closes all of them."""
        if self._session is not None:
            await self._session.close()


class _WatchedPieces:
    """Pieces of a body; if they cannot be had, that is no failure of who was to be sent them."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self.failure: Exception | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._pieces:
                yield piece
        except Exception as error:
            self.failure = error
            raise


async def _sealed(sealer: RequestSealer, body: Body | None) -> AsyncIterator[bytes]:
    yield sealer.update(b"")
    if body is not None:
        async for piece in body.pieces():
            yield sealer.update(piece)
    yield sealer.finish()


class _OnionStream:
    """The reply to an onion request, opened as it arrives."""

    def __init__(
        self, route: OnionRoute, path: Path, server: Server, opener: ReplyOpener, answer: aiohttp.ClientResponse
    ) -> None:
        self._route, self._path, self._server, self._opener = route, path, server, opener
        self._arriving = answer.content.iter_chunked(PIECE_BYTES)
        self._first: list[bytes] = []
        self._verified = False

    async def begin(self) -> None:
        """Up to where the status is known."""
        while self._opener.status is None:
            piece = await self._next()
            if piece is None:
                return
            self._first.append(piece)

    @property
    def status(self) -> int:
        return self._opener.status or 0

    @property
    def headers(self) -> Mapping[str, str]:
        return self._opener.headers

    @property
    def size(self) -> int | None:
        return self._opener.size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        first, self._first = self._first, []
        for piece in first:
            if piece:
                yield piece
        while (more := await self._next()) is not None:
            if more:
                yield more

    async def _next(self) -> bytes | None:
        """What the next piece opens to; None, and all of it proven, at the end."""
        if self._verified:
            return None
        try:
            async for piece in self._arriving:
                return self._opener.update(piece)
            self._opener.finish()
        except ReplyError as error:
            rest = bytearray()
            async for piece in self._arriving:
                rest += piece
                if len(rest) > MAX_COMPLAINT_BYTES:
                    break
            said = self._opener.complaint(bytes(rest))
            raise self._route.unusable(self._path, self._server, said, str(error)) from None
        self._verified = True
        self._route.succeeded(self._path, self._server)
        return None


class _DirectStream:
    """A reply as it arrives."""

    def __init__(self, answer: aiohttp.ClientResponse, server: Server, most: int) -> None:
        self.status = answer.status
        self.size = answer.content_length
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in answer.headers.items()}
        self._answer, self._server, self._most = answer, server, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._most
        async for piece in self._answer.content.iter_chunked(PIECE_BYTES):
            left -= len(piece)
            if left < 0:
                raise ServerUnreachableError(self._server, "the reply is too large")
            yield piece
