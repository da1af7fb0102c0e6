"""Strangers who ask and do not read, hold connections, send without end, or ask too fast."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from tests.support import wire
from tests.support.dealers import answer, dealer
from tests.support.lone_node import LoneNode
from tests.support.victim import Victim, victim

#: Of a stored message, near the most that one may have.
LARGE = 76_000


def full_account(entry: dict[str, Any], count: int = 70) -> wire.User:
    """One with some megabytes of messages."""
    user = wire.User()
    for number in range(count):
        data = number.to_bytes(4, "big") * (LARGE // 4)
        assert wire.rpc(entry, "store", wire.store_params(user.account_id, data)).status == 200
    return user


def retrieve_all(user: wire.User) -> dict[str, Any]:
    timestamp = wire.now_ms()
    return {**user.auth(f"retrieve{timestamp}"), "timestamp": timestamp, "max_size": 7_800_000}


def test_answers_that_nobody_reads_over_omq(alone: Victim) -> None:
    user = full_account(alone.entry)
    params = json.dumps(retrieve_all(user)).encode()
    with zmq.Context() as context, contextlib.ExitStack() as sockets, alone.attacked():
        for _ in range(10):
            silent = sockets.enter_context(context.socket(zmq.DEALER))
            silent.close()
            silent = sockets.enter_context(dealer(context, alone.entry))
            silent.rcvhwm = 1
            for number in range(30):
                silent.send_multipart([b"storage.retrieve", b"%d" % number, params])
                alone.sent += len(params) + 20
        # What one does not read, another still gets.
        with dealer(context, alone.entry) as honest:
            assert answer(honest, b"storage.info", b"tag", b"")[:2] == [b"REPLY", b"tag"]
        time.sleep(2)  # the attack goes on: nothing that it waits for can be awaited
        sockets.close()


def test_answers_that_nobody_reads_over_https(alone: Victim) -> None:
    user = full_account(alone.entry)
    body = wire.rpc_body("retrieve", retrieve_all(user))
    head = f"POST /storage_rpc/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with alone.attacked(), contextlib.ExitStack() as connections:
        for _ in range(60):
            plain = socket.socket()
            # A small window, so that the kernel takes little of the answer.
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.connect(("127.0.0.1", alone.entry["https_port"]))
            stream = connections.enter_context(wire.UNVERIFIED.wrap_socket(plain))
            stream.sendall(head.encode() + body)
            alone.sent += len(head) + len(body)
        time.sleep(2)  # as above


def test_a_message_without_an_end(alone: Victim) -> None:
    with zmq.Context() as context, alone.attacked(), dealer(context, alone.entry) as endless:
        frame = bytes(4 << 20)
        endless.sndtimeo = 200
        with contextlib.suppress(zmq.Again):
            for _ in range(40):
                endless.send(frame, zmq.SNDMORE)
        # It is cut off long before its 160 MiB: half of that would be more than the whole attack may cost.
        alone.sent = 0
        with dealer(context, alone.entry) as honest:
            assert answer(honest, b"storage.info", b"tag", b"")[:2] == [b"REPLY", b"tag"]


def test_names_that_nobody_has_are_not_sent_back(alone: Victim) -> None:
    with zmq.Context() as context, dealer(context, alone.entry) as client:
        for frames in ([b"x" * 300], [b"storage.info", b"t" * 300, b""], [b"y" * 5_000_000, b"tag"]):
            client.send_multipart(frames)
        assert answer(client, b"storage.nothing", b"tag") == [b"UNKNOWNCOMMAND", b"storage.nothing"]
        assert answer(client, b"storage.info", b"t" * 255, b"")[:2] == [b"REPLY", b"t" * 255]


def test_a_routing_id_is_not_taken_over(lone_node: Callable[..., LoneNode]) -> None:
    node, user = lone_node(), wire.User()
    node.sees(node.entry)
    account = bytes.fromhex(user.account_id)
    with zmq.Context() as context, dealer(context, node.entry, b"my name") as subscriber:
        moment = wire.now_ms() // 1000
        key = bytes.fromhex(user.auth("")["pubkey_ed25519"])
        signature = base64.b64decode(user.sign(f"MONITOR{account.hex()}{moment}10"))
        body = b"d1:P32:%b1:di1e1:nli0ee1:s64:%b1:ti%dee" % (key, signature, moment)
        assert answer(subscriber, b"monitor.messages", b"1", body) == [b"REPLY", b"1", b"d7:successi1ee"]
        with dealer(context, node.entry, b"my name") as thief:
            assert answer(thief, b"storage.info", b"2", b"")[0] == b"REPLY"
            assert wire.rpc(node.entry, "store", wire.store_params(user.account_id, b"secret")).status == 200
            assert subscriber.poll(20_000)
            name, dict_ = subscriber.recv_multipart()
            assert name == b"notify.message" and b"6:secret" in dict_
            # And the first has its answers still.
            assert answer(subscriber, b"storage.info", b"3", b"")[:2] == [b"REPLY", b"3"]
            assert not thief.poll(200)


def test_idle_connections_of_one_address(tmp_path: Path) -> None:
    with (
        victim(tmp_path, connections_per_address=40, rate_limit_exempt=[]) as alone,
        contextlib.ExitStack() as connections,
    ):
        address = ("127.0.0.1", alone.entry["omq_port"])
        opened = [connections.enter_context(socket.create_connection(address)) for _ in range(120)]
        kept = [stream for stream in opened if not is_closed(stream)]
        assert len(kept) <= 40
        # Another address has its own share, on all transports.
        with zmq.Context() as context, dealer(context, alone.entry) as refused:
            refused.send_multipart([b"storage.info", b"tag", b""])
            assert not refused.poll(500)
        for stream in opened:
            stream.close()
        # They are free again once the node has seen them go.
        deadline = time.monotonic() + 20
        while True:
            try:
                assert wire.rpc(alone.entry, "info", {}).status == 200
                break
            except OSError:
                assert time.monotonic() < deadline


def is_closed(stream: socket.socket) -> bool:
    """The greeting of ZMTP comes at once where a connection is served, and the end where not."""
    stream.settimeout(20)
    try:
        return stream.recv(64) == b""
    except ConnectionResetError:
        return True


def test_onion_requests_count_to_the_rate(tmp_path: Path) -> None:
    with victim(tmp_path, rate_limit_exempt=[], rate_limit_burst=30, rate_limit_per_second=1) as alone:
        body = wire.rpc_body("info", {})
        statuses = []
        for _ in range(40):
            payload, _ = wire.onion([alone.entry], body)
            statuses.append(wire.post_onion(alone.entry, payload).status)
        assert statuses[:30] == [200] * 30
        assert statuses[-8:] == [429] * 8
        assert wire.rpc(alone.entry, "info", {}).status == 429
