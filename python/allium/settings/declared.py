"""How settings are declared, and written into a commented file: what a node's and a server's have in common."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import MISSING
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, TypeVar

from allium.base import fields
from allium.base.complaint import expanded
from allium.base.fields import Reader
from allium.errors import SetupError

T = TypeVar("T")

#: What a setting may be in a file.
Setting = str | int | float | bool | list[str]


class ConfigError(SetupError, ValueError):
    """A setting that the operator must change; the text names it and says to what."""


def setting(read: Reader[T], description: str, default: Any = None, factory: Callable[[], T] | None = None) -> T:
    """A setting: how a value is read, what it is for, and what stands for one that is not set."""
    kind: dict[str, Any] = {"default": default} if factory is None else {"default_factory": factory}
    made: T = dataclasses.field(**kind, metadata={"read": read, "description": description})
    return made


def required(read: Reader[T], description: str) -> T:
    """A setting that somebody has to make."""
    made: T = dataclasses.field(metadata={"read": read, "description": description})
    return made


def file_path(value: Any) -> Path:
    """The path of a file or a directory, which may begin with ~."""
    path = fields.path(value)
    try:
        return expanded(path)
    except SetupError as error:
        raise fields.refused(value, str(error)) from None


def listed(read: Reader[T]) -> Reader[list[T]]:
    """A list, also in one line, as a variable has it: with commas, or as JSON. Empty is none."""
    items = fields.each(read)
    return lambda value: items(_split(value) if isinstance(value, str) else value)


def _split(line: str) -> Any:
    if line.lstrip().startswith("["):
        try:
            return json.loads(line)
        except (ValueError, RecursionError):
            raise ValueError("it is no list in JSON; values with commas between them do as well") from None
    return [part for each in line.split(",") if (part := each.strip())]


def is_required(setting: dataclasses.Field[Any]) -> bool:
    """Whether nothing stands for it when it is not set."""
    return setting.default is MISSING and setting.default_factory is MISSING


def written(default: Any) -> Any:
    """A default as somebody would set it."""
    if default is None:
        return ""
    return str(default) if isinstance(default, IPv4Address | IPv6Address) else default


def toml(value: Setting) -> str:
    """A value as a file has it; raises `ConfigError` for text that no file can have."""
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(value)
    if isinstance(value, int):
        return str(int(value))
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in value):
        raise ConfigError(f"{value!r} has a control character; use a name without one")
    return f'"{escaped}"'
