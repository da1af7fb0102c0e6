"""`allium status`, in the process of the test."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from allium.cli import main as cli

PATIENCE = 20.0


def allium(*arguments: str) -> tuple[int, str]:
    """Exit code and output of a command, in this process: a new one needs half a second to begin."""
    with io.StringIO() as output, redirect_stdout(output):
        code = cli.main(list(arguments))
        return code, output.getvalue()


def status(directory: Path | str) -> tuple[int, dict[str, Any]]:
    """Exit code and document."""
    code, output = allium("status", "--data-dir", str(directory), "--json")
    return code, json.loads(output)


def shown(directory: Path | str) -> tuple[int, str]:
    """Exit code and screen."""
    return allium("status", "--data-dir", str(directory))


def problems(told: dict[str, Any]) -> list[str]:
    """What is not well, but for the disk of whoever runs the tests."""
    return [problem["what"] for problem in told["problems"] if not problem["what"].startswith("the disk has")]


def eventually(
    directory: Path | str, wanted: Callable[[dict[str, Any]], bool], seconds: float = PATIENCE
) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        _, told = status(directory)
        if wanted(told):
            return told
        assert time.monotonic() < deadline, told
        time.sleep(0.2)
