"""`allium status` and `allium doctor`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allium.base.console import out
from allium.errors import CommandError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from allium.operate.result import Result
    from allium.settings.config import NodeConfig

app = typer.Typer()

#: Something needs looking after; no node runs.
EXIT_NOT_WELL, EXIT_NO_NODE = 1, 3
_WATCH_SECONDS = 2.0

_Config = Annotated[Path | None, typer.Option("--config", help="The node's configuration file.")]
_DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Its data directory, instead of the file.")]
_Json = Annotated[bool, typer.Option("--json", help="For machines.")]


@app.command()
def status(
    config: _Config = None,
    data_dir: _DataDir = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds, until Ctrl-C.")] = False,
    as_json: _Json = False,
) -> None:
    """Say whether all is well with a running node or server, and what to do if not.

    Exit code 0: all is well. 1: something needs looking after. 3: no node runs there.
    """
    from allium.operate.admin import NoNodeError

    directory = data_dir or _config(config).data_dir
    if watch:
        _watch(directory)
        return
    try:
        told = _told(directory)
    except NoNodeError as error:
        if as_json:
            out.print(json.dumps({"well": False, "running": False, "reason": str(error)}), markup=False)
        else:
            out.print(f"✗ {error}", style="red", markup=False)
        raise typer.Exit(EXIT_NO_NODE) from None
    if as_json:
        out.print(json.dumps({"running": True, **told}), markup=False)
    else:
        out.print(_screen(told))
    raise typer.Exit(0 if told["well"] else EXIT_NOT_WELL)


@app.command()
def doctor(config: _Config = None, data_dir: _DataDir = None, as_json: _Json = False) -> None:
    """Check the machine and the node's surroundings, with the node up or down; nothing is changed.

    Of a server, whose data directory has a files.toml, a push.toml or a portal.toml, what it stands on.

    Exit code 1 when a check failed. Warnings do not count.
    """
    from allium.operate.finding import Level

    results = _examined(config, None if config else data_dir)
    if as_json:
        out.print(json.dumps([result.document for result in results]), markup=False)
    else:
        _print(results)
    raise typer.Exit(EXIT_NOT_WELL if any(result.level is Level.FAILED for result in results) else 0)


def _examined(config: Path | None, data_dir: Path | None) -> list[Result]:
    from allium.files import settings as of_files
    from allium.portal import settings as of_portal
    from allium.push import settings as of_push

    if (file := _settings_of(of_files.FILE_NAME, config, data_dir)) is not None:
        from allium.files import doctor as file_checks

        return file_checks.examine(file)
    if (file := _settings_of(of_push.FILE_NAME, config, data_dir)) is not None:
        from allium.push import doctor as push_checks

        return push_checks.examine(file)
    if (file := _settings_of(of_portal.FILE_NAME, config, data_dir)) is not None:
        from allium.portal import doctor as portal_checks

        return portal_checks.examine(file)
    from allium.operate import doctor as checks

    return checks.examine(config, data_dir)


def _settings_of(name: str, config: Path | None, data_dir: Path | None) -> Path | None:
    """The settings of a server whose settings have this name."""
    if data_dir is not None and (data_dir / name).is_file():
        return data_dir / name
    return config if config is not None and config.name == name else None


def _print(results: list[Result]) -> None:
    from rich.text import Text

    from allium.operate.finding import Level

    marks = {Level.OK: ("✓", "green"), Level.WARNING: ("!", "yellow"), Level.FAILED: ("✗", "red")}
    for result in results:
        mark, colour = marks[result.level]
        found = result.found.replace("\n", f"\n  {'':<10} ")
        out.print(Text.assemble((f"{mark} ", colour), (f"{result.check:<10} ", "bold"), found))
        if result.remedy:
            out.print(Text(f"  {'':<10} {result.remedy}"))


def _screen(told: dict[str, Any]) -> RenderableType:
    """A node's, or a server's."""
    from allium.files import health as of_files
    from allium.operate import status_screen
    from allium.portal import health as of_portal
    from allium.push import health as of_push

    kinds = {each.KIND: each.lines for each in (of_files, of_push, of_portal)}
    lines = kinds.get(told.get("kind", ""))
    return status_screen.screen(told, None if lines is None else lines(told))


def _watch(directory: Path) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from allium.operate import status_screen
    from allium.operate.admin import NoNodeError

    with Live(console=out.rich, screen=out.is_terminal, auto_refresh=False) as live:
        while True:
            try:
                shown = _screen(_told(directory))
            except NoNodeError as error:
                shown = Text(f"✗ {error}", style="red")
            try:
                live.update(Group(status_screen.clock(), shown), refresh=True)
                time.sleep(_WATCH_SECONDS)
            except KeyboardInterrupt:
                return


def _told(directory: Path) -> dict[str, Any]:
    from allium.operate import admin

    return admin.status(directory)


def _config(path: Path | None) -> NodeConfig:
    from allium.settings.config import ConfigError, NodeConfig

    try:
        return NodeConfig.load(path)
    except ConfigError as error:
        hint = "" if path else "; name the node with --config FILE or --data-dir DIR"
        raise CommandError(f"{error}{hint}") from None
