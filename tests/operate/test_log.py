"""What a line of the log looks like: people read it, and machines that were written for what it was."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator

import pytest

from allium.base import log

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    manner = {name: value for name, value in vars(log._Manner).items() if not name.startswith("_")}
    yield
    for name, value in manner.items():
        setattr(log._Manner, name, value)


def test_a_line_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "console")
    log.get("node").warning("few open files", wanted=33792, limit=20000)
    log.get("omq").error("failed", reason="it's gone", address="ipc://a", none=None, empty="", odd="\x1b[2J")
    first, second = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        TIME + r" \[warning  \] few open files                 limit=20000 part=node wanted=33792", first
    )
    fields = "address=ipc://a empty= none=None odd='\\x1b[2J' part=omq reason=\"it's gone\""
    assert second.endswith(f" [error    ] {'failed':30} {fields}")


def test_a_terminal_has_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    log.configure("info", "console")
    log.get("node").info("listening", port=1)
    assert re.fullmatch(
        rf"\x1b\[2m{TIME}\x1b\[0m \[\x1b\[32m\x1b\[1minfo     \x1b\[0m\] \x1b\[1mlistening {{21}}\x1b\[0m "
        r"\x1b\[36mpart\x1b\[0m=\x1b\[35mnode\x1b\[0m \x1b\[36mport\x1b\[0m=\x1b\[35m1\x1b\[0m\n",
        terminal.getvalue(),
    )


def test_a_line_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("debug", "json")
    log.get("node").debug("told", path=TIME.encode(), height=7, url="https://user:secret@host/v3/secret")
    line = capsys.readouterr().err
    said = json.loads(line)
    assert line.endswith("\n") and line.count("\n") == 1
    assert list(said) == ["part", "path", "height", "url", "event", "level", "timestamp"]
    assert re.fullmatch(TIME, said["timestamp"])
    assert (said["path"], said["height"], said["url"]) == (repr(TIME.encode()), 7, "https://host/…")


@pytest.mark.parametrize(
    ("level", "count"), [("debug", 5), ("info", 4), ("warning", 3), ("error", 2)], ids=lambda value: str(value)
)
def test_lines_below_the_level_are_left_out(level: log.Level, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    logger = log.get("node")
    log.configure(level, "console")
    for tell in (logger.debug, logger.info, logger.warning, logger.error, logger.exception):
        tell("it")
    assert capsys.readouterr().err.count(" it ") == count


@pytest.mark.parametrize("format", ["console", "json"])
def test_an_exception_is_shown_whole_to_those_who_look(format: log.Format, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("debug", format)
    try:
        raise OSError("no https://host/v3/secret")
    except OSError as error:
        log.failure(log.get("node"), "a part ended", error, task="x")
    sentence, whole, *more = capsys.readouterr().err.splitlines()
    assert "Traceback" not in sentence and "no https://host" in sentence and "secret" not in sentence + whole
    if format == "json":
        assert json.loads(whole)["exception"].splitlines()[-1].startswith("OSError: no https://host") and not more
    else:
        assert "[debug " in whole and (more[0], more[-1]) == (
            "Traceback (most recent call last):",
            "OSError: no https://host/…",
        )
