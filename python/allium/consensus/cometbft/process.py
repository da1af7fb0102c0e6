"""CometBFT as a process beside the node: found, started, watched, started again, ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import sys
from collections import deque
from pathlib import Path

from allium.base import files, log
from allium.consensus.cometbft.signer import SOCKET
from allium.errors import ConsensusError

BINARY = "cometbft"
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 60.0
#: One that ran for so long is started again at once.
_STEADY_SECONDS = 60.0
_STOP_SECONDS = 10.0
_LAST_LINES = 8
#: What to do about what it ends with, the first that fits.
_REMEDIES = (
    (r"address already in use", "end the program that has its port, or set cometbft_port or cometbft_rpc"),
    (r"cannot assign requested address", "set bind_ip and cometbft_rpc to addresses of this machine"),
    (r"no space left", "free some of the disk"),
    (r"resource temporarily unavailable|cannot allocate memory", "end what takes the machine's processes or memory"),
    (r"too many open files", "raise the limit of open files (ulimit -n, or LimitNOFILE= in the unit)"),
    (r"permission denied", "give its directory to the node's user"),
    (
        r"is higher than core|leveldb|corrupt|panic|blockstore|AppHash|app hash",
        "if that goes on, move the node's cometbft.sqlite away, and its data but priv_validator_state.json: it gets "
        "the chain anew from others",
    ),
)


def find(configured: Path | None = None) -> Path:
    """The program: the configured one, or on the PATH, or beside Python; raises `ConsensusError`."""
    if configured is not None:
        if not configured.is_file():
            raise ConsensusError(f"{configured} does not exist; set cometbft to the program, or run `make cometbft`")
        return configured
    beside = Path(sys.executable).parent / BINARY
    if found := shutil.which(BINARY) or shutil.which(beside):
        return Path(found)
    raise ConsensusError("CometBFT is not installed; run `make cometbft`, or set cometbft to the program")


class CometBFTProcess:
    """Runs CometBFT for as long as `run` runs."""

    def __init__(self, binary: Path, home: Path, node_key: bytes) -> None:
        """`node_key` is handed to every start, and stands in no file."""
        self._binary, self._home, self._node_key = binary, home, node_key
        self._process: asyncio.subprocess.Process | None = None
        self._again = self._ran = False
        self._logger = log.get("cometbft")

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return None if self._process is None else self._process.pid

    async def run(self) -> None:
        """Until cancelled; a process that ends is started again, later each time.

        Raises `ConsensusError` when there is none that could be started. Later, what keeps it from starting may pass.
        """
        pause = _FIRST_PAUSE_SECONDS
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            code, last = await self._once()
            if self._again:
                self._again, pause = False, _FIRST_PAUSE_SECONDS
                continue
            if loop.time() - began > _STEADY_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            said = "\n".join(last)
            self._logger.error(
                "CometBFT ended, another start follows", code=code, seconds=pause, said=said, remedy=_remedy(said)
            )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def restart(self) -> None:
        """Ends the process, so that it begins anew at once; one that does not end by itself is killed."""
        if (process := self._process) is not None:
            self._again = True
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            asyncio.get_running_loop().call_later(_STOP_SECONDS, _kill, process)

    async def _once(self) -> tuple[int, deque[str]]:
        """One run; its code, and the last that it said."""
        last: deque[str] = deque(maxlen=_LAST_LINES)
        try:
            process = await self._start()
        except OSError as error:
            last.append(f"{self._binary} cannot be started: {error.strerror}")
            if not self._ran:
                raise ConsensusError(last[0]) from None
            return error.errno or 1, last
        self._process, self._ran = process, True
        try:
            await self._listen(process, last)
            return await process.wait(), last
        except asyncio.CancelledError:
            await self._end(process)
            raise
        finally:
            self._process = None
            files.own_all(self._home)

    async def _start(self) -> asyncio.subprocess.Process:
        # CometBFT listens there, and does not begin when another did before.
        (self._home / SOCKET).unlink(missing_ok=True)
        key = _pipe(self._node_key)
        try:
            return await asyncio.create_subprocess_exec(
                self._binary,
                "start",
                "--home",
                ".",
                cwd=self._home,
                stdin=key,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        finally:
            os.close(key)

    async def _listen(self, process: asyncio.subprocess.Process, last: deque[str]) -> None:
        if process.stdout is None:
            raise ConsensusError("CometBFT's output cannot be read")
        while line := await _line(process.stdout):
            text = line.decode(errors="replace").rstrip()
            last.append(text)
            try:
                said = json.loads(text)
                level, message = said.pop("level"), said.pop("_msg")
            except (ValueError, KeyError, AttributeError):
                self._logger.warning(text)
                continue
            tell = self._logger.warning if level == "error" else self._logger.debug
            tell(message, **{str(name).replace(" ", "_"): value for name, value in said.items() if name != "event"})

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.communicate(), _STOP_SECONDS)
        except TimeoutError:
            _kill(process)
            await process.communicate()


def _kill(process: asyncio.subprocess.Process) -> None:
    """Ends a process that may have ended."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def _pipe(content: bytes) -> int:
    """A pipe that gives a little content once; its reading end."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        os.write(writer, content)
    finally:
        os.close(writer)
    return reader


def _remedy(said: str) -> str:
    fitting = (remedy for pattern, remedy in _REMEDIES if re.search(pattern, said, re.IGNORECASE))
    return next(fitting, "what it said last says why; docs/consensus.md has more")


async def _line(output: asyncio.StreamReader) -> bytes:
    """A line, or as much of it as the reader holds."""
    try:
        return await output.readuntil()
    except asyncio.IncompleteReadError as end:
        return end.partial
    except asyncio.LimitOverrunError as overrun:
        return await output.read(overrun.consumed)
