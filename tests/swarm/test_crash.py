"""One node's disk: killed at random points under load, full, or torn, it loses nothing that it has acknowledged, brings
nothing back that was deleted, and says what is wrong.

`ALLIUM_CRASH_KILLS` makes a run longer; `ALLIUM_CRASH_SEED` repeats its choices, though not their timing.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import random
import resource
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from allium import _native
from allium.devnet import ports
from allium.settings import config, keys
from tests.support import wire
from tests.support.lone_node import entry
from tests.support.waiting import await_that

KILLS = int(os.environ.get("ALLIUM_CRASH_KILLS", "10"))
SEED = int(os.environ.get("ALLIUM_CRASH_SEED", str(random.SystemRandom().getrandbits(32))))
WRITERS = 4
#: Milliseconds: what may have gone by itself is not looked for.
MARGIN = 2_000
DAY = 86_400_000


class Process:
    """`allium node run` in a directory of its own, alone in its network."""

    def __init__(self, directory: Path, https_port: int, omq_port: int, **settings: Any) -> None:
        self.directory = directory
        node_keys = keys.create(directory)
        self.entry = entry(node_keys, https_port, omq_port)
        (directory / "network.json").write_text(json.dumps({"nodes": [self.entry]}))
        ports_of: dict[str, Any] = {"bind_ip": "127.0.0.1", "https_port": https_port, "omq_port": omq_port}
        text = config.commented_toml(
            data_dir=".", network_file="network.json", rate_limit_exempt=["127.0.0.0/8"], **ports_of, **settings
        )
        (directory / "config.toml").write_text(text)
        self._told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._told.bind(str(directory / "notify"))
        self._log = (directory / "node.log").open("ab")
        self.process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> None:
        command = [sys.executable, "-m", "allium", "node", "run", "--config", str(self.directory / "config.toml")]
        environment = {**os.environ, "NOTIFY_SOCKET": str(self.directory / "notify")}
        self.process = subprocess.Popen(command, env=environment, stdout=self._log, stderr=self._log)

    def start(self) -> None:
        """Returns when the node serves."""
        self._told.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while self._told.recv(4096):
                pass
        self.spawn()
        self._told.settimeout(60)
        while b"READY=1" not in self._told.recv(4096):
            pass

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self._told.close()
        self._log.close()

    def log(self) -> str:
        return (self.directory / "node.log").read_text()

    def disagreements(self) -> list[str]:
        """What `allium store verify` finds."""
        return _native.store_verify(str(self.directory))["problems"]


@pytest.fixture
def ports_of_one() -> Iterator[tuple[int, int]]:
    with ports.reserve(2) as (https_port, omq_port):
        yield https_port, omq_port


@dataclass
class Model:
    """What a client knows of its messages."""

    user: wire.User
    #: Acknowledged and not deleted, with every expiry that was ever asked for.
    stored: dict[str, set[int]] = field(default_factory=dict)
    #: Acknowledged as deleted.
    deleted: set[str] = field(default_factory=set)


class Writer(threading.Thread):
    """Stores, deletes and changes expiries over one connection, until the node is gone."""

    def __init__(self, node: dict[str, Any], model: Model, chance: random.Random) -> None:
        super().__init__()
        self._model, self._chance, self.done = model, chance, Counter[str]()
        self._connection = http.client.HTTPSConnection(
            node["ip"], node["https_port"], timeout=20, context=wire.UNVERIFIED
        )

    def run(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                chosen = self._chance.random()
                if chosen < 0.6 or not self._model.stored:
                    self._store()
                elif chosen < 0.8:
                    self._delete()
                else:
                    self._expire()
        self._connection.close()

    def _ask(self, method: str, params: dict[str, Any]) -> Any:
        """The answer; raises when there is none, in which case it is not known what came of it."""
        self._connection.request("POST", "/storage_rpc/v1", wire.rpc_body(method, params))
        reply = self._connection.getresponse()
        body = reply.read()
        assert reply.status == 200, body
        self.done[method] += 1
        return json.loads(body)

    def _store(self) -> None:
        data = self._chance.randbytes(self._chance.choice([10, 1000, 1000, 3000, 50_000]))
        ttl = self._chance.choice([10_000, DAY, 14 * DAY])
        params = wire.store_params(self._model.user.account_id, data, ttl)
        answer = self._ask("store", params)
        self._model.stored[answer["hash"]] = {params["timestamp"] + ttl}

    def _delete(self) -> None:
        name = self._chance.choice(sorted(self._model.stored))
        # Gone from what has to be there before it is known whether it happened.
        del self._model.stored[name]
        self._ask("delete", {**self._model.user.auth(f"delete{name}"), "messages": [name]})
        self._model.deleted.add(name)

    def _expire(self) -> None:
        name = self._chance.choice(sorted(self._model.stored))
        expiry = wire.now_ms() + self._chance.choice([5_000, DAY // 2, 20 * DAY])
        self._model.stored[name].add(expiry)
        params = {**self._model.user.auth(f"expire{expiry}{name}"), "messages": [name], "expiry": expiry}
        self._ask("expire", params)


def missing(node: dict[str, Any], models: list[Model]) -> list[str]:
    """What is not as it was acknowledged, in words."""
    wrong = []
    for model in models:
        found = {message["hash"]: message["expiration"] for message in wire.retrieve(node, model.user)}
        now = wire.now_ms()
        # What may have gone by itself by now may be there or not.
        model.stored = {name: asked for name, asked in model.stored.items() if min(asked) > now + MARGIN}
        wrong += [f"{name} is lost" for name in model.stored.keys() - found.keys()]
        wrong += [f"{name} is back" for name in model.deleted & found.keys()]
        for name in model.stored.keys() & found.keys():
            if found[name] not in model.stored[name]:
                wrong.append(f"{name} goes at {found[name]}, asked for was {model.stored[name]}")
    return wrong


# A connection that breaks in the middle of a handshake leaves its socket to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_killed_node_has_all_it_acknowledged(tmp_path: Path, ports_of_one: tuple[int, int]) -> None:
    print(f"ALLIUM_CRASH_SEED={SEED}")
    chance = random.Random(SEED)
    node = Process(tmp_path / "node", *ports_of_one)
    models = [Model(wire.User()) for _ in range(WRITERS)]
    done = Counter[str]()
    try:
        for number in range(KILLS):
            if chance.random() < 0.2:
                # In the middle of its start.
                node.spawn()
                assert node.process is not None
                with contextlib.suppress(subprocess.TimeoutExpired):
                    node.process.wait(chance.uniform(0, 1))
                node.kill()
            node.start()
            writers = [Writer(node.entry, model, random.Random(chance.getrandbits(64))) for model in models]
            for writer in writers:
                writer.start()
            assert node.process is not None
            with contextlib.suppress(subprocess.TimeoutExpired):
                node.process.wait(chance.uniform(0.02, 1))
            node.kill()
            for writer in writers:
                writer.join()
                done += writer.done
            assert node.disagreements() == [], f"seed {SEED}, kill {number}"
            node.start()
            assert missing(node.entry, models) == [], f"seed {SEED}, kill {number}"
            node.kill()
        print(f"{KILLS} kills, requests carried out: {dict(done)}")
        assert min(done["store"], done["delete"], done["expire"]) > 0, done
    finally:
        node.close()


def store(node: Process, user: wire.User, data: bytes) -> wire.HttpReply:
    return wire.rpc(node.entry, "store", wire.store_params(user.account_id, data))


def fill(node: Process, user: wire.User) -> tuple[set[str], wire.HttpReply]:
    """Stores until it is refused: what was acknowledged, and the refusal."""
    stored: set[str] = set()
    for _ in range(2_000):
        reply = store(node, user, os.urandom(30_000))
        if reply.status != 200:
            return stored, reply
        stored.add(reply.json()["hash"])
    raise AssertionError("it was never full")


def held(node: Process, user: wire.User) -> set[str]:
    return {message["hash"] for message in wire.retrieve(node.entry, user)}


def refusal(reply: wire.HttpReply) -> dict[str, Any]:
    """The node's own entry in the answer to a store that failed."""
    (own,) = reply.json()["swarm"].values()
    assert own["failed"] and own["query_failure"], own
    return dict(own)


