"""A swarm under faults: in the end all members hold the same, with all that any of them has acknowledged, and nothing
that was deleted.

`ALLIUM_CHAOS_SECONDS` makes a run longer; `ALLIUM_CHAOS_SEED` repeats its choices, though not their timing.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from allium.devnet.network import Devnet
from tests.support import wire
from tests.support.status import status
from tests.support.waiting import await_that

SECONDS = float(os.environ.get("ALLIUM_CHAOS_SECONDS", "40"))
SEED = int(os.environ.get("ALLIUM_CHAOS_SEED", str(random.SystemRandom().getrandbits(32))))
WRITERS = 4
#: Members at first; more are never unreachable at once than `MOST_DOWN`, and never fewer left than `LEAST`.
MEMBERS, MOST_DOWN, LEAST, MOST = 5, 3, 4, 8
#: Seconds that a clock may be wrong.
SKEW = 3
DAY = 86_400_000


@dataclass
class Model:
    """What a client of the swarm knows of its messages."""

    user: wire.User
    #: Acknowledged and not deleted, with every expiry that was ever asked for.
    stored: dict[str, set[int]] = field(default_factory=dict)
    #: Acknowledged as deleted.
    deleted: set[str] = field(default_factory=set)
    #: A request failed, so it may or may not have been carried out.
    perhaps_deleted: set[str] = field(default_factory=set)
    counter: int = 0
    expiries: int = 0


class Writer(threading.Thread):
    """Stores and deletes messages of one account, and changes when they go, through whichever member answers."""

    def __init__(self, swarm: Swarm, user: wire.User, seed: int) -> None:
        super().__init__()
        self.model = Model(user)
        self._swarm, self._random = swarm, random.Random(seed)
        self.failures: Counter[str] = Counter()

    def run(self) -> None:
        while not self._swarm.over.is_set():
            chosen = self._random.random()
            try:
                if chosen < 0.65 or not self.model.stored:
                    self._store()
                elif chosen < 0.85:
                    self._delete()
                else:
                    self._expire()
            except (OSError, HTTPException) as error:
                self.failures[type(error).__name__] += 1

    def _ask(self, method: str, params: dict[str, Any]) -> wire.HttpReply:
        return wire.rpc(self._random.choice(self._swarm.members()), method, params, timeout=3)

    def _store(self) -> None:
        self.model.counter += 1
        params = wire.store_params(self.model.user.account_id, b"%d" % self.model.counter)
        reply = self._ask("store", params)
        if reply.status == 200:
            self.model.stored[reply.json()["hash"]] = {params["timestamp"] + params["ttl"]}

    def _delete(self) -> None:
        name = self._random.choice(sorted(self.model.stored))
        del self.model.stored[name]
        self.model.perhaps_deleted.add(name)
        params = {**self.model.user.auth(f"delete{name}"), "messages": [name]}
        if self._ask("delete", params).status == 200:
            self.model.perhaps_deleted.remove(name)
            self.model.deleted.add(name)

    def _expire(self) -> None:
        name = self._random.choice(sorted(self.model.stored))
        expiry = wire.now_ms() + self._random.randrange(DAY // 2, 3 * DAY)
        how = self._random.choice(["", "extend", "shorten"])
        self.model.stored[name].add(expiry)
        params = {**self.model.user.auth(f"expire{how}{expiry}{name}"), "messages": [name], "expiry": expiry}
        if self._ask("expire", {**params, how: True} if how else params).status == 200:
            self.model.expiries += 1


class Swarm:
    """A devnet of one swarm, and what is wrong with it."""

    def __init__(self, net: Devnet, chance: random.Random) -> None:
        self.net, self.over, self.faults = net, threading.Event(), Counter[str]()
        self._chance = chance
        self.killed: set[int] = set()
        self.paused: set[int] = set()
        self.cut: list[set[int]] = []
        self._members: list[int] = []
        self._nodes: list[dict[str, Any]] = []
        self.look()

    def look(self) -> None:
        """Reads who is in the network now."""
        nodes = self.net.layout.read_network().nodes
        self.swarm_id = next(node.swarm_id for node in nodes if node.swarm_id < 2**64 - 1)
        self._members = [i for i, node in enumerate(nodes) if node.swarm_id == self.swarm_id]
        self._nodes = [{"ip": nodes[i].ip, "https_port": nodes[i].https_port} for i in self._members]

    def members(self) -> list[dict[str, Any]]:
        return self._nodes

    def up(self) -> list[int]:
        return [i for i in self._members if i not in self.killed | self.paused]

    def step(self) -> None:
        """One fault, or one healed."""
        up, whole = self.up(), not (self.killed or self.paused or self.cut)
        choices = ["wait", "skew"]
        choices += ["kill", "stop"] if len(self._members) - len(up) < MOST_DOWN else []
        choices += ["start"] * 2 if self.killed else []
        choices += ["continue"] * 2 if self.paused else []
        choices += ["heal"] * 2 if self.cut else ["partition"]
        choices += ["join"] if len(self._members) < MOST else []
        choices += ["leave"] if whole and len(self._members) > LEAST else []
        kind = self._chance.choice(choices)
        if kind == "wait":
            self.over.wait(self._chance.uniform(0.1, 1.0))
            return
        match kind:
            case "skew":
                self.net.skew(self._chance.choice(up), self._chance.uniform(-SKEW, SKEW))
            case "kill":
                index = self._chance.choice(up)
                self.net.kill(index)
                self.killed.add(index)
            case "stop":
                index = self._chance.choice(up)
                self.net.pause(index)
                self.paused.add(index)
            case "start":
                self.net.start(self.killed.pop())
            case "continue":
                self.net.resume(self.paused.pop())
            case "partition":
                some = set(self._chance.sample(self._members, self._chance.randint(1, len(self._members) - 1)))
                self.cut = [some, set(self._members) - some]
                self.net.partition(*self.cut)
            case "heal":
                self.cut = []
                self.net.partition()
            case "join":
                self.net.add(self.swarm_id)
                self.look()
            case "leave":
                index = self._chance.choice(self._members)
                # What it alone has acknowledged is lost with it, wherever messages are replicated.
                await_that("it has told all", lambda: self._has_told_all(index))
                self.net.remove(index)
                self.look()
        self.faults[kind] += 1

    def _has_told_all(self, index: int) -> bool:
        _, told = status(self.net.layout.data_dir(index))
        return told["running"] and not told["engine"]["members_behind"]

    def heal(self) -> None:
        for index in self.paused:
            self.net.resume(index)
        for index in self.killed:
            self.net.start(index)
        self.net.partition()
        for index in self._members:
            self.net.skew(index, 0)
        self.look()


def held(node: dict[str, Any], user: wire.User) -> dict[str, int]:
    return {message["hash"]: message["expiration"] for message in wire.retrieve(node, user)}


def differences(swarm: Swarm, model: Model) -> list[str]:
    """What keeps the members from being alike, in words."""
    sets = {index: held(node, model.user) for index, node in zip(swarm._members, swarm.members(), strict=True)}
    found = []
    for name in sorted(set().union(*sets.values())):
        told = {index: one.get(name) for index, one in sets.items()}
        if len(set(told.values())) > 1:
            state = "acknowledged" if name in model.stored else "deleted" if name in model.deleted else "unknown"
            found.append(f"{name} ({state}): {told}")
    return found


# A request that times out in the middle of a handshake leaves its socket to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_swarm_converges_after_faults(tmp_path: Path) -> None:
    print(f"ALLIUM_CHAOS_SEED={SEED}")
    net = Devnet(tmp_path / "net")
    net.up(MEMBERS, MEMBERS)
    try:
        swarm = Swarm(net, random.Random(SEED))
        writers = [Writer(swarm, wire.User(), SEED + number) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        ending = time.monotonic() + SECONDS
        try:
            while time.monotonic() < ending:
                swarm.step()
        finally:
            swarm.over.set()
            for writer in writers:
                writer.join()
            swarm.heal()
        models = [writer.model for writer in writers]

        def alike() -> bool:
            return not any(differences(swarm, model) for model in models)

        began = time.monotonic()
        try:
            await_that("the members are alike", alike, 120)
        except AssertionError:
            told = [line for model in models for line in differences(swarm, model)]
            pytest.fail(f"seed {SEED}: members differ\n" + "\n".join(told[:20]))
        lost, back, strange = 0, 0, 0
        for model in models:
            found = held(swarm.members()[0], model.user)
            lost += len(model.stored.keys() - found.keys())
            back += len(model.deleted & found.keys())
            strange += sum(found[name] not in model.stored[name] for name in model.stored.keys() & found.keys())
        count = sum(len(model.stored) + len(model.deleted) for model in models)
        changes = sum(model.expiries for model in models)
        print(
            f"faults {dict(swarm.faults)}, messages {count}, expiry changes {changes}, lost {lost}, resurrected {back}"
        )
        print(f"alike {time.monotonic() - began:.1f} s after the last fault")
        assert (lost, back, strange) == (0, 0, 0), f"seed {SEED}"
        assert count > 0 and sum(swarm.faults.values()) > 3, (count, swarm.faults)
    finally:
        net.down()


def test_a_deletion_counts_though_its_member_never_heard_of_the_message(tmp_path: Path) -> None:
    """The clock of the member that stores is ahead, the other's is behind, and they are cut off from each other."""
    net = Devnet(tmp_path / "net")
    net.up(3, 3)
    try:
        swarm, user = Swarm(net, random.Random(1)), wire.User()
        ahead, behind, _ = swarm.members()
        keys = [net.layout.read_network().nodes[index].pubkey_ed25519 for index in swarm._members]

        def store(node: dict[str, Any], data: bytes) -> dict[str, Any]:
            reply = wire.rpc(node, "store", wire.store_params(user.account_id, data))
            assert reply.status == 200
            answer: dict[str, Any] = reply.json()
            return answer

        def delete(node: dict[str, Any], name: str) -> None:
            params = {**user.auth(f"delete{name}"), "messages": [name]}
            assert wire.rpc(node, "delete", params).status == 200

        def error(node: dict[str, Any]) -> int:
            told: int = wire.rpc(node, "info", {}).json()["timestamp"]
            return told - wire.now_ms()

        def all_hold(names: set[str]) -> bool:
            return all(held(node, user).keys() == names for node in swarm.members())

        net.skew(swarm._members[0], SKEW)
        net.skew(swarm._members[1], -SKEW)
        await_that("clocks are wrong", lambda: error(ahead) > 900 * SKEW and error(behind) < -900 * SKEW)
        before = store(ahead, b"before")["hash"]
        net.partition({swarm._members[0], swarm._members[2]}, {swarm._members[1]})
        # From its first miss on a member is not waited for.
        await_that("it is cut off", lambda: "failed" in store(ahead, b"another")["swarm"][keys[1]])
        await_that("all others are", lambda: "failed" in store(behind, b"another")["swarm"][keys[2]])
        kept = store(ahead, b"another")["hash"]
        delete(ahead, before)
        name = store(ahead, b"message")["hash"]
        delete(behind, name)
        net.partition()
        await_that("the deletion is known", lambda: all_hold({kept}))
        # Whoever has it still may store it again, with the clock that is behind as well.
        assert store(behind, b"message")["hash"] == name
        await_that("it is back", lambda: all_hold({kept, name}))
    finally:
        net.down()
