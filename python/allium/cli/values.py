"""Values of options and arguments that are plainly right, without Typer's own check of them.

Typer has pydantic check every value, which takes longer to load than most commands take. What is not plainly right is
left to Typer, which says what is wrong with it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from typer.core import TyperArgument, TyperOption
from typer.models import ParameterInfo

_INTEGER = re.compile(r"[0-9]{1,18}")
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")


class _UncertainError(Exception):
    """Only Typer knows what to make of a value."""


class PlainValues:
    """Takes the place of Typer's check of one parameter, until a value is not plain."""

    def __init__(self, annotation: Any, info: ParameterInfo) -> None:
        self._annotation = annotation
        self._info = info

    def coerce(self, value: Any, param: TyperOption | TyperArgument, ctx: Any) -> Any:
        """What the command is given for `value`; raises what Typer raises."""
        try:
            return self._coerced(value, param.multiple or param.nargs == -1)
        except _UncertainError:
            param._runtime_param = None
            return param.get_runtime_param().coerce(value, param=param, ctx=ctx)

    def _coerced(self, value: Any, several: bool) -> Any:
        if value is None:
            return () if several else None
        if get_origin(self._annotation) is not list:
            return plain(self._annotation, value, self._info)
        if not several or not isinstance(value, list | tuple):
            raise _UncertainError
        [kind] = get_args(self._annotation)
        return [plain(kind, each, self._info) for each in value]


def quicken(params: list[Any]) -> list[Any]:
    """Lets the parameters of a command of Typer's take plain values without its own check."""
    for param in params:
        if isinstance(param, TyperOption | TyperArgument) and param._runtime_param is None:
            descriptor = param.type_descriptor
            # Typer would say no more than that a path is not readable; whose it is, whoever opens it says.
            descriptor.parameter_info.readable = False
            values = PlainValues(descriptor.annotation, descriptor.parameter_info)
            param._runtime_param = values  # type: ignore[assignment]
    return params


def plain(kind: Any, value: Any, info: ParameterInfo) -> Any:
    """`value`, as it was typed or set, as a `kind`; raises `_UncertainError`."""
    if info.parser is None:
        if kind is str and type(value) is str and _is_text(value):
            return value
        if kind is int:
            if type(value) is str and _INTEGER.fullmatch(value):
                return _within(int(value), info)
            if type(value) is int:
                return _within(value, info)
        if kind is float and (type(value) in (int, float) or (type(value) is str and _NUMBER.fullmatch(value))):
            return _within(float(value), info)
        if kind is Path and isinstance(value, str | Path) and _is_text(str(value)):
            return _path(Path(value), info)
        if get_origin(kind) is Literal and info.case_sensitive and type(value) is str and value in get_args(kind):
            return value
    raise _UncertainError


def _is_text(value: str) -> bool:
    """Whether it is Unicode, and not bytes that are none."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _within(value: Any, info: ParameterInfo) -> Any:
    if info.clamp or not (info.min is None or value >= info.min) or not (info.max is None or value <= info.max):
        raise _UncertainError
    return value


def _path(path: Path, info: ParameterInfo) -> Path:
    """A path that may be anything."""
    if info.exists or info.writable or info.resolve_path or info.allow_dash or info.path_type is not None:
        raise _UncertainError
    if not (info.file_okay and info.dir_okay):
        raise _UncertainError
    return path
