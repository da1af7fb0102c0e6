"""Command groups that import the module of a command when that command is asked for, or the help of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import typer.main
from typer.core import TyperCommand, TyperGroup

from allium.cli.values import quicken


class QuickCommand(TyperCommand):
    """A command that takes plain values without Typer's check of them."""

    def get_params(self, ctx: Any) -> Any:
        """Its options and arguments, `--help` too."""
        return quicken(super().get_params(ctx))


class _Unloaded(TyperCommand):
    """Stands for a command whose module is not imported yet: only its name is known."""


class LazyGroup(TyperGroup):
    """A group of commands of which some are in other modules."""

    #: The module of `allium.cli` with each of them, in the order of the help. Its `app` has a command of that name, or
    #: is a group that gets the name.
    modules: ClassVar[Mapping[str, str]] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        # By the names of all Typer guesses what a mistyped one was to be.
        self.commands = {**{name: _Unloaded(name) for name in self.modules}, **self.commands}

    def get_params(self, ctx: Any) -> Any:
        """Its own options."""
        return quicken(super().get_params(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name, or `None`."""
        if isinstance(self.commands.get(cmd_name), _Unloaded):
            self.commands[cmd_name] = _load(self.modules[cmd_name], cmd_name)
        return self.commands.get(cmd_name)


def _load(module: str, name: str) -> Any:
    app: typer.Typer = import_module(f"allium.cli.{module}").app
    adopt(app)
    group = typer.main.get_group(app)
    command = group.commands.get(name, group)
    command.name = name
    return command


def adopt(app: typer.Typer) -> None:
    """Has the commands of a module made as those above."""
    if not isinstance(app.info.cls, type):
        app.info.cls = LazyGroup
    for command in app.registered_commands:
        command.cls = QuickCommand
    for group in app.registered_groups:
        if group.typer_instance is not None:
            adopt(group.typer_instance)
