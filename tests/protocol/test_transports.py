"""What each transport says before and around requests (`spec/transports`)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import os
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import bencode2
import pytest
from nacl import bindings

from allium import _native
from allium.client import NetworkError, direct
from allium.client.direct import Node, OmqClient
from allium.settings import keys
from tests.support import wire
from tests.support.devnet import Devnet, up
from tests.support.lone_node import LoneNode


@pytest.fixture
def node(shared_devnet: Devnet) -> dict[str, Any]:
    """One node of network.json."""
    return shared_devnet.nodes[0]


def exchange(
    node: dict[str, Any], method: str, path: str, body: bytes | Iterator[bytes] = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """One HTTPS request with exactly these headers."""
    connection = http.client.HTTPSConnection(node["ip"], node["https_port"], timeout=30, context=wire.UNVERIFIED)
    with contextlib.closing(connection):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may answer before it has read all
            connection.request(method, path, body, named, encode_chunked=not isinstance(body, bytes))
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


# --- HTTPS


def test_https_routes_and_headers(node: dict[str, Any]) -> None:
    status, headers, body = exchange(node, "GET", "/get_stats/v1")
    assert (status, headers["content-type"], json.loads(body)) == (200, "application/json", {"version": "2.8.0"})
    assert headers["server"] == "Oxen Storage Server/2.8.0"
    status, headers, body = exchange(node, "POST", "/ping_test/v1", b"anything")
    assert (status, body) == (200, b"")
    assert base64.b64decode(headers["x-oxen-snode-pubkey"]).hex() == node["pubkey_legacy"]
    for method, path in [
        ("GET", "/storage_rpc/v1"),
        ("POST", "/get_stats/v1"),
        ("PUT", "/"),
        ("POST", "/onion_req/v1"),
    ]:
        status, headers, body = exchange(node, method, path)
        assert (status, body.decode()) == (404, f"{method.lower()} {path} Not Found")
        assert headers["content-type"] == "text/plain"
    status, headers, _ = exchange(node, "POST", "/storage_rpc/v1", wire.rpc_body("info", {}), Content_Type="x/y")
    assert (status, headers["content-type"]) == (200, "application/json")
    status, headers, body = exchange(node, "POST", "/storage_rpc/v1", wire.rpc_body("active_nodes_bin", {}))
    assert (status, headers["content-type"], len(body)) == (200, "application/octet-stream", 15 * 51)


def test_https_refusals(node: dict[str, Any]) -> None:
    rpc = "/storage_rpc/v1"
    status, _, body = exchange(node, "POST", rpc, b"{}", X_Loki_Long_Poll="1")
    assert (status, body) == (410, b"long polling is no longer supported, client upgrade required")
    for sent, want in [
        (b"", b"invalid json"),
        (b"[]", b"invalid json: no `method` field"),
        # The mark is passed over, and what follows read.
        (b"\xef\xbb\xbf", b"invalid json"),
        (b"\xef\xbb\xbf{}", b"invalid json: no `method` field"),
        (b'\xef\xbb\xbf{"method":"nope","params":{}}', b"no method nope"),
        (wire.rpc_body("store", {}), b"invalid request: Required field 'timestamp' missing"),
        (b'{"method":1,"params":{}}', b"invalid json: no `method` field"),
        (b'{"method":"info","params":[]}', b"invalid json: no `params` field"),
        (b'{"method":"nope","params":{}}', b"no method nope"),
    ]:
        status, headers, body = exchange(node, "POST", rpc, sent)
        assert (status, body, headers["content-type"]) == (400, want, "text/plain")
    for path in (rpc, "/onion_req/v2"):
        status, headers, body = exchange(node, "POST", path, b"", Content_Length=str(10 * 1024 * 1024 + 1))
        assert (status, body, headers["connection"]) == (413, b"Request body too large", "close")
        chunks = (bytes(1 << 20) for _ in range(11))
        status, _, body = exchange(node, "POST", path, chunks, Transfer_Encoding="chunked")
        assert (status, body) == (413, b"Request body too large")


# --- OMQ


@contextlib.asynccontextmanager
async def omq(node: dict[str, Any], secret: bytes | None = None) -> AsyncIterator[OmqClient]:
    async with OmqClient(Node.parse(node), secret) as client:
        yield client


async def test_omq_error_frames(node: dict[str, Any]) -> None:
    async with omq(node) as client:
        for command, error in [
            ("storage.nope", "UNKNOWNCOMMAND"),
            ("nope", "UNKNOWNCOMMAND"),
            ("sn.ping", "FORBIDDEN_SN"),
            ("sn.storage_cc", "FORBIDDEN_SN"),
            ("service.get_stats", "FORBIDDEN"),
        ]:
            with pytest.raises(NetworkError, match=f"refused: {error}$"):
                await client.request(command)
        await client._socket.send_multipart([b"storage.info"])
        assert await client._socket.recv_multipart() == [b"NO_REPLY_TAG", b"storage.info"]
        await client._socket.send_multipart([b"HI"])
        assert await client._socket.recv_multipart() == [b"HELLO"]
        assert await client.request("storage.info", b"{}", b"{}") == [
            b"400",
            b"Invalid request: expected 1 message parts, received 2",
        ]
        assert (await client.request("storage.info", b"[]")) == [b"400", b"invalid body: expected json or bt_dict"]
        [answer] = await client.request("storage.info")
        assert json.loads(answer)["version"] == [2, 8, 0]


async def test_omq_ping_between_nodes(shared_devnet: Devnet) -> None:
    asking, asked = shared_devnet.nodes[:2]
    made = keys.load(Path(asking["data_dir"]))
    secret = bindings.crypto_sign_ed25519_sk_to_curve25519(made.ed25519_secret)
    async with omq(asked, secret) as client:
        assert await client.request("sn.ping") == [b"pong"]
        assert await client.request("sn.storage_cc", b"info", b"de") == [
            b"400",
            b"invalid request: received invalid forwarded non-forwardable request",
        ]
        assert (await client.request("sn.storage_cc", b"a", b"b", b"c"))[0] == b"400"
        status, body = await client.request("sn.onion_request", b"de")
        assert (status, body[:16]) == (b"400", b"Invalid internal")


def subscription(user: wire.User, *, data: bool) -> bytes:
    seconds = wire.now_ms() // 1000
    text = f"MONITOR{user.account_id}{seconds}{int(data)}0,2"
    fields = {
        "P": user.ed_public,
        "d": int(data),
        "n": [0, 2],
        "s": base64.b64decode(user.sign(text)),
        "t": seconds,
    }
    return bencode2.bencode(fields)


async def test_subscribers_are_told_by_every_member(shared_devnet: Devnet) -> None:
    user = wire.User()
    reply = wire.rpc(shared_devnet.nodes[0], "get_swarm", {"pubkey": user.account_id})
    members = {snode["pubkey_ed25519"] for snode in reply.json()["snodes"]}
    inside = [node for node in shared_devnet.nodes if node["pubkey_ed25519"] in members]
    outside = [node for node in shared_devnet.nodes if node["pubkey_ed25519"] not in members]
    async with omq(outside[0]) as stranger:
        [refused] = await stranger.request("monitor.messages", subscription(user, data=True))
        told = bencode2.bdecode(refused)
        assert told[b"errcode"] == 6 and len(told[b"snodes"]) == 5
        what = b"monitor request takes a single bencoded dict or list parameter"
        unsigned = bencode2.bdecode(subscription(user, data=True))
        del unsigned[b"s"]
        for parts, text in [
            ([], what),
            ([b""], what),
            ([b"nonsense"], what),
            ([b"de", b"de"], what),
            ([bencode2.bencode(unsigned)], b"Key s not found!"),
        ]:
            [refused] = await stranger.request("monitor.messages", *parts)
            assert bencode2.bdecode(refused) == {b"errcode": 1, b"error": b"Invalid arguments: " + text}
    async with omq(inside[0]) as entry, omq(inside[1]) as other:
        both = b"l" + subscription(user, data=True) * 2 + b"e"
        assert await entry.request("monitor.messages", both) == [b"ld7:successi1eed7:successi1eee"]
        assert await other.request("monitor.messages", subscription(user, data=False)) == [b"d7:successi1ee"]
        push = _native.QuicClient(
            inside[2]["ip"], inside[2]["omq_port"], bytes.fromhex(inside[2]["pubkey_ed25519"]), os.urandom(32)
        )
        assert push.request("monitor", subscription(user, data=True)) == (True, b"d7:successi1ee")
        stored = await asyncio.to_thread(wire.rpc, inside[0], "store", wire.store_params(user.account_id, b"news"))
        name = stored.json()["hash"].encode()
        over_quic = await asyncio.to_thread(push.notification)
        assert over_quic is not None
        notified = [bencode2.bdecode(dict_) for dict_ in (await entry.notification(), over_quic)]
        for dict_ in notified:
            assert sorted(dict_) == [b"@", b"h", b"n", b"t", b"z", b"~"]
            assert (dict_[b"@"], dict_[b"h"], dict_[b"~"]) == (bytes.fromhex(user.account_id), name, b"news")
        bare = bencode2.bdecode(await other.notification())
        assert sorted(bare) == [b"@", b"h", b"n", b"t", b"z"]
        # The same message again is no news.
        await asyncio.to_thread(wire.rpc, inside[0], "store", wire.store_params(user.account_id, b"news"))
        with pytest.raises(NetworkError, match="no answer"):
            await entry.notification(0.3)
        push.close()


# --- limits


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """One node that treats this machine as a stranger."""
    with up(tmp_path_factory.mktemp("limited"), "--nodes", "1", "--rate-limit") as net:
        yield net


async def test_one_bucket_for_all_transports(limited: Devnet) -> None:
    [node] = limited.nodes
    async with omq(node) as client:
        answers: Counter[bytes] = Counter()
        for _ in range(15):  # no more at once than the queue holds
            for _ in range(100):
                await client._socket.send_multipart([b"storage.info", b"tag"])
            for _ in range(100):
                frames = await client._socket.recv_multipart()
                answers[frames[2] if len(frames) == 4 else b"200"] += 1
                assert len(frames) == 3 or frames[3] == b"Too many requests, try again later"
        assert answers[b"200"] >= 600 and answers[b"429"] >= 1 and set(answers) == {b"200", b"429"}

        # The bucket is empty now, for the other transports too, and stays so while a new connection is made.
        async def flood() -> None:
            while True:
                for _ in range(100):
                    await client._socket.send_multipart([b"storage.info", b"tag"])
                for _ in range(100):
                    await client._socket.recv_multipart()

        flooding = asyncio.create_task(flood())
        refused: list[tuple[int, bytes]] = []
        while (429, b"Too Many Requests\n") not in refused and len(refused) < 40:
            answer = await asyncio.to_thread(exchange, node, "POST", "/storage_rpc/v1", wire.rpc_body("info", {}))
            refused.append(answer[::2])
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)
        assert (429, b"Too Many Requests\n") in refused
    # What is not a client's request is not counted.
    assert exchange(node, "POST", "/ping_test/v1")[0] == 200
    quic = _native.QuicClient(node["ip"], node["omq_port"], bytes.fromhex(node["pubkey_ed25519"]), os.urandom(32))
    over_quic = {quic.request("info", b"{}") for _ in range(1500)}
    quic.close()
    assert (False, b"429 Too Many Requests\n\nToo many requests, try again later") in over_quic


def test_a_flood_on_one_transport_leaves_the_others(limited: Devnet, shared_devnet: Devnet) -> None:
    node = shared_devnet.nodes[3]
    stop = threading.Event()

    def flood() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                wire.rpc(node, "get_swarm", {"pubkey": "05" + "00" * 32})

    threads = [threading.Thread(target=flood) for _ in range(16)]
    for thread in threads:
        thread.start()
    try:
        for transport in ("omq", "quic", "onion"):
            for _ in range(20):
                answer = asyncio.run(direct.call(Node.parse(node), "info", {}, transport=transport, timeout=10))
                assert answer.status == 200
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_connections_per_address_and_admins(lone_node: Callable[..., LoneNode]) -> None:
    admin = os.urandom(32)
    node = lone_node(connections_per_address=2, admins=[bindings.crypto_scalarmult_base(admin).hex()])
    address = ("127.0.0.1", node.entry["https_port"])
    with contextlib.ExitStack() as held:
        for _ in range(2):
            plain = held.enter_context(socket.create_connection(address))
            held.enter_context(wire.UNVERIFIED.wrap_socket(plain))
        with socket.create_connection(address) as third, pytest.raises(OSError):
            wire.UNVERIFIED.wrap_socket(third).close()

    async def stats() -> list[bytes]:
        async with omq(node.entry, admin) as client:
            return await client.request("service.get_stats")

    [answer] = asyncio.run(stats())
    told = json.loads(answer)
    assert (told["version"], told["total_stored"], told["accounts"]) == ("2.8.0", 0, 0)
    assert told["total_store_requests"] == told["recent_store_requests"] == 0 < told["db_max"]


def test_who_is_slow_is_cut_off(lone_node: Callable[..., LoneNode]) -> None:
    """Each phase of a request has its time; a client that keeps to them is served."""
    for phase, limits in enumerate([(1.0, 60.0, 60.0), (60.0, 1.0, 60.0), (60.0, 60.0, 1.0)]):
        node = lone_node(patience=limits)
        node.sees(node.entry)
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(socket.create_connection(("127.0.0.1", node.entry["https_port"]), 20))
            if phase > 0:
                stream = stack.enter_context(wire.UNVERIFIED.wrap_socket(stream))
                stream.sendall(b"POST /storage_rpc/v1 HTTP/1.1\r\nHost: x\r\n")
            if phase > 1:
                stream.sendall(b"Content-Length: 100\r\n\r\n{")
            told = b""
            while chunk := stream.recv(4096):
                told += chunk
            # Whoever has sent a whole head is told; then the connection ends.
            assert told.startswith(b"HTTP/1.1 400 Bad Request") if phase > 1 else told in (b"", TIMED_OUT)
        assert wire.rpc(node.entry, "info", {}).status == 200


#: hyper's answer to a head that does not come.
TIMED_OUT = b""


def test_ipv6(lone_node: Callable[..., LoneNode]) -> None:
    node = lone_node(bind_ip="::")
    https_port, omq_port = node.entry["https_port"], node.entry["omq_port"]
    reason = b"Service node is not ready: not yet on hardfork 19.3; not in any swarm; not done syncing\n"
    for ip in ("::1", "127.0.0.1"):
        address = {"ip": ip, "https_port": https_port}
        assert exchange(address, "GET", "/get_stats/v1")[0] == 200
        assert exchange(address, "POST", "/storage_rpc/v1", wire.rpc_body("info", {}))[::2] == (503, reason)
        quic = _native.QuicClient(ip, omq_port, node.keys.ed25519_public, os.urandom(32))
        assert quic.request("snode_ping", b"") == (True, b"pong")
        assert quic.request("info", b"{}") == (False, b"503 Service Unavailable\n\n" + reason)
        quic.close()
