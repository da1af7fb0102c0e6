"""CometBFT as a process beside the node: found, started, watched, started again, ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
from collections import deque
from pathlib import Path

from allium import log
from allium.consensus import ConsensusError

BINARY = "cometbft"
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 60.0
#: One that ran for so long is started again at once.
_STEADY_SECONDS = 60.0
_STOP_SECONDS = 10.0
_LAST_LINES = 8


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


class Process:
    """Runs CometBFT for as long as `run` runs."""

    def __init__(self, binary: Path, home: Path) -> None:
        self._binary, self._home = binary, home
        self._process: asyncio.subprocess.Process | None = None
        self._again = False
        self._logger = log.get("cometbft")

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return None if self._process is None else self._process.pid

    async def run(self) -> None:
        """Until cancelled; a process that ends is started again, later each time."""
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
            self._logger.error("CometBFT ended, another start follows", code=code, seconds=pause, said="\n".join(last))
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def restart(self) -> None:
        """Ends the process, so that it begins anew at once."""
        if self._process is not None:
            self._again = True
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    async def _once(self) -> tuple[int, deque[str]]:
        """One run; its code, and the last that it said."""
        try:
            process = await asyncio.create_subprocess_exec(
                self._binary,
                "start",
                "--home",
                ".",
                cwd=self._home,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except OSError as error:
            raise ConsensusError(f"{self._binary} cannot be started: {error.strerror}") from None
        self._process = process
        last: deque[str] = deque(maxlen=_LAST_LINES)
        try:
            await self._listen(process, last)
            return await process.wait(), last
        except asyncio.CancelledError:
            await self._end(process)
            raise
        finally:
            self._process = None

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
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


async def _line(output: asyncio.StreamReader) -> bytes:
    """A line, or as much of it as the reader holds."""
    try:
        return await output.readuntil()
    except asyncio.IncompleteReadError as end:
        return end.partial
    except asyncio.LimitOverrunError as overrun:
        return await output.read(overrun.consumed)
