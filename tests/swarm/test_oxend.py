"""A node beside the live network's daemon: a real process, and a daemon that speaks real OMQ."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import bencode2
import pytest
from nacl import bindings

from allium import _native
from allium.client.direct import Node, OmqClient
from allium.devnet import ports
from allium.settings import keys
from tests.support import wire
from tests.support.beside_oxend import OURS, BesideOxend
from tests.support.lone_node import UNASSIGNED, LoneNode
from tests.support.oxend import FakeOxend, ipc, stranger
from tests.support.oxend import state as state_of
from tests.support.status import status
from tests.support.waiting import await_that

THEIRS = 3
ADMIN = os.urandom(32)


@pytest.fixture
def reserved() -> Iterator[list[int]]:
    with ports.reserve(6) as held:
        yield held


@pytest.fixture
def oxend(tmp_path: Path) -> FakeOxend:
    """Not running yet."""
    return FakeOxend(ipc(tmp_path), keys.generate())


@pytest.fixture
def node(tmp_path: Path, oxend: FakeOxend, reserved: list[int]) -> Iterator[BesideOxend]:
    """Not started yet."""
    made = BesideOxend(tmp_path, oxend, reserved[0], reserved[1])
    try:
        yield made
    finally:
        if made.running:
            assert made.stop() == 0, made.log.read_text()


def user_of(swarm: int) -> wire.User:
    """Somebody whose messages belong there, when there are both swarms."""
    while _native.swarm_of((user := wire.User()).account_id, [THEIRS, OURS]) != swarm:
        pass
    return user


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_keys_and_list_are_the_daemons_and_it_is_pinged(
    oxend: FakeOxend, node: BesideOxend, reserved: list[int], transport: str
) -> None:
    if transport == "tcp":
        oxend.address = f"tcp://127.0.0.1:{reserved[2]}"
    oxend.states = [state_of(node.entry), stranger(swarm_id=THEIRS), stranger(funded=False)]
    with oxend:
        node.start()
        await_that("the node serves", node.serves)
        _, told = oxend.wait_for("admin.storage_server_ping")
        assert told == {
            "version": list(_native.PROTOCOL_VERSION),
            "pubkey_ed25519": node.entry["pubkey_ed25519"],
            "https_port": node.entry["https_port"],
            "omq_port": node.entry["omq_port"],
        }
        _, asked = oxend.wait_for("rpc.get_service_nodes")
        assert asked["active_only"] is False and "poll_block_hash" not in asked
        assert {"funded", "swarm_id", "storage_server_version"} <= set(asked["fields"])
        oxend.wait_for("rpc.get_service_nodes", lambda asked: asked.get("poll_block_hash") == oxend.block_hash.hex())

        ping = wire.post(f"https://127.0.0.1:{node.entry['https_port']}/ping_test/v1", b"")
        assert oxend.keys is not None
        assert bytes.fromhex(node.entry["pubkey_legacy"]) == oxend.keys.legacy_public
        assert ping.status == 200 and len(ping.headers["x-oxen-snode-pubkey"]) >= 43
        swarm = node.ask("get_swarm", {"pubkey": user_of(OURS).account_id}).json()
        assert swarm["swarm"] == f"{OURS:x}"
        assert [snode["pubkey_ed25519"] for snode in swarm["snodes"]] == [node.entry["pubkey_ed25519"]]
        assert swarm["hf"] == [19, 4]
        assert not any((node.directory / "data" / name).exists() for name in (keys.ED25519_FILE, keys.LEGACY_FILE))
        secrets = (oxend.keys.ed25519_secret.hex()[:64], oxend.keys.legacy_secret.hex())
        assert not any(secret in node.log.read_text() for secret in secrets)


def test_a_block_brings_another_list(oxend: FakeOxend, node: BesideOxend) -> None:
    other = stranger(swarm_id=THEIRS)
    oxend.states = [state_of(node.entry), other]
    ours, theirs = user_of(OURS), user_of(THEIRS)
    with oxend:
        node.start()
        await_that("the node serves", node.serves)
        assert node.ask("store", wire.store_params(ours.account_id, b"x")).status == 200
        assert node.ask("store", wire.store_params(theirs.account_id, b"x")).status == 421
        oxend.wait_for_subscriber()

        oxend.block(state_of(node.entry, swarm_id=THEIRS), {**other, "swarm_id": OURS})
        await_that(
            "the swarms change", lambda: node.ask("store", wire.store_params(ours.account_id, b"x")).status == 421
        )
        assert node.ask("store", wire.store_params(theirs.account_id, b"x")).status == 200

        # Decommissioned, and a list without anybody is not believed.
        oxend.block(state_of(node.entry, swarm_id=UNASSIGNED), other)
        not_ours = "503 Service node is not ready: not in any swarm\n"
        await_that("the node is in no swarm", lambda: node.refusal() == not_ours)
        oxend.block(state_of(node.entry), other)
        await_that("the node is back", node.serves)
        seen = len(oxend.calls)
        oxend.block()
        oxend.wait_for("rpc.get_service_nodes", since=seen)
        await_that("that is told", lambda: bool(node.logged("the daemon knows no nodes any more")))
        assert node.ask("store", wire.store_params(ours.account_id, b"x")).status == 200


def test_the_daemon_may_come_late_and_go(oxend: FakeOxend, node: BesideOxend) -> None:
    oxend.states = [state_of(node.entry)]
    node.start()
    with oxend:
        await_that("the node serves", node.serves)
        oxend.wait_for_subscriber()
    user = wire.User()
    assert node.ask("store", wire.store_params(user.account_id, b"x")).status == 200
    asked = len(oxend.calls)

    oxend.states = [state_of(node.entry, swarm_id=UNASSIGNED)]
    oxend.block_hash = os.urandom(32)
    with oxend:
        oxend.wait_for("sub.block", since=asked)
        await_that("the new list is in force", lambda: "not in any swarm" in node.refusal())
        oxend.wait_for_subscriber()
        oxend.block(state_of(node.entry))
        await_that("blocks are told of again", node.serves)
        assert [message["data"] for message in wire.retrieve(node.entry, user)] == ["eA=="]


def test_the_service_manager_is_told_how_it_is(oxend: FakeOxend, node: BesideOxend, tmp_path: Path) -> None:
    oxend.states = [state_of(node.entry)]
    oxend.answers["rpc.get_service_nodes"] = [b"500", b"loading"]
    conf = tmp_path / "storage.conf"
    conf.write_text(f'# ours\nip=127.0.0.1\nport={node.entry["https_port"]}\nlog-level = "warning"\n')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify.sock"))
        manager.settimeout(30)

        def told(*words: str) -> None:
            for _ in range(20):
                text = manager.recv(4096).decode()
                if all(word in text for word in words):
                    return
                assert "READY=1" not in text
            pytest.fail(f"{words} are not told")

        node.start("--config-file", str(conf), positional=[], NOTIFY_SOCKET=str(tmp_path / "notify.sock"))
        told("EXTEND_TIMEOUT_USEC=", "STATUS=waiting for the daemon")
        with oxend:
            told("EXTEND_TIMEOUT_USEC=", "STATUS=waiting for the network")
            del oxend.answers["rpc.get_service_nodes"]
            told("READY=1", "STATUS=serving")
            told("WATCHDOG=1")
            assert node.serves()
            seen = len(oxend.calls)
        with oxend:
            oxend.wait_for("admin.storage_server_ping", since=seen)  # at once, for the daemon to send its proof


class Manager:
    """The service manager's end of a node's notifications."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.settimeout(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def await_status(self, words: str) -> None:
        """The line that `systemctl status` shows has these words."""
        while not any(line.startswith("STATUS=") and words in line for line in self._told()):
            pass

    def _told(self) -> list[str]:
        return self._socket.recv(4096).decode().splitlines()


