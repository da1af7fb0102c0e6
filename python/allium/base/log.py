"""Where the orchestrator's log lines go: standard error, as text for people or as JSON for machines.

A line has the time, the level, what happened, and fields by name; the engine writes the same (`native/src/log.rs`). A
library that makes such lines would take a fifth of a node's start, and 7 MB.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
from typing import Any, Final, Literal

from allium.base import complaint
from allium.base.urls import redacted

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["console", "json"]

_SEVERITY: Final = {"debug": 0, "info": 1, "warning": 2, "error": 3}
#: Columns of the level, and of what happened.
_LEVEL_WIDTH, _EVENT_WIDTH = 9, 30
#: What makes a value hard to tell from what stands beside it.
_CONFUSING: Final = frozenset(" \t\r\n=\"'")

_RESET, _BRIGHT, _DIM = "\x1b[0m", "\x1b[1m", "\x1b[2m"
_RED, _GREEN, _YELLOW, _MAGENTA, _CYAN = (f"\x1b[{number}m" for number in (31, 32, 33, 35, 36))
_COLOURS: Final = {"debug": _GREEN, "info": _GREEN, "warning": _YELLOW, "error": _RED}


class _Manner:
    """How lines are written by all loggers of the process. Before `configure` nothing is left out."""

    least = _SEVERITY["debug"]
    json = False
    colours = False


#: Held for a line.
_writing = threading.Lock()


def configure(level: Level = "info", format: Format = "console") -> None:
    """Puts `level` and `format` in force for every logger, those already in use included.

    Of a URL no line shows more than the place.
    """
    _Manner.least = _SEVERITY[level]
    _Manner.json = format == "json"
    _Manner.colours = sys.stderr.isatty()


class Logger:
    """Writes the lines of one part of the program. Fields are shown by name; of an exception `exc_info` shows all."""

    def __init__(self, part: str) -> None:
        self._part = part

    def debug(self, event: str, /, **fields: Any) -> None:
        """What only those look for who search an error."""
        self._tell("debug", event, fields)

    def info(self, event: str, /, **fields: Any) -> None:
        """What happened, as it should."""
        self._tell("info", event, fields)

    def warning(self, event: str, /, **fields: Any) -> None:
        """What somebody may have to look after."""
        self._tell("warning", event, fields)

    def error(self, event: str, /, **fields: Any) -> None:
        """What keeps the node from some of its work."""
        self._tell("error", event, fields)

    def exception(self, event: str, /, **fields: Any) -> None:
        """As `error`, with where in the program the exception was that is being handled."""
        self._tell("error", event, {"exc_info": sys.exc_info()[1], **fields})

    def _tell(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if _SEVERITY[level] < _Manner.least:
            return
        error: BaseException | None = fields.pop("exc_info", None)
        fields = {"part": self._part, **fields}
        line = (_for_machines if _Manner.json else _for_people)(level, event, fields, error)
        with _writing:
            sys.stderr.write(redacted(line) + "\n")
            sys.stderr.flush()


def failure(logger: Logger, event: str, error: BaseException, **fields: Any) -> None:
    """Tells of an error in a sentence; where in the program it was, only those who look for that (`debug`)."""
    logger.error(event, reason=complaint.sentence(error).text, **fields)
    logger.debug(event, exc_info=error, **fields)


def get(name: str) -> Logger:
    """The logger of one part, named in each of its lines as `part`."""
    return Logger(name)


def _now() -> str:
    """UTC, to the microsecond, as ISO 8601 has it."""
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds // 1000:06}Z"


def _for_machines(level: str, event: str, fields: dict[str, Any], error: BaseException | None) -> str:
    line = {**fields, "event": event, "level": level, "timestamp": _now()}
    if error is not None:
        line["exception"] = _traced(error)
    return json.dumps(line, default=repr)


def _for_people(level: str, event: str, fields: dict[str, Any], error: BaseException | None) -> str:
    words = [
        _painted(_DIM, _now()),
        f"[{_painted(_COLOURS[level] + _BRIGHT, level.ljust(_LEVEL_WIDTH))}]",
        _painted(_BRIGHT, event.ljust(_EVENT_WIDTH)),
    ]
    words += [f"{_painted(_CYAN, name)}={_painted(_MAGENTA, _shown(fields[name]))}" for name in sorted(fields)]
    line = " ".join(words)
    return line if error is None else f"{line}\n{_traced(error)}"


def _painted(colour: str, text: str) -> str:
    return f"{colour}{text}{_RESET}" if _Manner.colours else text


def _shown(value: object) -> str:
    """As it is where that cannot be misread, nor do anything to a terminal."""
    if isinstance(value, str) and value.isprintable() and not _CONFUSING.intersection(value):
        return value
    return repr(value)


def _traced(error: BaseException) -> str:
    """The exception, and where in the program it was."""
    return "".join(traceback.format_exception(error)).removesuffix("\n")
