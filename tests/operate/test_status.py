"""`allium status` against real nodes: well, busy, ended, killed; and what each fact is judged to be."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from allium.appchain.types import PublicKey
from allium.appchain.verdicts import Reason
from allium.base.admin_socket import SOCKET
from allium.operate.chain_facts import ChainFacts, CommitteeFacts, ProviderFacts, StakeFacts
from allium.operate.facts import DaemonFacts, DiskFacts, Facts, FactSource, ThreadFacts
from allium.operate.finding import Level
from allium.operate.health import judge
from allium.settings.config import NodeConfig, commented_toml
from tests.support import wire
from tests.support.devnet import Devnet, up
from tests.support.lone_node import LoneNode
from tests.support.node_process import Running
from tests.support.status import eventually, problems, shown, status


def test_a_node_that_is_well_says_so(small_chain: Devnet) -> None:
    node = small_chain.nodes[0]
    code, told = status(node["data_dir"])
    assert not problems(told), f"{problems(told)}\n{small_chain.complaints()}"
    assert code == (0 if told["well"] else 1)
    assert told["running"] and told["pid"] == node["pid"] and told["chain"]["stake"]["registered"]
    assert told["chain"]["committee"]["peers"] == 2 and told["engine"]["nodes"] == 3
    # Nothing of it is a secret or somebody's account.
    assert not re.search(r"[0-9a-f]{64}", json.dumps(told))
    code, screen = shown(node["data_dir"])
    assert code == (0 if told["well"] else 1)
    assert "all is well" in screen or "the disk has" in screen
    assert "25,000 SESH" in screen and "committee of 3" in screen


def test_the_socket_is_nobody_elses(pair: Devnet) -> None:
    path = Path(pair.nodes[0]["data_dir"]) / SOCKET
    assert stat.S_ISSOCK(path.stat().st_mode) and stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_data_directory_of_any_length_will_do(tmp_path: Path) -> None:
    # A socket's own path may have 107 bytes.
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    code, told = status(deep)
    assert code == 3 and "no node runs in" in told["reason"]
    with socket.socket(socket.AF_UNIX) as left:
        place = os.open(deep, os.O_RDONLY)
        left.bind(f"/proc/self/fd/{place}/{SOCKET}")
        os.close(place)
    code, told = status(deep)
    assert code == 3 and "it was killed" in told["reason"]


def test_a_node_that_was_killed_is_told_of(pair: Devnet) -> None:
    directory = pair.nodes[1]["data_dir"]
    pair.run("kill", "1")
    try:
        code, told = status(directory)
        assert code == 3 and "it was killed" in told["reason"]
        # The other one is well, and keeps for it what it misses.
        user = wire.User()
        assert wire.rpc(pair.nodes[0], "store", wire.store_params(user.account_id, b"kept for it")).status == 200
        told = eventually(pair.nodes[0]["data_dir"], lambda told: told["engine"]["missed"] == 1)
        assert told["engine"]["members_behind"] == 1
    finally:
        pair.run("start", "1")
    assert status(directory)[1]["running"]
    eventually(pair.nodes[0]["data_dir"], lambda told: told["engine"]["missed"] == 0)


@contextmanager
def configured(net: Devnet, index: int, **settings: str) -> Iterator[None]:
    """Runs a node with other settings for a while."""
    file = Path(net.nodes[index]["data_dir"]) / "config.toml"
    before = file.read_text()
    changed = before
    for name, value in settings.items():
        changed = re.sub(rf"(?m)^#?{name} = .*$", f"{name} = {value}", changed)
    assert changed != before
    try:
        for text in (changed, before):
            os.kill(net.nodes[index]["pid"], signal.SIGTERM)
            wait_for_exit(net.nodes[index]["pid"])
            code, told = status(file.parent)
            assert code == 3 and "no node runs in" in told["reason"]
            file.write_text(text)
            net.run("start", str(index))
            if text is changed:
                yield
    finally:
        file.write_text(before)


def wait_for_exit(pid: int) -> None:
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_full_queue_and_a_port_in_use_are_told_of(pair: Devnet) -> None:
    node = pair.nodes[0]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with configured(pair, 0, queue="1", metrics_port=port):
            told = eventually(node["data_dir"], lambda told: told["running"])
            assert any(what.startswith(f"metrics are not served: port {port}") for what in problems(told))
            pair.run("stop", "1")
            try:
                user = wire.User()
                with ThreadPoolExecutor(1) as pool:
                    # It waits for the other member, which says nothing.
                    store = pool.submit(wire.rpc, node, "store", wire.store_params(user.account_id, b"slow"))
                    told = eventually(node["data_dir"], lambda told: "queue https is full: 1 of 1" in problems(told))
                    assert not told["well"]
                    assert wire.rpc(node, "info", {}).status == 503
                    assert store.result().status == 200
            finally:
                pair.run("continue", "1")
            told = eventually(node["data_dir"], lambda told: "queue https is full: 1 of 1" not in problems(told))
            assert ["https", "busy", 1] in told["engine"]["refusals"]
    assert not problems(status(node["data_dir"])[1])


def test_a_successor_answers_in_its_place(pair: Devnet) -> None:
    node = pair.nodes[0]
    _, before = status(node["data_dir"])
    os.kill(node["pid"], signal.SIGUSR2)
    told = eventually(node["data_dir"], lambda told: told.get("started", 0) > before["started"])
    assert told["pid"] == before["pid"] and not problems(told)
    with urllib.request.urlopen(f"http://127.0.0.1:{node['metrics_port']}/metrics", timeout=10) as answer:
        assert answer.status == 200


def test_a_disk_that_takes_nothing_is_told_of_to_its_owner_alone(running: Running) -> None:
    def unwritten(told: dict[str, Any]) -> bool:
        return any(what.startswith("no message can be written") for what in problems(told))

    def limit(size: int) -> None:
        # Whatever the process writes to a file beyond is refused.
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    params = wire.store_params(wire.User().account_id, b"kept")
    limit(0)
    try:
        # Nobody asked it to write.
        told = eventually(running.data_dir, unwritten, 40)
        assert status(running.data_dir)[0] == 1 and told["problems"][0]["level"] == "failed"
        running.await_line("is not well")
        running.await_line("a transaction was given up")
        reply = wire.rpc(running.entry, "store", params)
        [entry] = reply.json()["swarm"].values()
        assert (reply.status, entry["reason"]) == (500, "the store does not work")
        assert str(running.data_dir).encode() not in reply.body and b"redo" not in reply.body
    finally:
        limit(resource.RLIM_INFINITY)
    assert wire.rpc(running.entry, "store", params).status == 200
    eventually(running.data_dir, lambda told: not unwritten(told))
    running.await_line("is well again")


def test_whose_clock_is_wrong_says_so_and_others_do_not(tmp_path: Path) -> None:
    def wrong(told: dict[str, Any]) -> bool:
        return any("s ahead of most others'" in what for what in problems(told))

    with up(tmp_path, "--nodes", "4") as net:
        net.skew(0, 8 * 3600)
        eventually(net.nodes[0]["data_dir"], wrong, 60)
        assert not any(wrong(status(node["data_dir"])[1]) for node in net.nodes[1:])
        net.skew(0, 0)
        eventually(net.nodes[0]["data_dir"], lambda told: not wrong(told), 60)


def test_cometbft_that_hangs_is_told_of(small_chain: Devnet) -> None:
    node = small_chain.nodes[2]
    children = Path(f"/proc/{node['pid']}/task/{node['pid']}/children").read_text().split()
    [cometbft] = [int(pid) for pid in children if "cometbft" in Path(f"/proc/{pid}/comm").read_text()]
    os.kill(cometbft, signal.SIGSTOP)
    try:
        code, told = status(node["data_dir"])
        assert code == 1 and "CometBFT does not answer" in problems(told)
        assert "does not do its work" in shown(node["data_dir"])[1]
    finally:
        os.kill(cometbft, signal.SIGCONT)
    eventually(node["data_dir"], lambda told: "CometBFT does not answer" not in problems(told))


def test_watch_shows_it_again_and_again(pair: Devnet) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "allium", "status", "--data-dir", pair.nodes[0]["data_dir"], "--watch"]
    # As from a terminal, also where the tests run in the background of a script and so are not interrupted.
    here = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as watching:
        signal.signal(signal.SIGINT, here)
        os.close(theirs)
        seen = b""
        while seen.count(b"process ") < 2:
            seen += os.read(ours, 65536)
        watching.send_signal(signal.SIGINT)
        with pytest.raises(OSError, match="Input/output error"):
            while True:
                os.read(ours, 65536)  # until it has closed its end
        assert watching.wait(20) == 0
    os.close(ours)


# --- what is judged, from the facts of a real engine


@pytest.fixture
async def facts(lone_node: Callable[..., LoneNode], tmp_path: Path) -> Facts:
    """Of a node alone in its network, with which all is well."""
    node = lone_node()
    node.sees(node.entry)
    directory = tmp_path / str(node.entry["omq_port"])
    file = tmp_path / "config.toml"
    file.write_text(commented_toml(data_dir=str(directory), network_file="network.json"))
    own = PublicKey(node.keys.ed25519_public)
    source = FactSource(NodeConfig.load(file), node.engine, own, None, None, None, lambda: True)
    gathered = await source.gather()
    return replace(gathered, disk=DiskFacts(10**12, 5 * 10**11, gathered.disk.files))


CHAIN = ChainFacts(
    height=100,
    lag=3.0,
    block_seconds=2,
    l2_height=9,
    members=3,
    stake=StakeFacts(registered=True, staked=1, credit=10),
    providers=(ProviderFacts(0, None, 9), ProviderFacts(1, None, 9), ProviderFacts(2, None, 9)),
    quorum=2,
    committee=CommitteeFacts(True, True, 3, 100, False, 2),
)


def engine(facts: Facts, **changed: Any) -> Facts:
    return replace(facts, engine={**facts.engine, **changed})  # type: ignore[typeddict-item]


def test_what_is_judged_and_how(facts: Facts) -> None:
    assert judge(facts) == [] and judge(replace(facts, chain=CHAIN, daemon=DaemonFacts(connected=True))) == []

    def stake(**changed: Any) -> Facts:
        return replace(facts, chain=replace(CHAIN, stake=replace(CHAIN.stake, **changed)))

    def committee(**changed: Any) -> Facts:
        assert CHAIN.committee is not None
        return replace(facts, chain=replace(CHAIN, committee=replace(CHAIN.committee, **changed)))

    def trouble(*numbers: int) -> Facts:
        providers = (replace(each, trouble="lies" if each.number in numbers else None) for each in CHAIN.providers)
        return replace(facts, chain=replace(CHAIN, providers=tuple(providers)))

    limit = facts.engine["store_max_bytes"]
    several = engine(facts, nodes=10)
    old = replace(several, started=facts.now - 1000)
    cases: list[tuple[Facts, Level, str]] = [
        (replace(facts, has_network=False), Level.FAILED, "no list of nodes"),
        (replace(facts, not_ready="not in any swarm"), Level.FAILED, "refused: not in any swarm"),
        (replace(facts, daemon=DaemonFacts(connected=False)), Level.FAILED, "daemon is not connected"),
        (replace(facts, daemon=DaemonFacts(True, other_keys=True)), Level.FAILED, "other keys than this node"),
        (
            replace(facts, daemon=DaemonFacts(True, refusal="too old")),
            Level.FAILED,
            "pings, and so does not tell the network",
        ),
        (
            replace(facts, daemon=DaemonFacts(True, keyless=True), not_ready="not in any swarm"),
            Level.FAILED,
            "without its keys",
        ),
        (replace(facts, threads=(ThreadFacts("allium-omq", 12, False),)), Level.FAILED, "has stood still for 12 s"),
        (replace(facts, threads=(ThreadFacts("allium-store", 1, True),)), Level.FAILED, "allium-store has ended"),
        (replace(facts, clock_ahead=-3.0), Level.WARNING, "3 s behind most others'"),
        (replace(facts, clock_ahead=12.0), Level.FAILED, "12 s ahead of most others'"),
        (engine(facts, store_failure=(5, "it fails")), Level.FAILED, "can be written, for 5 s now: it fails"),
        (replace(facts, metrics_trouble="port 1: no"), Level.WARNING, "metrics are not served"),
        (engine(facts, store_bytes=limit * 9 // 10), Level.WARNING, "store is 90% full"),
        (engine(facts, store_bytes=limit), Level.FAILED, "store is 100% full"),
        (replace(facts, disk=DiskFacts(10**12, 10**8, {})), Level.FAILED, "disk has 100 MB left"),
        (replace(facts, disk=DiskFacts(10**10, 10**9, {})), Level.WARNING, "disk has 1.0 GB left"),
        (replace(facts, disk=DiskFacts(10**12, 4 * 10**10, {})), Level.WARNING, "disk has 40.0 GB left"),
        (engine(facts, expiry_lag=500.0), Level.WARNING, "waited for 500 s"),
        (engine(facts, queues=[("store", 4000, 4096)]), Level.WARNING, "queue store is full"),
        (engine(facts, missed_dropped=3), Level.WARNING, "3 things"),
        (replace(facts, process=replace(facts.process, open_files=90, max_files=100)), Level.WARNING, "90 of 100"),
        (replace(old, pinged={"https": 0, "omq": int(facts.now)}), Level.WARNING, "over https for 120 s"),
        (engine(several, unreachable=5), Level.WARNING, "5 of 9 other nodes"),
        (replace(facts, chain=replace(CHAIN, lag=61.0)), Level.FAILED, "last height (100) is 61 s old"),
        (committee(running=False, height=None), Level.FAILED, "CometBFT does not run"),
        (committee(height=None), Level.FAILED, "CometBFT does not answer"),
        (committee(catching_up=True), Level.WARNING, "catches up"),
        (committee(peers=0), Level.FAILED, "connected to nobody"),
        (trouble(1), Level.WARNING, "not relied on (1: lies)"),
        (trouble(0, 2), Level.FAILED, "too few providers"),
        (stake(registered=False), Level.WARNING, "not registered"),
        (stake(registered=False, left="expired"), Level.WARNING, "registered no more (expired)"),
        (stake(decommissioned=True), Level.FAILED, "decommissioned"),
        (
            stake(decommissioned=True, reasons=Reason.WRONG_CLOCK | Reason.UNREACHABLE),
            Level.FAILED,
            "(it was not reached, its clock is wrong)",
        ),
        (replace(facts, started=0, chain=replace(CHAIN, proof_validity=7500.0)), Level.FAILED, "has not proven"),
    ]
    for changed, level, words in cases:
        [found] = judge(changed)
        assert found.level is level and words in found.what and found.remedy, (words, found)
    # A node just started has not been tested yet, and one that is alone never is.
    assert judge(replace(several, pinged={"https": 0})) == []
    assert judge(replace(facts, started=0, pinged={"https": 0})) == []
    # The worst comes first.
    both = replace(engine(facts, missed_dropped=1), has_network=False)
    assert [finding.level for finding in judge(both)] == [Level.FAILED, Level.WARNING]
