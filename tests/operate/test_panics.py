"""What the engine says when it fails at something that nobody foresaw."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
sys.excepthook = lambda *_: None
from allium._native import fail
fail("nobody foresaw this")
"""


def test_a_panic_is_one_line_of_our_log() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "[error    ] the engine failed at something; please report this line" in line
    for field in ("reason=", "nobody foresaw this", "place=native/src/", "thread="):
        assert field in line
    assert "RUST_BACKTRACE" not in line and "panicked" not in line