def test_a_full_disk_is_told_and_passes(tmp_path: Path, ports_of_one: tuple[int, int]) -> None:
    node, user = Process(tmp_path / "node", *ports_of_one), wire.User()
    try:
        node.start()
        assert node.process is not None
        first = store(node, user, b"first").json()["hash"]
        # The system refuses to write behind this: in the middle of a page, and of a transaction.
        unlimited = resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (4_000_123, unlimited[1]))
        stored, reply = fill(node, user)
        # A stranger hears nothing of the disk.
        assert refusal(reply)["reason"] == "the store does not work"
        assert held(node, user) == stored | {first}
        # What fits is still carried out.
        signed = {**user.auth(f"delete{first}"), "messages": [first]}
        assert wire.rpc(node.entry, "delete", signed).status == 200
        assert held(node, user) == stored
        node.kill()
        assert node.disagreements() == []
        node.start()
        assert held(node, user) == stored
        assert node.process is not None
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (4_000_123, unlimited[1]))
        more, _ = fill(node, user)
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, unlimited)
        # Room has come back, and the node goes on as it is.
        after = store(node, user, os.urandom(30_000))
        assert after.status == 200
        assert held(node, user) == stored | more | {after.json()["hash"]}
        node.kill()
        assert node.disagreements() == []
    finally:
        node.close()


