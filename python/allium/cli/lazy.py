"""Command groups that import the module of a command when that command is asked for, or the help of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import typer.main
from typer.core import TyperCommand, TyperGroup

from allium.cli.values import quicken


class _Unloaded(TyperCommand):
    """Stands for a command whose module is not imported yet: only its name is known."""


class LazyGroup(TyperGroup):
    """A group of commands of which some are in other modules."""

    #: The module of `allium.cli` with each of them, in the order of the help. Its `app` has a command of that name, or
    #: is a group that gets the name.
    modules: ClassVar[Mapping[str, str]] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        # With the names of all, those of mistyped commands are guessed.
        self.commands = {**{name: _Unloaded(name) for name in self.modules}, **self.commands}
        for command in self.commands.values():
            _quicken(command)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name, or `None`."""
        if isinstance(self.commands.get(cmd_name), _Unloaded):
            self.commands[cmd_name] = _load(self.modules[cmd_name], cmd_name)
        return self.commands.get(cmd_name)


def _load(module: str, name: str) -> Any:
    group = typer.main.get_group(import_module(f"allium.cli.{module}").app)
    command = group.commands.get(name, group)
    command.name = name
    _quicken(command)
    return command


def _quicken(command: Any) -> None:
    for param in command.params:
        quicken(param)
    for child in getattr(command, "commands", {}).values():
        _quicken(child)
