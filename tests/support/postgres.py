"""A PostgreSQL server of a test's own, on a socket in a directory of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

PORT = 5432


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Its URL. Skips the test where there is no PostgreSQL, or none may run it."""
    # Debian puts them where no shell looks.
    places = os.pathsep.join([os.environ.get("PATH", ""), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))])
    initdb, pg_ctl = (shutil.which(name, path=places) for name in ("initdb", "pg_ctl"))
    if initdb is None or pg_ctl is None:
        pytest.skip("PostgreSQL is not installed")
    # It refuses to run as root.
    names = {each.pw_name for each in pwd.getpwall()}
    user = next(name for name in ("postgres", "nobody") if name in names) if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="allium-pg-") as name:
        directory = Path(name)
        if user is not None:
            shutil.chown(directory, user)
        data = str(directory / "data")

        def run(*command: str) -> None:
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory, user=user)
            assert done.returncode == 0, done.stdout + done.stderr

        run(initdb, "--pgdata", data, "--username", "allium", "--auth", "trust", "--no-sync", "--encoding", "UTF8")
        options = f"-c listen_addresses= -c unix_socket_directories={directory} -c fsync=off -p {PORT}"
        run(pg_ctl, "start", "--wait", "--pgdata", data, "--options", options, "--log", str(directory / "log"))
        try:
            yield f"postgresql://allium@/postgres?host={quote(str(directory), safe='')}&port={PORT}"
        finally:
            run(pg_ctl, "stop", "--pgdata", data, "--mode", "immediate")
