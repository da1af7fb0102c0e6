"""What members of a swarm of both kinds have after somebody joined it, and after somebody was gone for a while.

`ALLIUM_MIXED_SEED` repeats what was left to chance, though not its timing.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support import wire
from tests.support.mixed_swarm import (
    SECONDS,
    SEED,
    Entry,
    MixedSwarm,
    OurNode,
    ask,
    confirmed,
    hashes_at,
    mixed,
    outage,
    store,
    store_params,
)
from tests.support.reference_node import NAMING, OLD, ReferenceNode
from tests.support.waiting import await_each, await_that

#: Everything that clients use, and some that none does.
NAMESPACES = [0, 2, 3, 4, 5, 11, 12, 13, 14, 21, -10, -11, -21, 1, 7, -1, -30, 100, -128]
#: Of users, of groups, and what needs no signature.
WRITTEN = [0, 2, 11, -10]


def fill(entries: list[Entry], user: wire.User) -> dict[int, list[str]]:
    """Messages in all namespaces, by namespace."""
    filled: dict[int, list[str]] = {namespace: [] for namespace in NAMESPACES}
    for number, namespace in enumerate(NAMESPACES):
        entry = entries[number % len(entries)]
        for data in (b"%d" % namespace, b"the same everywhere")[: 1 if namespace < 0 and -namespace % 20 == 1 else 2]:
            filled[namespace].append(store(entry, user, data, namespace)["hash"])
    return filled


@pytest.mark.parametrize(("ours", "version"), [(0, OLD), (0, NAMING), (1, OLD)])
def test_one_of_ours_joins_and_has_every_namespace(tmp_path: Path, ours: int, version: tuple[int, int, int]) -> None:
    user = wire.User()
    with mixed(tmp_path, ours, 0) as swarm:
        for _ in range(3):
            swarm.add_theirs(version)
        swarm.block()
        filled = fill(swarm.entries(), user)
        new = swarm.add_ours()
        swarm.block()

        def lacking() -> dict[int, set[str]]:
            """And each is where it belongs, and nowhere else."""
            held = {namespace: hashes_at(new.entry, user, [namespace]) for namespace in NAMESPACES}
            return {n: set(held[n]) ^ set(filled[n]) for n in NAMESPACES if set(held[n]) != set(filled[n])}

        await_that("the newcomer has all", lambda: not lacking())
        # It confirms like the others from now on.
        for entry in swarm.entries():
            confirmed(swarm, store(entry, user, b"later", 3))
        swarm.check()


@pytest.mark.parametrize("version", [OLD, NAMING])
def test_one_of_theirs_joins_and_has_all(tmp_path: Path, version: tuple[int, int, int]) -> None:
    user = wire.User()
    with mixed(tmp_path, 2, 0) as swarm:
        filled = fill(swarm.entries(), user)
        new = swarm.add_theirs(version)
        swarm.block()
        # The old form of transfers says nothing of namespaces, and who reads no other has all in the first.
        wanted = {name: namespace if version == NAMING else 0 for namespace in filled for name in filled[namespace]}

        def held() -> dict[str, int]:
            return {name: message.namespace for name, message in new.holds(user.account_id).items()}

        await_that("the newcomer has all", lambda: held() == wanted)
        for entry in swarm.entries():
            confirmed(swarm, store(entry, user, b"later", 3))
        swarm.check()


# --- outages


class Writer:
    """Stores through every node of a swarm that runs, until it is over."""

    def __init__(self, swarm: MixedSwarm) -> None:
        self.over = threading.Event()
        self.users = [wire.User() for _ in range(3)]
        #: Hashes of what a node of ours has confirmed. Theirs tell nobody later of what he missed.
        self.stored: set[str] = set()
        self._swarm = swarm

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor()
        self._threads = [self._pool.submit(self._write, entry) for entry in self._swarm.entries()]
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._pool.shutdown()
        for thread in self._threads:
            thread.result()

    def _write(self, entry: Entry) -> None:
        chance, ours = random.Random(f"{SEED} {entry['omq_port']}"), {node.key for node in self._swarm.ours}
        while not self.over.wait(0.05):
            user, namespace = chance.choice(self.users), chance.choice(WRITTEN)
            try:
                reply = wire.rpc(entry, "store", store_params(user, chance.randbytes(20), namespace))
            except (OSError, HTTPException):
                continue  # it is away just now
            assert reply.status in (200, 503), (SEED, reply)
            answer = reply.json() if reply.status == 200 else {"swarm": {}}
            if any("failed" not in result for key, result in answer["swarm"].items() if key in ours):
                self.stored.add(answer["hash"])

    def await_all(self) -> None:
        """Until each of our nodes has everything, and all members confirm again."""

        def held(node: OurNode) -> set[str]:
            return {name for user in self.users for name in hashes_at(node.entry, user, WRITTEN)}

        assert self.stored
        await_that("our nodes have all", lambda: all(self.stored <= held(node) for node in self._swarm.ours))

        def confirm(entry: Entry) -> bool:
            return all_confirm(store(entry, self.users[0], random.randbytes(9)))

        await_each("all confirm again", self._swarm.entries(), confirm)
        assert [peer.faults for peer in self._swarm.theirs if peer.faults] == [], f"seed {SEED}"


def all_confirm(answer: dict[str, Any]) -> bool:
    return not any("failed" in result for result in answer["swarm"].values())


@pytest.mark.parametrize("seconds", [(2, 6), (15, 25)], ids=["short", "long"])
@pytest.mark.parametrize("kind", ["ours", "theirs"])
@pytest.mark.parametrize("counts", [(2, 3), (3, 2)], ids=["2+3", "3+2"])
def test_nothing_is_missing_at_our_nodes_after_an_outage(
    tmp_path: Path, counts: tuple[int, int], kind: str, seconds: tuple[int, int]
) -> None:
    with mixed(tmp_path, *counts) as swarm:
        kinds: dict[str, Sequence[OurNode | ReferenceNode]] = {"ours": swarm.ours, "theirs": swarm.theirs}
        node = swarm.chance.choice(kinds[kind])
        # Everybody has spoken with everybody.
        for entry in swarm.entries():
            confirmed(swarm, store(entry, wire.User(), b"before"))
        with Writer(swarm) as writer, outage(node, swarm.chance.uniform(*seconds)):
            pass
        writer.await_all()


def test_a_swarm_of_both_kinds_is_whole_after_faults(tmp_path: Path) -> None:
    """One node at a time is away, or only silent, or all is well; over and over."""
    with mixed(tmp_path, 2, 3) as swarm:
        with Writer(swarm) as writer:
            ending = time.monotonic() + SECONDS
            nodes: list[OurNode | ReferenceNode] = [*swarm.ours, *swarm.theirs]
            while time.monotonic() < ending:
                node = swarm.chance.choice(nodes)
                if isinstance(node, ReferenceNode) and swarm.chance.random() < 0.4:
                    node.pause(swarm.chance.uniform(0.5, 6))
                else:
                    with outage(node, swarm.chance.uniform(0, 4)):
                        pass
                writer.over.wait(swarm.chance.uniform(0, 3))
        writer.await_all()


def test_one_of_theirs_that_was_silent_is_not_lost(tmp_path: Path) -> None:
    """Longer than a member is waited for, with all its connections open."""
    user = wire.User()
    with mixed(tmp_path, 2, 1) as swarm:
        [silent] = swarm.theirs
        for entry in swarm.entries():
            confirmed(swarm, store(entry, user, b"before"))
        silent.pause(7)
        answers = [store(node.entry, user, b"meanwhile", namespace) for node in swarm.ours for namespace in (0, 2)]
        assert "failed" in answers[0]["swarm"][silent.key]
        wanted = {answer["hash"] for answer in answers}
        await_that("it has all", lambda: wanted <= silent.holds(user.account_id).keys())

        def confirm(entry: Entry) -> bool:
            return all_confirm(store(entry, user, random.randbytes(9)))

        await_each("all confirm again", swarm.entries(), confirm)
        swarm.check()


@pytest.mark.parametrize("kind", ["ours", "theirs"])
def test_who_is_gone_is_reported_and_who_is_back_too(tmp_path: Path, kind: str) -> None:
    with mixed(tmp_path, 2, 2, reachability_seconds=0.5) as swarm:
        reporter, *others = swarm.ours
        node = others[0] if kind == "ours" else swarm.theirs[0]

        def told(passed: bool) -> dict[str, Any]:
            return {"type": "storage", "pubkey": node.entry["pubkey_legacy"], "passed": passed}

        reporter.daemon.wait_for("admin.report_peer_status", told(True).__eq__)
        with outage(node, 0):
            seen = len(reporter.daemon.calls)
            reporter.daemon.wait_for("admin.report_peer_status", told(False).__eq__, since=seen)
        seen = len(reporter.daemon.calls)
        reporter.daemon.wait_for("admin.report_peer_status", told(True).__eq__, since=seen)


def test_one_of_theirs_is_told_what_it_missed(tmp_path: Path) -> None:
    """In time, so that it is told as it would have been; transfers of old nodes say nothing of namespaces."""
    user = wire.User()
    with mixed(tmp_path, 2, 1) as swarm:
        [away] = swarm.theirs
        with outage(away, swarm.chance.uniform(2, 6)):
            filled = fill([node.entry for node in swarm.ours], user)
            for node in swarm.ours:
                ask(node.entry, "delete", {**user.auth(f"delete{filled[2][0]}"), "messages": [filled[2][0]]})
        wanted = {name: namespace for namespace in filled for name in filled[namespace]}
        del wanted[filled[2][0]]

        def held() -> dict[str, int]:
            return {name: message.namespace for name, message in away.holds(user.account_id).items()}

        await_that("it has caught up", lambda: held() == wanted)
        swarm.check()
