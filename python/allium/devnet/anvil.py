"""A local EVM chain: Foundry's anvil, found or fetched, run and ended."""

from __future__ import annotations

import contextlib
import os
import platform
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from allium.base import cache
from allium.devnet import ports, process
from allium.devnet.layout import LOOPBACK, DevnetError

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

#: What is fetched when there is no anvil on the PATH.
VERSION = "1.7.1"
#: Anvil's own: every local chain has the same accounts with the same keys.
MNEMONIC = "test test test test test test test test test test test junk"
CHAIN_ID = 31337

_PACKAGE = "@foundry-rs/anvil"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_POLL = 0.02


def find() -> Path:
    """An anvil to run: on the PATH, fetched before, or fetched now from npm (some 20 MB).

    Raises `DevnetError` when there is none and npm is missing or fails.
    """
    if found := shutil.which("anvil"):
        return Path(found)
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        raise DevnetError(f"no anvil on the PATH, and none to fetch for {platform.machine()}; install Foundry")
    kept = cache.directory("anvil") / VERSION
    binary = kept / "node_modules" / f"{_PACKAGE}-{platform.system().lower()}-{machine}" / "bin" / "anvil"
    if not binary.exists():
        _fetch(kept)
    if not binary.exists():
        raise DevnetError(f"npm's {_PACKAGE} {VERSION} brought no anvil for {machine}; install Foundry")
    return binary


def _fetch(kept: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise DevnetError("no anvil on the PATH, and no npm to fetch it with; install Foundry or Node.js")
    with tempfile.TemporaryDirectory(dir=kept.parent) as directory:
        # The binary comes as an optional dependency for this machine; no script has to run.
        options = ["--no-audit", "--no-fund", "--no-save", "--ignore-scripts"]
        done = subprocess.run(  # noqa: S603 - npm as the PATH has it
            [npm, "install", "--prefix", directory, *options, f"{_PACKAGE}@{VERSION}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DevnetError(f"npm could not fetch {_PACKAGE} {VERSION}:\n{done.stderr.strip()}")
        with contextlib.suppress(OSError):
            # Another process may have been quicker.
            Path(directory).rename(kept)
        Path(directory).mkdir(exist_ok=True)


def account(index: int) -> LocalAccount:
    """The account `index` of every local chain, which has money. Everybody knows its key."""
    from eth_account import Account

    Account.enable_unaudited_hdwallet_features()
    made: LocalAccount = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    return made


@dataclass(frozen=True)
class Anvil:
    """A running chain."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        """Its JSON-RPC."""
        return f"http://{LOOPBACK}:{self.port}"

    def stop(self) -> None:
        """Ends it; returns when it is gone."""
        process.stop([self.pid], timeout=5)


def start(log: Path, options: Sequence[str] = (), port: int | None = None, timeout: float = 30) -> Anvil:
    """Starts a chain that outlives this process, and returns when it answers; `DevnetError` when it does not.

    `options` are anvil's own (`--block-time 1`, `--state FILE`).
    """
    binary = find()
    with ports.reserve(1, port) as (chosen,), log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603 - the anvil that `find` found
            [binary, "--host", LOOPBACK, "--port", str(chosen), "--mnemonic", MNEMONIC, *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            _await_port(child, chosen, log, timeout)
        except BaseException:
            process.stop([child.pid], timeout=0)
            raise
        finally:
            # Nobody here waits for it any more.
            child.returncode = child.returncode or 0
    return Anvil(child.pid, chosen)


@contextlib.contextmanager
def running(log: Path, options: Sequence[str] = ()) -> Iterator[Anvil]:
    """A chain for the length of a block."""
    anvil = start(log, options)
    try:
        yield anvil
    finally:
        anvil.stop()


def _await_port(child: subprocess.Popen[bytes], port: int, log: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    ended = os.pidfd_open(child.pid)
    try:
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
                return
            if select.select([ended], [], [], _POLL)[0]:
                raise DevnetError(f"anvil ended with code {child.wait()}:\n{process.tail(log)}")
    finally:
        os.close(ended)
    raise DevnetError(f"anvil does not answer within {timeout:.0f} s; look into {log}")
