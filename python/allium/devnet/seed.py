"""The seed: the first address a client asks for the list of nodes (`spec/client-network` §1)."""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from allium import _native
from allium.appchain.encoding import EncodingError
from allium.appchain.state import restore
from allium.base import notify
from allium.consensus.cometbft import rpc
from allium.consensus.cometbft.application import STATE_PATH
from allium.membership import MembershipError, static
from allium.membership.appchain import snapshot
from allium.node.chain import open_chain

#: The methods a client asks for the list with; the answers are the same.
_METHODS = ("get_n_service_nodes", "get_service_nodes")
#: Clients put `/json_rpc` behind the seed's URL, whether that ends with a slash or not.
_PATH = "/{slashes:/*}json_rpc"
_MAX_REQUEST_BYTES = 1 << 16
_ASK_SECONDS = 0.5


Current = Callable[[], "_native.Network"]


class FileList:
    """The list of one membership file, read again when it has changed."""

    def __init__(self, nodes: Path) -> None:
        """Raises `MembershipError` when the file is unusable."""
        self._path = nodes
        self._signature = static.signature(nodes)
        self._network = static.read(nodes)

    def current(self) -> _native.Network:
        """The list now."""
        if (signature := static.signature(self._path)) != self._signature:
            try:
                self._network = static.read(self._path)
                self._signature = signature
            except MembershipError:
                pass  # the nodes log it; the list before it stays
        return self._network


class ChainList:
    """The list of the chain that the nodes follow, which the seed follows too."""

    def __init__(self, nodes: Path, chain: Path, directory: Path) -> None:
        """`directory` keeps the chain; raises `MembershipError` when a file is unusable."""
        self._membership = open_chain(chain, nodes, directory, None, None, None).membership
        self._network: _native.Network | None = None
        self._begun = asyncio.Event()

    def current(self) -> _native.Network:
        """The list now, once `begun` has returned."""
        if self._network is None:
            raise MembershipError("the chain is not known yet")
        return self._network

    async def begun(self) -> None:
        """Returns when there is a list."""
        await self._begun.wait()

    async def follow(self) -> None:
        """Runs until cancelled."""
        async for network in self._membership:
            self._network = network
            self._begun.set()


class AskedList:
    """The list of the chain of a committee, as the node that is furthest tells it. Nothing of it is verified."""

    def __init__(self, nodes: Path) -> None:
        """Raises `MembershipError` when the file is unusable."""
        contacts = json.loads(nodes.read_bytes())["nodes"]
        self._urls = [f"http://{node['ip']}:{node['cometbft_rpc_port']}/" for node in contacts]
        self._contacts = {node["pubkey_ed25519"]: node for node in static.read(nodes)["nodes"]}
        self._network: _native.Network | None = None
        self._begun = asyncio.Event()

    def current(self) -> _native.Network:
        """The list now, once `begun` has returned."""
        if self._network is None:
            raise MembershipError("no node has told of the chain yet")
        return self._network

    async def begun(self) -> None:
        """Returns when there is a list."""
        await self._begun.wait()

    async def follow(self) -> None:
        """Runs until cancelled."""
        while True:
            heights = await asyncio.gather(*map(self._height, self._urls))
            furthest = max(range(len(heights)), key=heights.__getitem__)
            if heights[furthest] > (0 if self._network is None else self._network["height"]):
                with contextlib.suppress(rpc.RpcError, EncodingError, ValueError, KeyError):
                    self._network = await self._ask(self._urls[furthest])
                    self._begun.set()
            await asyncio.sleep(_ASK_SECONDS)

    async def _height(self, url: str) -> int:
        try:
            told = await rpc.call(url, "abci_info", seconds=_ASK_SECONDS)
            return int(told["response"].get("last_block_height", 0))
        except (rpc.RpcError, ValueError, KeyError):
            return 0

    async def _ask(self, url: str) -> _native.Network:
        told = await rpc.call(url, "abci_query", path=STATE_PATH)
        return snapshot(restore(base64.b64decode(told["response"]["value"])), self._contacts)


class SeedServer:
    """Answers from a list of nodes."""

    def __init__(self, current: Current) -> None:
        self._current = current

    async def answer(self, request: web.Request) -> web.Response:
        """One JSON-RPC call, whatever its Content-Type says."""
        try:
            call = json.loads(await request.read())
        except (ValueError, RecursionError):
            return _reply({"error": {"code": -32700, "message": "Parse error"}}, None)
        if not isinstance(call, dict) or not isinstance(call.get("method"), str):
            return _reply({"error": {"code": -32600, "message": "Invalid Request"}}, None)
        identifier = call.get("id")
        if call["method"] not in _METHODS:
            return _reply({"error": {"code": -32601, "message": "Method not found"}}, identifier)
        try:
            result = _native.service_nodes(self._current(), json.dumps(call.get("params") or {}))
        except ValueError as error:
            return _reply({"error": {"code": -32602, "message": f"Invalid params: {error}"}}, identifier)
        return _reply({"result": json.loads(result)}, identifier)


def _reply(outcome: dict[str, Any], identifier: Any) -> web.Response:
    # Clients insist on this exact Content-Type, without a charset.
    body = json.dumps({"jsonrpc": "2.0", "id": identifier, **outcome}).encode()
    return web.Response(body=body, headers={"Content-Type": "application/json"})


async def _serve(nodes: Path, chain: Path | None, ask: bool, listener: socket.socket) -> None:
    stop = asyncio.Event()
    stopped = asyncio.create_task(stop.wait())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    ends: set[asyncio.Task[Any]] = {stopped}
    async with contextlib.AsyncExitStack() as stack:
        if chain is None and not ask:
            current = FileList(nodes).current
        else:
            followed = AskedList(nodes) if chain is None else ChainList(nodes, chain, nodes.parent / "seed")
            following = asyncio.create_task(followed.follow())
            ends.add(following)
            begun = asyncio.create_task(followed.begun())
            stack.callback(begun.cancel)
            stack.callback(following.cancel)
            await asyncio.wait({*ends, begun}, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                return following.result()
            if stopped.done():
                return None
            current = followed.current
        app = web.Application(client_max_size=_MAX_REQUEST_BYTES)
        app.router.add_post(_PATH, SeedServer(current).answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, listener).start()
        notify.ready()
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for ended in done:
            ended.result()
    return None


def main() -> None:
    """`python -m allium.devnet.seed NODES_JSON [--chain CHAIN_JSON | --ask] --fd N`: serves on socket N, inherited."""
    parser = argparse.ArgumentParser(prog="allium.devnet.seed")
    parser.add_argument("nodes", type=Path)
    parser.add_argument("--chain", type=Path)
    parser.add_argument("--ask", action="store_true")
    parser.add_argument("--fd", type=int, required=True)
    arguments = parser.parse_args()
    uvloop.run(_serve(arguments.nodes, arguments.chain, arguments.ask, socket.socket(fileno=arguments.fd)))


if __name__ == "__main__":
    main()
