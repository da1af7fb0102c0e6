"""The table of flows is true: each has a test, and each test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
FLOWS = 39


def test_every_flow_names_tests_that_are_there() -> None:
    table = (HERE / "flows.md").read_text()
    tests = {name for path in HERE.glob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())}
    rows = [line for line in table.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(line.split("|")[1]) for line in rows] == list(range(1, FLOWS + 1))
    for line in rows:
        assert re.findall(r"`(test_\w+)`", line), line
    named = set(re.findall(r"`(test_\w+)`", table))
    assert named - tests == set()
    flows = {name for path in HERE.glob("test_flows_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())}
    assert flows - named == {"test_every_flow_names_tests_that_are_there"}