def test_a_full_store_is_told_and_has_room_again(tmp_path: Path, ports_of_one: tuple[int, int]) -> None:
    node, user = Process(tmp_path / "node", *ports_of_one, max_store_bytes=1 << 20), wire.User()
    try:
        node.start()
        stored, reply = fill(node, user)
        assert "the store is full" in refusal(reply)["reason"]
        name = min(stored)
        signed: dict[str, Any] = {**user.auth(f"delete{name}"), "messages": [name]}
        assert wire.rpc(node.entry, "delete", signed).status == 200
        assert store(node, user, os.urandom(30_000)).status == 200
        assert store(node, user, os.urandom(30_000)).status != 200
        # What expires makes room too.
        name = min(stored - {name})
        expiry = wire.now_ms()
        signed = {**user.auth(f"expire{expiry}{name}"), "messages": [name], "expiry": expiry}
        assert wire.rpc(node.entry, "expire", signed).status == 200
        await_that("room comes back", lambda: store(node, user, os.urandom(30_000)).status == 200)
    finally:
        node.close()


@pytest.mark.parametrize("how", ["half", "head", "garbage"])
def test_a_torn_file_is_refused(how: str, tmp_path: Path, ports_of_one: tuple[int, int]) -> None:
    node, user = Process(tmp_path / "node", *ports_of_one), wire.User()
    try:
        node.start()
        for _ in range(20):
            assert store(node, user, os.urandom(5_000)).status == 200
        node.kill()
        file = node.directory / "data.mdb"
        whole = file.read_bytes()
        torn = {"half": whole[: len(whole) // 2], "head": whole[:5_000], "garbage": b"\x5a" * 8192 + whole[8192:]}
        file.write_bytes(torn[how])
        node.spawn()
        assert node.process is not None
        assert node.process.wait(60) != 0
        assert "damaged" in node.log() and "move it away and start empty" in node.log()
        # It was not made worse, and what it says to do works.
        file.rename(file.with_suffix(".away"))
        node.start()
        assert store(node, user, b"again").status == 200
    finally:
        node.close()


def test_async_survives_a_kill(tmp_path: Path, ports_of_one: tuple[int, int]) -> None:
    """What was acknowledged before the system wrote it is there after a crash of the process."""
    node, user = Process(tmp_path / "node", *ports_of_one, durability="async"), wire.User()
    try:
        node.start()
        stored = {store(node, user, base64.b16encode(os.urandom(500))).json()["hash"] for _ in range(50)}
        node.kill()
        assert node.disagreements() == []
        node.start()
        assert held(node, user) == stored
    finally:
        node.close()
