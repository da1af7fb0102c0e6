"""A swarm in which nodes of ours, each beside a daemon, live with nodes of the reference."""

from __future__ import annotations

import base64
import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from allium.devnet import ports
from allium.settings import keys
from tests.support import wire
from tests.support.beside_oxend import OURS, BesideOxend
from tests.support.oxend import FakeOxend, ipc
from tests.support.oxend import state as state_of
from tests.support.reference_node import OLD, ReferenceNode
from tests.support.reference_store import verifies
from tests.support.waiting import await_each, await_that

Entry = dict[str, Any]
SEED = int(os.environ.get("ALLIUM_MIXED_SEED", str(random.SystemRandom().getrandbits(32))))
#: For how long the long tests go on.
SECONDS = float(os.environ.get("ALLIUM_MIXED_SECONDS", "20"))
HARDFORK = (19, 3)


class OurNode(BesideOxend):
    """A node process of ours, and its own daemon."""

    def __init__(self, directory: Path, https_port: int, omq_port: int, reachability_seconds: float) -> None:
        directory.mkdir()
        daemon = FakeOxend(ipc(directory), keys.generate())
        daemon.hardfork = HARDFORK
        super().__init__(directory, daemon, https_port, omq_port)
        self._environment: dict[str, Any] = {
            "ALLIUM_RATE_LIMIT_EXEMPT": '["127.0.0.0/8"]',
            "ALLIUM_METRICS_PORT": "",
            "ALLIUM_REACHABILITY_SECONDS": str(reachability_seconds),
        }

    def begin(self) -> None:
        self.start(**self._environment)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @property
    def key(self) -> str:
        key: str = self.entry["pubkey_ed25519"]
        return key

    def reports(self) -> list[dict[str, Any]]:
        """Whom it has told its daemon of."""
        return [params for command, params in list(self.daemon.calls) if command == "admin.report_peer_status"]


class MixedSwarm:
    """One swarm of nodes of both kinds. What is so or so in the reference's nodes goes by the seed."""

    def __init__(self, directory: Path, reachability_seconds: float = 1.0) -> None:
        self.chance = random.Random(SEED)
        self.ours: list[OurNode] = []
        self.theirs: list[ReferenceNode] = []
        self._directory, self._reachability_seconds = directory, reachability_seconds
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        print(f"ALLIUM_MIXED_SEED={SEED}")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add_ours(self) -> OurNode:
        """Starts one; the others hear of it with the next block."""
        https_port, omq_port = self._stack.enter_context(ports.reserve(2))
        node = OurNode(self._directory / str(omq_port), https_port, omq_port, self._reachability_seconds)
        node.daemon.states = [state_of(node.entry)]
        self._stack.enter_context(node.daemon)
        self._stack.callback(lambda: node.stop() if node.running else None)
        node.begin()
        self.ours.append(node)
        return node

    def add_theirs(self, version: tuple[int, int, int] = OLD) -> ReferenceNode:
        https_port, omq_port = self._stack.enter_context(ports.reserve(2))
        chance = random.Random(self.chance.random())
        node = ReferenceNode(self._directory, https_port, omq_port, OURS, chance, version)
        node.start()
        self._stack.callback(node.stop)
        self.theirs.append(node)
        return node

    def entries(self) -> list[Entry]:
        return [*(node.entry for node in self.ours), *(node.entry for node in self.theirs)]

    def keys(self) -> set[str]:
        return {entry["pubkey_ed25519"] for entry in self.entries()}

    def block(self) -> None:
        """Tells everybody who is in the network now, and waits until our nodes act on it."""
        entries = self.entries()
        states = [state_of(entry, storage_server_version=entry.get("version", [2, 8, 0])) for entry in entries]
        for node in self.ours:
            if node.running:
                await_that("the node serves", node.serves)
                node.daemon.wait_for_subscriber()
            node.daemon.block(*states)
        running = [node.entry for node in self.ours if node.running]
        await_each("the list is in force", running, lambda entry: members_at(entry) == self.keys())
        for reference in self.theirs:
            reference.sees(*entries, hardfork=HARDFORK)

    def holders(self, user: wire.User, namespaces: list[int], name: str) -> set[str]:
        """Keys of the nodes that hold a message."""
        ours = {node.key for node in self.ours if name in hashes_at(node.entry, user, namespaces)}
        return ours | {node.key for node in self.theirs if name in node.holds(user.account_id)}

    def trace(self) -> str:
        """What the nodes have to say of the last seconds."""
        lines = [line for node in self.theirs for line in node.trace(10)]
        logs = [f"{node.key[:8]}: {node.log.read_text()[-4000:]}" for node in self.ours]
        return "\n".join([f"now {time.time()}", *lines, *logs])

    def check(self) -> None:
        """Nobody has sent a reference's node an error, and none of them failed itself."""
        for node in self.theirs:
            assert node.errors == [], f"seed {SEED}"
            assert node.faults == [], f"seed {SEED}"


