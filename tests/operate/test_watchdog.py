"""A thread that stands still is told of: in the log with its stack, by `allium status`, to the service manager."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from allium.devnet import ports
from tests.support.node_process import Running
from tests.support.status import eventually, status

#: Longer than a thread may give no sign of life, and than it takes to look at what follows from that.
FROZEN = 20.0


@pytest.fixture
def steered(tmp_path: Path) -> Iterator[Running]:
    """A node with levers, which serves."""
    with ports.reserve(2) as [https_port, omq_port]:
        node = Running(tmp_path, https_port, omq_port, levers_file="levers.json", log_format="json")
        try:
            node.await_notice("READY=1")
            yield node
        finally:
            node.end()


def freeze(node: Running, thread: str) -> None:
    # Once the watchdog has looked, it knows the thread.
    assert eventually(node.data_dir, lambda told: any(each["name"] == thread for each in told["threads"]))
    (node.data_dir / "levers.json").write_text(json.dumps({"freeze": {thread: FROZEN}}))


def told_of(node: Running, event: str, thread: str) -> dict[str, str]:
    """The line of the log about the thread."""
    while True:
        node.await_line(event)
        line: dict[str, str] = json.loads(node.lines[-1])
        if line["thread"] == thread:
            return line


def notices_until(node: Running, wanted: str) -> list[str]:
    """What the service manager is told, up to a line that begins so."""
    told: list[str] = []
    while not any(line.startswith(wanted) for line in told[-3:]):
        told += node.manager.recv(4096).decode().splitlines()
    return told


def test_a_thread_that_stands_still_is_told_of_until_it_goes_on(steered: Running) -> None:
    freeze(steered, "allium-omq")
    line = told_of(steered, "stands still", "allium-omq")
    assert "stand_still" in line["stack"] and re.search(r"run \(omq/thread.rs:\d+\)", line["stack"])
    assert line["level"] == "error" and line["part"] == "watchdog"
    code, told = status(steered.data_dir)
    [problem] = [each for each in told["problems"] if each["what"].startswith("allium-omq")]
    assert code == 1 and problem["level"] == "failed" and "stood still for 1" in problem["what"]
    # What was sent before that says that it lives.
    notices_until(steered, "STATUS=serving; stands still: allium-omq")
    # Only when it goes on is that said again, just before the next status.
    assert "WATCHDOG=1" not in notices_until(steered, "STATUS=serving")[:-2]
    assert told_of(steered, "goes on", "allium-omq")["level"] == "warning"
    steered.await_notice("WATCHDOG=1")
    assert not [each for each in status(steered.data_dir)[1]["problems"] if "stood still" in each["what"]]


def test_an_event_loop_that_stands_still_is_told_of_without_it(steered: Running) -> None:
    freeze(steered, "event loop")
    line = told_of(steered, "stands still", "event loop")
    assert "stand_still" in line["stack"]
    # In Python, where it is, or that it holds the interpreter.
    assert re.search(r"in Python: (.* < )?run:\d+|lock is not given up", line["stack"])
    told_of(steered, "goes on", "event loop")
    steered.await_notice("WATCHDOG=1")
