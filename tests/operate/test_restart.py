"""A node that starts anew under load, and the sockets that it is given."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from allium.base import pidfile
from allium.base.endpoint import Endpoint
from allium.client import NetworkError, direct
from allium.devnet import ports
from allium.membership.omq import OmqConnection, OmqError
from allium.node import restart
from allium.settings import config, keys
from tests.support import wire
from tests.support.lone_node import entry
from tests.support.node_process import Running

RESTARTS = int(os.environ.get("ALLIUM_RESTARTS", "3"))


class Client(threading.Thread):
    """Asks again and again over one connection, and opens the next when the server said that this one ends.

    A connection that ends otherwise has lost a request.
    """

    def __init__(self, port: int, number: int, over: threading.Event) -> None:
        super().__init__()
        self.port, self.over = port, over
        self.user = wire.User()
        self.number = number
        self.answered = self.told = 0
        self.dropped: list[str] = []
        self.stored: set[str] = set()
        self.longest = 0.0

    def run(self) -> None:
        context = ssl._create_unverified_context()
        connection = None
        while not self.over.is_set():
            began = time.monotonic()
            try:
                if connection is None:
                    connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=context)
                if self.number % 2:
                    params = wire.store_params(self.user.account_id, os.urandom(200))
                    body = {"method": "store", "params": params}
                else:
                    body = {"method": "info", "params": {}}
                connection.request("POST", "/storage_rpc/v1", json.dumps(body))
                response = connection.getresponse()
                answer = json.loads(response.read())
                if response.status != 200:
                    self.dropped.append(f"{response.status} {answer}")
                if "hash" in answer:
                    self.stored.add(answer["hash"])
                self.answered += 1
                if response.getheader("Connection") == "close":
                    self.told += 1
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.dropped.append(repr(error))
                connection = None
            self.longest = max(self.longest, time.monotonic() - began)
            if self.number % 4 == 0:
                self.over.wait(0.05)  # one that is between two requests most of the time
        if connection is not None:
            connection.close()


class Newcomer(threading.Thread):
    """Asks again and again, over a new connection each time."""

    def __init__(self, node: direct.Node, transport: direct.TransportName, over: threading.Event) -> None:
        super().__init__()
        self.node, self.transport, self.over = node, transport, over
        self.answered = 0
        self.dropped: list[str] = []

    def run(self) -> None:
        while not self.over.is_set():
            try:
                answer = asyncio.run(direct.call(self.node, "info", {}, transport=self.transport))
                assert answer.status == 200, answer
                self.answered += 1
            except (AssertionError, NetworkError) as error:
                self.dropped.append(repr(error))


class OpenCaller(threading.Thread):
    """Asks again and again over one OMQ connection, as long as the node does not say that it goes."""

    def __init__(self, node: direct.Node, over: threading.Event) -> None:
        super().__init__()
        self.endpoint = Endpoint(f"tcp://{node.ip}:{node.omq_port}", node.x25519)
        self.over = over
        self.answered = self.connected = 0
        self.dropped: list[str] = []

    def run(self) -> None:
        asyncio.run(self.ask())

    async def ask(self) -> None:
        async with OmqConnection(self.endpoint) as connection:
            connection.on_connect.append(self.count)
            while not self.over.is_set():
                try:
                    [answer] = await connection.request("storage.info", timeout=60)
                    assert b"version" in answer, answer
                    self.answered += 1
                except (AssertionError, OmqError, ValueError) as error:
                    self.dropped.append(repr(error))

    def count(self) -> None:
        self.connected += 1


def test_no_request_is_lost_while_a_node_starts_anew_again_and_again(running: Running) -> None:
    over = threading.Event()
    clients = [Client(running.entry["https_port"], number, over) for number in range(8)]
    node = direct.Node.parse(running.entry)
    newcomers = [Newcomer(node, "omq", over), Newcomer(node, "quic", over)]
    kept = [OpenCaller(node, over) for _ in range(2)]
    callers: list[Newcomer | OpenCaller] = [*newcomers, *kept]
    threads = (*clients, *callers)
    for thread in threads:
        thread.start()
    pid = running.process.pid
    seconds = []
    try:
        for _ in range(RESTARTS):
            before = sum(client.answered for client in clients)
            began = time.monotonic()
            assert restart.ask(running.data_dir) == pid
            running.await_notice("READY=1")
            seconds.append(time.monotonic() - began)
            while sum(client.answered for client in clients) < before + 200:
                assert not over.wait(0.01)
            # Restarts without a pause would turn the same newcomers away each time that they knock.
            others = {thread: thread.answered for thread in callers}
            while any(thread.is_alive() and thread.answered == count for thread, count in others.items()):
                assert not over.wait(0.01)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert [client.dropped for client in clients] == [[]] * len(clients)
    assert [newcomer.dropped for newcomer in newcomers] == [[]] * len(newcomers)
    assert [each.dropped for each in kept] == [[]] * len(kept)
    assert [each.connected for each in kept] == [RESTARTS + 1] * len(kept)
    assert all(newcomer.answered > RESTARTS for newcomer in newcomers)
    assert all(client.told >= RESTARTS for client in clients)
    total, longest = sum(client.answered for client in clients), max(client.longest for client in clients)
    fresh = {newcomer.transport: newcomer.answered for newcomer in newcomers}
    print(f"{RESTARTS} restarts, {max(seconds):.1f} s at most; {total} requests, none lost, {longest:.2f} s at most")
    print(f"over connections of their own: {fresh}, none lost")
    print(f"over kept OMQ connections: {sum(each.answered for each in kept)}, none lost")
    # It is the same process, and has all that was acknowledged.
    assert running.process.poll() is None and pidfile.serving(running.data_dir) == pid
    for client in clients[1::2]:
        assert {message["hash"] for message in wire.retrieve(running.entry, client.user)} >= client.stored


def test_what_would_not_start_does_not_end_what_runs(running: Running) -> None:
    running.configure(worker_threads=0)
    assert restart.ask(running.data_dir) == running.process.pid
    running.await_line("the successor would not start")
    assert wire.rpc(running.entry, "info", {}).status == 200
    # Another port, on the other hand, is one to start with.
    with ports.reserve(1) as [port]:
        running.configure(worker_threads=2, https_port=port)
        restart.ask(running.data_dir)
        running.await_notice("RELOADING=1")
        running.await_notice("READY=1")
        assert wire.rpc({**running.entry, "https_port": port}, "info", {}).status == 200
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", running.entry["https_port"]), 5)


def test_one_process_serves_a_directory(running: Running) -> None:
    command = [sys.executable, "-m", "allium", "node", "run", "--config", str(running.file)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1 and f"another process serves {running.data_dir}" in second.stdout + second.stderr
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(60) == 0
    assert pidfile.serving(running.data_dir) is None
    command = [sys.executable, "-m", "allium", "node", "restart", "--data-dir", str(running.data_dir)]
    nobody = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert nobody.returncode == 1 and "no node serves" in nobody.stderr


def test_sockets_of_a_service_manager_are_taken(tmp_path: Path) -> None:
    """As with a `.socket` unit: whoever came before the node did is answered."""
    with contextlib.ExitStack() as stack:
        https = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        omq = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        quic = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        https_port, omq_port = https.getsockname()[1], omq.getsockname()[1]
        quic.bind(("127.0.0.1", omq_port))
        early = wire.User()
        answers: list[Any] = []
        node_entry: dict[str, Any] = {"ip": "127.0.0.1", "https_port": https_port, "omq_port": omq_port}
        params = wire.store_params(early.account_id, b"early")
        waiting = threading.Thread(target=lambda: answers.append(wire.rpc(node_entry, "store", params)))
        waiting.start()

        data_dir = tmp_path / "node"
        node_keys = keys.create(data_dir)
        network = {
            "height": 1,
            "hardfork": [19, 4],
            "nodes": [entry(node_keys, https_port, omq_port)],
        }
        (tmp_path / "network.json").write_text(json.dumps(network))
        settings: dict[str, Any] = {
            "data_dir": ".",
            "network_file": "../network.json",
            "bind_ip": "127.0.0.1",
            "https_port": https_port,
            "omq_port": omq_port,
            "metrics_port": "",
        }
        (data_dir / "config.toml").write_text(config.commented_toml(**settings))
        # The manager's child puts them where they belong and names itself, then becomes the node.
        script = (
            "import fcntl, os, sys\n"
            "fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 99) for fd in sys.argv[1:4]]\n"
            "for place, fd in enumerate(fds, 3): os.dup2(fd, place)\n"
            "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '3', 'LISTEN_FDNAMES': 'a:b:c'}\n"
            "os.execv(sys.executable, [sys.executable, '-m', 'allium', 'node', 'run', '--config', sys.argv[4]])\n"
        )
        fds = [quic.fileno(), omq.fileno(), https.fileno()]
        process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, fds), str(data_dir / "config.toml")], pass_fds=fds
        )
        try:
            waiting.join(60)
            assert [answer.status for answer in answers] == [200]
            node_entry |= entry(node_keys, https_port, omq_port)
            assert wire.rpc(node_entry, "info", {}).status == 200
        finally:
            process.terminate()
            assert process.wait(60) == 0


async def test_a_program_that_is_broken_on_disk_is_found_out_before(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await restart.trial() is None
    monkeypatch.setattr(restart, "_TRIAL", "import allium.node, allium.gone")
    assert await restart.trial() == "ModuleNotFoundError: No module named 'allium.gone'"