def members_at(node: Entry) -> set[str]:
    reply = wire.rpc(node, "get_swarm", {"pubkey": "05" + "00" * 32})
    return {snode["pubkey_ed25519"] for snode in reply.json()["snodes"]} if reply.status == 200 else set()


def hashes_at(node: Entry, user: wire.User, namespaces: list[int]) -> list[str]:
    """In order."""
    return [message["hash"] for namespace in namespaces for message in wire.retrieve(node, user, namespace)]


def ask(node: Entry, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """What a node answers a client, which is no refusal."""
    reply = wire.rpc(node, method, params)
    assert reply.status == 200, (SEED, reply)
    answer: dict[str, Any] = reply.json()
    return answer


def store_params(user: wire.User, data: bytes, namespace: int = 0) -> dict[str, Any]:
    params = {**wire.store_params(user.account_id, data), "namespace": namespace}
    return {**params, **user.auth(f"store{namespace or ''}{params['timestamp']}")}


def store(node: Entry, user: wire.User, data: bytes, namespace: int = 0) -> dict[str, Any]:
    return ask(node, "store", store_params(user, data, namespace))


def confirmed(swarm: MixedSwarm, answer: dict[str, Any], text: str | bytes | None = None) -> dict[str, Any]:
    """Requires that every member has done it and signed `text`, or the hash; the result of any."""
    results: dict[str, dict[str, Any]] = answer["swarm"]
    assert results.keys() == swarm.keys(), f"seed {SEED}: {results}"
    for key, result in results.items():
        assert "failed" not in result, f"seed {SEED}: {results}\n{swarm.trace()}"
        signed = result["hash"] if text is None else text
        signed = signed.encode() if isinstance(signed, str) else signed
        assert verifies(bytes.fromhex(key), signed, base64.b64decode(result["signature"])), (SEED, result)
    return result


@contextlib.contextmanager
def mixed(directory: Path, ours: int, theirs: int, reachability_seconds: float = 1.0) -> Iterator[MixedSwarm]:
    """A swarm of so many of each, which serves."""
    with MixedSwarm(directory, reachability_seconds) as swarm:
        for _ in range(ours):
            swarm.add_ours()
        for _ in range(theirs):
            swarm.add_theirs()
        swarm.block()
        yield swarm


@contextlib.contextmanager
def outage(node: OurNode | ReferenceNode, seconds: float) -> Iterator[threading.Event]:
    """The node is gone for `seconds`, which an event tells the end of, then back with its keys, ports and messages."""
    over = threading.Event()
    node.kill() if isinstance(node, OurNode) else node.stop()
    timer = threading.Timer(seconds, over.set)
    timer.start()
    try:
        yield over
        over.wait()
    finally:
        timer.cancel()
        if isinstance(node, OurNode):
            node.begin()
            await_that("the node serves", node.serves)
        else:
            node.start()
