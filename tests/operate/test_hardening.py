"""What a node keeps to itself."""

from __future__ import annotations

import base64
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from nacl import bindings

from allium.node import restart
from allium.settings import keys
from tests.support import wire
from tests.support.node_process import Running


def test_a_crash_leaves_no_core_and_nobody_may_look() -> None:
    script = (
        "import ctypes, os, resource\n"
        "from allium.base import hardening\n"
        "hardening.keep_secrets()\n"
        "assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)\n"
        "assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0  # PR_GET_DUMPABLE\n"
        "os.abort()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    _, status = os.waitpid(process.pid, 0)
    process.returncode = -os.WTERMSIG(status)
    assert os.WTERMSIG(status) == signal.SIGABRT and not os.WCOREDUMP(status)


def test_a_node_takes_the_open_files_that_it_may_have(running: Running) -> None:
    pid = running.process.pid
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (512, 2048))
    restart.ask(running.data_dir)
    running.await_line("limit=2048")
    assert "few open files" in running.lines[-1] and "wanted=33792" in running.lines[-1]
    assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (2048, 2048)


def test_no_secret_is_in_a_log_or_in_what_a_node_says_of_itself(running: Running) -> None:
    running.configure(log_level="debug")
    restart.ask(running.data_dir)
    running.await_notice("RELOADING=1")
    running.await_notice("READY=1")
    assert wire.rpc(running.entry, "info", {}).status == 200
    (running.data_dir / "config.toml").write_text("nonsense")
    running.process.send_signal(signal.SIGHUP)
    running.await_line("configuration is unusable")
    limits = Path(f"/proc/{running.process.pid}/limits").read_text()
    assert any(line.split()[-3:-1] == ["0", "0"] for line in limits.splitlines() if line.startswith("Max core"))
    running.process.terminate()
    assert running.process.wait(60) == 0
    said = "".join(running.lines) + running.output.read()
    own = keys.load(running.data_dir)
    assert own.ed25519_public.hex() in said
    x25519 = bindings.crypto_sign_ed25519_sk_to_curve25519(own.ed25519_secret)
    for secret in (own.ed25519_seed, own.legacy_secret, x25519):
        for form in (secret.hex(), base64.b64encode(secret).decode().rstrip("="), repr(secret)[2:-1]):
            assert form not in said
    for name in (keys.ED25519_FILE, keys.LEGACY_FILE, "key.pem"):
        assert (running.data_dir / name).stat().st_mode & 0o777 == 0o600, name
