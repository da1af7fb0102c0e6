"""What the engine says when it fails at something that nobody foresaw."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

#: More workers than a list can have; the configuration allows far fewer.
PROGRAM = """
from allium._native import Node
Node(data_dir={!r}, ed25519_seed=bytes(32), legacy_pubkey=bytes(32), bind_ip="127.0.0.1", https_port=0, omq_port=0,
     worker_threads=2**63)
"""


def test_a_panic_is_one_line_of_our_log(tmp_path: Path) -> None:
    program = "import sys\nsys.excepthook = lambda *_: None\n" + PROGRAM.format(str(tmp_path))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "[error    ] the engine failed at something; please report this line" in line
    for field in ("reason=", "capacity overflow", "place=", "thread="):
        assert field in line
    assert "RUST_BACKTRACE" not in line and "panicked" not in line
    assert "place=alloc/src/" in line
