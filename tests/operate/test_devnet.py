"""`allium devnet`, `allium node init` and one engine alone, driven as their users do."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from allium.devnet import ports, process
from allium.devnet.layout import DevnetError
from allium.devnet.network import swarm_ids
from allium.settings import keys
from tests.support import wire
from tests.support.devnet import Devnet
from tests.support.lone_node import LoneNode, entry


def fails(*arguments: str) -> str:
    command = [sys.executable, "-m", "allium", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr


def test_two_networks_at_once_and_their_whole_life(shared_devnet: Devnet, tmp_path: Path) -> None:
    net = Devnet(tmp_path / "second")
    net.run("up", "--nodes", "4", "--swarm-size", "2")
    try:
        assert {node["https_port"] for node in net.nodes}.isdisjoint(n["https_port"] for n in shared_devnet.nodes)
        assert len(net.nodes) == 4 and len({node["swarm_id"] for node in net.nodes}) == 2
        assert "is up" in fails("devnet", "up", "--dir", str(net.directory))
        assert all(row["running"] for row in json.loads(net.run("status", "--json")))
        net.run("kill", "1")
        command = [sys.executable, "-m", "allium", "devnet", "status", "--dir", str(net.directory), "--json"]
        status = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert status.returncode == 1
        assert [row["running"] for row in json.loads(status.stdout)] == [True, False, True, True]
        assert "not running" in fails("devnet", "kill", "1", "--dir", str(net.directory))
        assert "numbered from 0 to 3" in fails("devnet", "kill", "4", "--dir", str(net.directory))
        before = net.nodes[1]
        net.run("start", "1")
        after = net.nodes[1]
        assert after["pid"] != before["pid"] and {**after, "pid": 0} == {**before, "pid": 0}
        pids = [node["pid"] for node in net.nodes]
    finally:
        net.run("down")
    assert not any(process.is_running(pid, "allium") for pid in pids)
    assert "no network is up" in fails("devnet", "status", "--dir", str(net.directory))
    assert "earlier network" in fails("devnet", "up", "--dir", str(net.directory))


def test_a_node_that_cannot_start_is_explained(tmp_path: Path) -> None:
    with ports.reserve(1) as [port], socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert f"port {port} is in use" in fails(
            "devnet", "up", "--nodes", "1", "--dir", str(tmp_path), "--base-port", str(port)
        )
    assert not (tmp_path / "network.json").exists()


def test_reserved_ports_are_ours_alone() -> None:
    with ports.reserve(3) as mine:
        with pytest.raises(DevnetError, match="in use"), ports.reserve(1, mine[0]):
            pass
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("127.0.0.1", mine[0]))
            server.listen()


def test_swarms_are_even() -> None:
    assert swarm_ids(4, 2) == [1 << 62, 3 << 62, 1 << 62, 3 << 62]
    assert len(set(swarm_ids(7, 3))) == 2
    assert set(swarm_ids(3, 3)) == {1 << 63}


def test_init_takes_a_network_file_from_where_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "nodes.json").write_text("[]")
    command = [sys.executable, "-m", "allium", "node", "init", "--network-file", "nodes.json", "--data-dir", "node"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    made = tomllib.loads((tmp_path / "node" / "config.toml").read_text())
    assert made["network_file"] == str(tmp_path / "nodes.json")


def test_init_then_run_then_sigterm(tmp_path: Path) -> None:
    directory = tmp_path / "node"
    command = [sys.executable, "-m", "allium", "node", "init", "--data-dir", str(directory)]
    with ports.reserve(2) as [https_port, omq_port]:
        subprocess.run([*command, "--https-port", str(https_port), "--omq-port", str(omq_port)], check=True, timeout=60)
        assert "already" in fails("node", "init", "--data-dir", str(directory))
        made = keys.load(directory)
        node = {
            "pubkey_legacy": made.legacy_public.hex(),
            "pubkey_ed25519": made.ed25519_public.hex(),
            "pubkey_x25519": made.x25519_public.hex(),
            "ip": "127.0.0.1",
            "https_port": https_port,
            "omq_port": omq_port,
            "swarm_id": 0,
        }
        (directory / "network.json").write_text(json.dumps({"nodes": [node]}))
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind("")
        listener.settimeout(30)
        run = subprocess.Popen(
            [sys.executable, "-m", "allium", "node", "run", "--config", str(directory / "config.toml")],
            env={**os.environ, "NOTIFY_SOCKET": "@" + listener.getsockname()[1:].decode()},
            stderr=subprocess.PIPE,
        )
        with listener, run:
            try:
                assert b"READY=1" in listener.recv(4096)
                user = wire.User()
                assert wire.rpc(node, "store", wire.store_params(user.account_id, b"alone")).status == 200
                assert len(wire.retrieve(node, user)) == 1
                run.send_signal(signal.SIGHUP)
                assert b"RELOADING=1" in listener.recv(4096)
                assert b"READY=1" in listener.recv(4096)
                run.send_signal(signal.SIGTERM)
                assert run.wait(30) == 0
            finally:
                run.kill()


def test_a_full_queue_says_busy(lone_node: Callable[..., LoneNode]) -> None:
    other = keys.generate()
    with socket.socket() as silent:
        # A member that takes connections and never says a word.
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        node = lone_node(queue=1)
        node.sees(node.entry, entry(other, 1, silent.getsockname()[1]))
        user = wire.User()
        replies: list[wire.HttpReply] = []
        params = wire.store_params(user.account_id, b"slow")
        first = threading.Thread(target=lambda: replies.append(wire.rpc(node.entry, "store", params)))
        first.start()
        # The first request has reached the silent member, so it holds the only place.
        silent.settimeout(30)
        connection, _ = silent.accept()
        with connection:
            reply = wire.rpc(node.entry, "info", {})
            assert (reply.status, reply.body) == (503, b"Server busy, try again later")
        first.join(30)
        [slow] = replies
        assert slow.status == 200
        assert slow.json()["swarm"][other.ed25519_public.hex()] == {"failed": True, "timeout": True}
        assert wire.rpc(node.entry, "info", {}).status == 200