def failing(node: BesideOxend, words: str) -> Callable[[], bool]:
    """Whether `allium status` fails for a reason with these words."""

    def holds() -> bool:
        code, told = status(node.directory / "data")
        return code == 1 and any(
            words in problem["what"] for problem in told["problems"] if problem["level"] == "failed"
        )

    return holds


def test_pings_that_the_daemon_refuses_are_told_of(oxend: FakeOxend, node: BesideOxend, tmp_path: Path) -> None:
    oxend.states = [state_of(node.entry)]
    oxend.answers["admin.storage_server_ping"] = [b"400", b"your version is too old"]
    with oxend, Manager(tmp_path / "notify.sock") as manager:
        node.start(NOTIFY_SOCKET=manager.address)
        await_that("status fails", failing(node, "take this node's pings"))
        manager.await_status("your version is too old")
        assert node.logged("is not well")[0]["what"].endswith("your version is too old")
        del oxend.answers["admin.storage_server_ping"]
    with oxend:  # a new connection, so that it pings at once
        await_that("all is well", lambda: not failing(node, "pings")())


def test_a_daemon_that_comes_back_with_other_keys_is_told_of(
    oxend: FakeOxend, node: BesideOxend, tmp_path: Path
) -> None:
    oxend.states = [state_of(node.entry)]
    with Manager(tmp_path / "notify.sock") as manager:
        with oxend:
            node.start(NOTIFY_SOCKET=manager.address)
            await_that("the node serves", node.serves)
        other = FakeOxend(oxend.address, keys.generate())
        other.states = [stranger(swarm_id=OURS)]
        with other:
            await_that("status fails", failing(node, "other keys than this node"))
            # What follows from that is not given as a reason.
            await_that("the other list is in force", lambda: "not in any swarm" in node.refusal())
            assert not failing(node, "requests are refused")()
            manager.await_status("restart the node to take the daemon's keys")


