"""Values that are taken without Typer's check are those that Typer takes, and mean the same."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
import typer.main

from allium.cli.lazy import QuickCommand, adopt
from allium.cli.values import PlainValues
from tests.support.command import NOBODY, root_only

KINDS: dict[str, Any] = {
    "text": Annotated[str, typer.Option()],
    "none": Annotated[str | None, typer.Option()],
    "several": Annotated[list[str] | None, typer.Option()],
    "count": Annotated[int, typer.Option(min=1, max=65535)],
    "any count": Annotated[int, typer.Option()],
    "counts": Annotated[list[int], typer.Option(min=5, max=200_000)],
    "share": Annotated[float, typer.Option(min=0.0, max=1.0)],
    "seconds": Annotated[float, typer.Option()],
    "path": Annotated[Path, typer.Option()],
    "there": Annotated[Path, typer.Option(exists=True, dir_okay=False)],
    "choice": Annotated[Literal["solo", "cometbft"], typer.Option()],
    "flag": Annotated[bool, typer.Option()],
}
VALUES = [
    "", " ", "a", "solo", "Solo", "cometbft", "0", "1", "007", "65535", "65536", "200000", "200001", "-1", "+1", " 1",
    "1_0", "0x10", "1.0", "1.5", "0.5", ".5", "1.", "1e3", "inf", "nan", "true", "no", "9" * 18, "9" * 19, "9" * 40,
    "\u0661", "\N{SUPERSCRIPT TWO}", "~", "-", "/", "/dev/null", "/nowhere/at all", "a\udc80b",
    "tab\tbell\x07", "[red]",
]  # fmt: skip


def outcome(kind: str, arguments: list[str], quick: bool, default: Any = ...) -> tuple[Any, bool]:
    """What the command is given, or the text of the complaint; and whether that was without Typer's check."""
    given: list[Any] = []

    def command(value: Any = None) -> None:
        given.append(value)

    command.__annotations__["value"] = KINDS[kind]
    command.__defaults__ = () if default is ... else (default,)
    app = typer.Typer()
    app.command()(command)
    if quick:
        adopt(app)
    made = typer.main.get_command(app)
    assert isinstance(made, QuickCommand) is quick
    try:
        made.main(arguments, standalone_mode=False)
    except Exception as error:
        return (type(error).__name__, getattr(error, "message", str(error))), False
    [value] = given
    return value, any(isinstance(getattr(param, "_runtime_param", None), PlainValues) for param in made.params)


def option(kind: str, *values: str) -> list[str]:
    return ["--value" if kind == "flag" else f"--value={value}" for value in values]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_typed_means_what_it_means_to_typer(kind: str) -> None:
    for value in VALUES:
        arguments = option(kind, value)
        ours, theirs = outcome(kind, arguments, quick=True)[0], outcome(kind, arguments, quick=False)[0]
        # No number equals itself if it is none.
        assert repr(ours) == repr(theirs), value
    for several in (option(kind, "5", "7"), option(kind, "7", "x"), []):
        assert repr(outcome(kind, several, quick=True)[0]) == repr(outcome(kind, several, quick=False)[0])


@pytest.mark.parametrize(
    ("kind", "default"),
    [
        ("text", "so"),
        ("none", None),
        ("several", None),
        ("several", ["a"]),
        ("count", 22021),
        ("count", 0),
        ("counts", [100, 1_000]),
        ("seconds", 30),
        ("share", 0.5),
        ("path", Path("devnet")),
        ("choice", "solo"),
        ("flag", False),
    ],
)
def test_defaults_mean_what_they_mean_to_typer(kind: str, default: Any) -> None:
    assert repr(outcome(kind, [], True, default)[0]) == repr(outcome(kind, [], False, default)[0])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", "Gr\u00fc\u00df"), ("none", "x"), ("several", "x"), ("count", "22021"), ("counts", "100"),
        ("seconds", "2.5"), ("path", "/nowhere"), ("choice", "solo"),
    ],
)  # fmt: skip
def test_plain_values_need_no_check(kind: str, value: str) -> None:
    assert outcome(kind, option(kind, value), quick=True)[1]


@root_only
def test_what_a_user_may_not_read_or_reach_is_for_the_command_to_say(tmp_path: Path) -> None:
    (tmp_path / "theirs").touch()
    tmp_path.chmod(0o700)
    unreadable, unreachable = option("path", "/etc/shadow"), option("path", str(tmp_path / "theirs"))
    outcome("path", unreadable, quick=False)  # what it imports, another user cannot
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setresuid(NOBODY, NOBODY, NOBODY)
        told = [outcome("path", each, quick)[0] for each in (unreadable, unreachable) for quick in (True, False)]
        os.write(writer, json.dumps(told, default=repr).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said:
        ours, theirs, our_other, their_other = json.load(said)
    os.waitpid(pid, 0)
    # What may not be read is refused by whoever opens it, who says whose it is.
    assert "is not readable" in theirs[1] and ours == repr(Path("/etc/shadow"))
    assert our_other == their_other == repr(tmp_path / "theirs")
