"""A swarm under faults: whatever any member acknowledged, every member has in the end, and nothing deleted is back.

`ALLIUM_CHAOS_SEED` repeats a run; `ALLIUM_CHAOS_SECONDS` makes it longer.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

import wire
from conftest import Devnet
from test_redelivery import await_that

SECONDS = float(os.environ.get("ALLIUM_CHAOS_SECONDS", "15"))
SEED = int(os.environ.get("ALLIUM_CHAOS_SEED", str(random.SystemRandom().getrandbits(32))))
WRITERS = 4
#: More members than this are never down at once.
MOST_DOWN = 3


@dataclass
class Model:
    """What a client of the swarm knows of its messages."""

    user: wire.User
    #: Acknowledged and not deleted.
    stored: set[str] = field(default_factory=set)
    #: Acknowledged as deleted.
    deleted: set[str] = field(default_factory=set)
    #: A request failed, so it may or may not have been carried out.
    perhaps_deleted: set[str] = field(default_factory=set)
    counter: int = 0


class Writer(threading.Thread):
    """Stores and deletes messages of one account through whichever member answers."""

    def __init__(self, devnet: Devnet, members: list[dict[str, Any]], seed: int, stop: threading.Event) -> None:
        super().__init__()
        self.model = Model(wire.User())
        self.users = [self.model]
        self._devnet, self._members, self._random, self._stop_event = devnet, members, random.Random(seed), stop
        self.failures: Counter[str] = Counter()

    def run(self) -> None:
        while not self._stop_event.is_set():
            try:
                if self._random.random() < 0.75 or not self.model.stored:
                    self._store()
                else:
                    self._delete()
            except (OSError, HTTPException) as error:
                self.failures[type(error).__name__] += 1

    def _member(self) -> dict[str, Any]:
        return self._random.choice(self._members)

    def _store(self) -> None:
        self.model.counter += 1
        params = wire.store_params(self.model.user.account_id, b"%d" % self.model.counter)
        reply = wire.rpc(self._member(), "store", params, timeout=3)
        if reply.status == 200:
            self.model.stored.add(reply.json()["hash"])

    def _delete(self) -> None:
        name = self._random.choice(sorted(self.model.stored))
        self.model.stored.remove(name)
        self.model.perhaps_deleted.add(name)
        params = {**self.model.user.auth(f"delete{name}"), "messages": [name]}
        reply = wire.rpc(self._member(), "delete", params, timeout=3)
        if reply.status == 200:
            self.model.perhaps_deleted.remove(name)
            self.model.deleted.add(name)


def account_in(devnet: Devnet, swarm: int, writer: Writer) -> None:
    """Gives the writer an account of this swarm."""
    while True:
        reply = wire.rpc(devnet.nodes[0], "get_swarm", {"pubkey": writer.model.user.account_id})
        if int(reply.json()["swarm"], 16) == swarm:
            return
        writer.model.user = wire.User()


# A request that times out in the middle of a handshake leaves its socket to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_swarm_converges_after_faults(tmp_path: Path) -> None:
    print(f"ALLIUM_CHAOS_SEED={SEED}")
    chance = random.Random(SEED)
    devnet = Devnet(tmp_path / "net")
    devnet.run("up", "--nodes", "5", "--swarm-size", "5")
    faults: Counter[str] = Counter()
    try:
        swarm = devnet.nodes[0]["swarm_id"]
        stop = threading.Event()
        writers = [Writer(devnet, devnet.nodes, SEED + number, stop) for number in range(WRITERS)]
        for writer in writers:
            account_in(devnet, swarm, writer)
            writer.start()
        killed: set[int] = set()
        paused: dict[int, int] = {}
        ending = time.monotonic() + SECONDS
        try:
            while time.monotonic() < ending:
                up = [index for index in range(5) if index not in killed and index not in paused]
                choices = ["wait"]
                choices += ["kill", "stop"] if len(up) > 5 - MOST_DOWN else []
                choices += ["start"] if killed else []
                choices += ["continue"] if paused else []
                match chance.choice(choices):
                    case "kill":
                        index = chance.choice(up)
                        devnet.run("kill", str(index))
                        killed.add(index)
                        faults["kill"] += 1
                    case "stop":
                        index = chance.choice(up)
                        paused[index] = devnet.nodes[index]["pid"]
                        os.kill(paused[index], signal.SIGSTOP)
                        faults["stop"] += 1
                    case "start":
                        index = killed.pop()
                        devnet.run("start", str(index))
                        faults["restart"] += 1
                    case "continue":
                        os.kill(paused.popitem()[1], signal.SIGCONT)
                        faults["continue"] += 1
                    case _:
                        stop.wait(chance.uniform(0.1, 1.0))
        finally:
            for pid in paused.values():
                os.kill(pid, signal.SIGCONT)
            for index in killed:
                devnet.run("start", str(index))
            stop.set()
            for writer in writers:
                writer.join()
        models = [writer.model for writer in writers]

        def sets(model: Model) -> list[set[str]]:
            return [{message["hash"] for message in wire.retrieve(node, model.user)} for node in devnet.nodes]

        def agree() -> bool:
            # What a request that nobody acknowledged has left behind may still differ between members.
            return all(model.stored <= held and not model.deleted & held for model in models for held in sets(model))

        await_that(f"the members agree (seed {SEED})", agree, 90)
        lost, back = 0, 0
        for model in models:
            held = sets(model)[0]
            lost += len(model.stored - held)
            back += len(model.deleted & held)
        count = sum(len(model.stored) + len(model.deleted) for model in models)
        print(f"faults {dict(faults)}, messages {count}, lost {lost}, resurrected {back}")
        assert (lost, back) == (0, 0), f"seed {SEED}"
        assert count > 0 and sum(faults.values()) > 3, (count, faults)
    finally:
        devnet.run("down")