def test_an_entry_without_keys_is_told_of(oxend: FakeOxend, node: BesideOxend) -> None:
    bare = state_of(node.entry, pubkey_ed25519="", pubkey_x25519="")
    oxend.states = [bare, stranger(swarm_id=OURS)]
    with oxend:
        node.start()
        await_that("status fails", failing(node, "the network has this node without its keys"))
        assert not failing(node, "requests are refused")()
        oxend.wait_for_subscriber()
        oxend.block(state_of(node.entry))
        await_that("the node serves", node.serves)
        await_that("all is well", lambda: not failing(node, "without its keys")())


def test_a_node_without_a_daemon_can_be_stopped(oxend: FakeOxend, node: BesideOxend) -> None:
    refusing = FakeOxend(oxend.address)  # it is no service node
    with refusing:
        node.start()
        refusing.wait_for("admin.get_service_node_privkey")
        await_that("the refusal is told", lambda: bool(node.logged("the daemon gave no keys")))
        assert "service node" in node.logged("the daemon gave no keys")[0]["reason"]
        assert node.stop() == 0


def test_a_daemon_that_syncs_is_told_by_the_seeds(oxend: FakeOxend, node: BesideOxend, reserved: list[int]) -> None:
    secret = os.urandom(32)
    address = f"127.0.0.1:{reserved[3]}"
    friend = stranger(swarm_id=OURS)
    nowhere = {"public_ip": "0.0.0.0", "storage_port": 0, "storage_lmq_port": 0}
    oxend.states = [state_of(node.entry), {**friend, **nowhere}]
    oxend.answers["rpc.get_service_nodes"] = [b"500", b"loading the chain"]
    seed = FakeOxend(f"tcp://{address}", x25519=secret)
    seed.states, seed.height = [state_of(node.entry), friend], oxend.height + 10
    dead = f"127.0.0.1:{reserved[4]}/{os.urandom(32).hex()}"
    seeds = [f"{address}/{bindings.crypto_scalarmult_base(secret).hex()}", dead]
    with oxend, seed:
        node.start(ALLIUM_BOOTSTRAP_SEEDS=json.dumps(seeds))
        nothing = "not yet on hardfork 19.3; not in any swarm; not done syncing"
        await_that("the node waits", lambda: node.refusal() == f"503 Service node is not ready: {nothing}\n")
        assert not seed.calls
        del oxend.answers["rpc.get_service_nodes"]
        seed.wait_for("rpc.get_service_nodes")
        behind = "503 Service node is not ready: not in any swarm; not done syncing\n"
        await_that("the node knows that it is behind", lambda: node.refusal() == behind)
        oxend.wait_for_subscriber()
        oxend.block(*oxend.states, height=seed.height - 1)
        await_that("it sees the next height", lambda: len(node.logged("the daemon is syncing")) >= 2)
        assert node.refusal() == behind
        oxend.block(*oxend.states, height=seed.height)
        await_that("it is not behind any more", node.serves)
        [there] = [
            snode
            for snode in node.ask("get_swarm", {"pubkey": wire.User().account_id}).json()["snodes"]
            if snode["pubkey_ed25519"] == friend["pubkey_ed25519"]
        ]
        assert (there["ip"], there["port_omq"]) == ("127.0.0.1", 1), there


