"""Runs what failed once more, alone: whether a test fails, or only beside others on a busy machine.

Some thousand tests start processes, chains and sockets three files at a time; a few of them have failed on a day when
nothing was wrong. One that passes now was not right all the same, so it is named at the end: it is to be mended as any
other. More than `MOST` at once are no accident, and are not run again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MOST = 12
#: Where pytest keeps it, from the root of the repository.
FAILED = Path(".pytest_cache/v/cache/lastfailed")


def main() -> int:
    try:
        failed = sorted(json.loads(FAILED.read_text()))
    except FileNotFoundError:
        print("No test failed; what stopped pytest is above.")
        return 1
    if not 1 <= len(failed) <= MOST:
        print(f"{len(failed)} tests failed, which is no accident: none is run again.")
        return 1
    print(f"Once more, alone: {', '.join(failed)}", flush=True)
    if subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *failed]).returncode:
        return 1
    for name in failed:
        print(f"FLAKY {name}: failed beside others, passed alone. It is to be mended.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