def test_addresses_are_told_by_newer_daemons(oxend: FakeOxend, node: BesideOxend) -> None:
    friend = stranger(swarm_id=OURS)
    oxend.modern = True
    oxend.states = [state_of(node.entry), friend]

    def address() -> tuple[str, int, int]:
        snodes = node.ask("get_swarm", {"pubkey": wire.User().account_id}).json()["snodes"]
        [there] = [snode for snode in snodes if snode["pubkey_ed25519"] == friend["pubkey_ed25519"]]
        return there["ip"], int(there["port_https"]), there["port_omq"]

    with oxend:
        node.start()
        await_that("the node serves", node.serves)
        assert address() == ("127.0.0.1", 1, 1)
        oxend.wait_for_subscriber("sub.snode_addr")
        proof = {"K": bytes.fromhex(friend["service_node_pubkey"]), "Kx": bytes(32)}
        for nonsense in (b"", b"i1e", b"d" * 5000, bencode2.bencode({**proof, "ip": "x", "sh": 1, "sq": -1, "vs": []})):
            oxend.tell_address(nonsense)
        oxend.tell_address(bencode2.bencode({**proof, "ip": "127.0.0.9", "sh": 77, "sq": 78, "vs": [2, 9, 1]}))
        await_that("the address is taken", lambda: address() == ("127.0.0.9", 77, 78))


def test_questions_to_the_daemon_are_passed_on(oxend: FakeOxend, node: BesideOxend) -> None:
    oxend.states = [state_of(node.entry)]

    def ask(endpoint: str, **params: Any) -> wire.HttpReply:
        return node.ask("oxend_request", {"endpoint": endpoint, "params": params})

    with oxend:
        node.start()
        await_that("the node serves", node.serves)
        seen = len(oxend.calls)
        params = {"fields": ["service_node_pubkey"], "limit": 2}
        result = ask("get_service_nodes", **params).json()["result"]
        assert result["service_node_states"] == [{"service_node_pubkey": node.entry["pubkey_legacy"]}]
        assert result["height"] == oxend.height
        oxend.wait_for("rpc.get_service_nodes", lambda passed: passed == params, since=seen)
        name = ask("ons_resolve", type=0, name_hash="ab")
        assert name.status == 200 and name.json()["result"] == {"encrypted_value": "ab" * 16, "nonce": "cd" * 12}
        assert {"t", "hf"} <= set(name.json())
        refused = ask("ons_resolve", type=7)
        assert (refused.status, refused.body) == (400, b"no such type")
        oxend.answers["rpc.ons_resolve"] = [b"200", b"{"]
        assert (ask("ons_resolve").status, ask("ons_resolve").body) == (502, b"oxend returned unparsable data")
        oxend.answers["rpc.ons_resolve"] = [b"nothing"]
        assert (ask("ons_resolve").status, ask("ons_resolve").body) == (400, b"Unknown oxend error")
        forbidden = ask("get_service_node_privkey")
        assert forbidden.status == 400 and b"Invalid oxend endpoint" in forbidden.body
    gone = ask("get_service_nodes")
    assert (gone.status, gone.body) == (400, b"Unknown oxend error")
    with oxend:
        await_that("it is passed on again", lambda: ask("ons_resolve", type=0).status == 400)
        del oxend.answers["rpc.ons_resolve"]
        assert ask("ons_resolve", type=0).status == 200


def test_who_is_reached_is_reported(oxend: FakeOxend, node: BesideOxend, reserved: list[int], tmp_path: Path) -> None:
    with ExitStack() as stack:
        other = LoneNode(tmp_path / "other", reserved[2], reserved[3])
        stack.callback(other.engine.shutdown)
        other.entry["swarm_id"] = THEIRS
        other.sees(other.entry, node.entry)
        dead, nowhere = stranger(swarm_id=OURS), stranger(swarm_id=OURS, public_ip="0.0.0.0")
        oxend.states = [state_of(node.entry), state_of(other.entry), dead, nowhere]
        stack.enter_context(oxend)
        admin = bindings.crypto_scalarmult_base(ADMIN).hex()
        node.start("--stats-access-key", admin, ALLIUM_REACHABILITY_SECONDS="0.3")

        def told(legacy: str, passed: bool) -> dict[str, Any]:
            return {"type": "storage", "pubkey": legacy, "passed": passed}

        for expected in (told(other.entry["pubkey_legacy"], True), told(dead["service_node_pubkey"], False)):
            oxend.wait_for("admin.report_peer_status", expected.__eq__)
        assert all(other.engine.pinged().values()), other.engine.pinged()

        async def stats() -> dict[str, Any]:
            async with OmqClient(Node.parse(node.entry), ADMIN) as client:
                [answer] = await client.request("service.get_stats")
            peers: dict[str, Any] = json.loads(answer)["peers"]
            return peers

        peers = asyncio.run(stats())
        reached = peers[other.entry["pubkey_legacy"]]["reachability"]
        assert reached.pop("timestamp") > 1e9
        assert reached == {"passed": True, "https": True, "omq": True, "quic": True}
        failed = peers[dead["service_node_pubkey"]]
        assert failed["reachability"]["passed"] is False
        assert failed["requests_failed"] == failed["pushes_failed"] and failed["storage_tests"] == []

        # It goes, and comes back.
        seen = len(oxend.calls)
        other.engine.shutdown()
        oxend.wait_for("admin.report_peer_status", told(other.entry["pubkey_legacy"], False).__eq__, since=seen)
        again = LoneNode(tmp_path / "other", reserved[2], reserved[3], keys=other.keys)
        stack.callback(again.engine.shutdown)
        again.sees(other.entry, node.entry)
        seen = len(oxend.calls)
        oxend.wait_for("admin.report_peer_status", told(other.entry["pubkey_legacy"], True).__eq__, since=seen)

        # Nobody tests us, and the operator is told.
        silence = "nobody has tested whether this node is reachable"
        await_that(
            "silence is told of",
            lambda: {line["transport"] for line in node.logged(silence)} == {"https", "omq", "quic"},
        )
        reports = [params for command, params in oxend.calls if command == "admin.report_peer_status"]
        known = {other.entry["pubkey_legacy"], dead["service_node_pubkey"]}
        assert {report["pubkey"] for report in reports} == known
