"""How settings are declared, read and written into a commented file: what a node's and a server's have in common."""

from __future__ import annotations

import dataclasses
import json
import os
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from allium.base import complaint, fields
from allium.base.complaint import denied, expanded
from allium.base.fields import Reader, Refusal, RefusedError
from allium.base.urls import redacted
from allium.errors import SetupError

T = TypeVar("T")

#: Where values are set when no file is named.
_NO_FILE = "the environment"
#: What a setting may be in a file.
Setting = str | int | float | bool | list[str]


class ConfigError(SetupError, ValueError):
    """A setting that the operator must change; the text names it and says to what.

    Of a URL, in whichever setting somebody wrote it, the text shows no more than the place.
    """

    def __init__(self, text: str) -> None:
        super().__init__(redacted(text))


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


class Listening(NamedTuple):
    """A TCP port that a setting names, and the address at which it is listened on; `None` for nowhere."""

    setting: str
    ip: IPv4Address | IPv6Address
    port: int | None


def refuse_shared_ports(where: str, *wanted: Listening) -> None:
    """Raises `ConfigError` when two of these would listen at one port."""
    for one, other in combinations(wanted, 2):
        meet = one.ip == other.ip or one.ip.is_unspecified or other.ip.is_unspecified
        if one.port is not None and one.port == other.port and meet:
            names = f"{one.setting} and {other.setting}"
            raise ConfigError(f"{where}: {names} are both {one.port}; set one of them to another port")


@dataclass(frozen=True)
class Schema:
    """The settings of one program: in which class they are, what their variables are called, what writes the file."""

    #: A dataclass of settings.
    config: type[Any]
    #: The first line of a commented file.
    title: str
    #: Of environment variables; what follows is the setting's name in capitals.
    prefix: str
    #: The command that makes a file.
    init: str
    #: Settings whose values may have passwords, and are in no complaint.
    secret: Collection[str] = ()
    #: Settings that are paths relative to the file.
    paths: Collection[str] = ("data_dir",)
    #: Of variables that begin with `prefix` too, and are another program's.
    others: tuple[str, ...] = ()

    @cached_property
    def settings(self) -> Mapping[str, dataclasses.Field[Any]]:
        """Every setting by its name, in the order in which people are shown them."""
        return {each.name: each for each in dataclasses.fields(self.config)}

    def load(self, path: Path | None, options: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], str]:
        """What is set by the TOML file `path` (`None`: none), the environment and the command line; and where.

        The command line wins over the environment, and that over the file. Raises `ConfigError` for a file that cannot
        be read, and for a name that does not exist.
        """
        where = _NO_FILE if path is None else str(path)
        options = options or {}
        values = {} if path is None else self._read(path)
        self._refuse_unknown(values, where)
        self._refuse_unknown(options, "the command line")
        self._refuse_misspelt(os.environ)
        if path is not None:
            for name in self.paths:
                value = values.get(name)
                if isinstance(value, str) and value and not value.startswith("~"):
                    values[name] = _directory(path) / value
        return {**values, **self._variables(os.environ), **options}, where

    def checked(self, given: Mapping[str, Any], where: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What these values mean; `ConfigError` has a line for every value that is refused."""
        self._refuse_unknown(given, where)
        values: dict[str, Any] = {}
        complaints: list[str] = []
        for name, declared in self.settings.items():
            if name in given:
                try:
                    values[name] = fields.inside(name, declared.metadata["read"], given[name])
                except RefusedError as error:
                    complaints += [self._complaint(refusal, where, options or {}) for refusal in error.refusals]
            elif is_required(declared):
                how = "name the file with --config" if where == _NO_FILE else "add it to the file"
                complaints.append(f"{where}: {name} is not set; {how} or set {self._variable(name)}")
        if complaints:
            raise ConfigError("\n".join(complaints))
        return values

    def commented_toml(self, **values: Setting) -> str:
        """A file that names every setting; those in `values` are set, the others show their default."""
        self._refuse_unknown(values, "commented_toml")
        lines = [f"# {self.title} A line that starts with # shows the default.", ""]
        for name, declared in self.settings.items():
            lines.append(f"# {declared.metadata['description']}")
            if name in values:
                lines.append(f"{name} = {toml(values[name])}")
            elif is_required(declared):
                lines.append(f"#{name} = (required)")
            else:
                made = declared.default_factory
                default = declared.default if made is MISSING else made()
                lines.append(f"#{name} = {toml(written(default))}")
            lines.append("")
        return "\n".join(lines)

    def _variable(self, name: str) -> str:
        return self.prefix + name.upper()

    def _variables(self, environment: Mapping[str, str]) -> dict[str, str]:
        """What the environment sets, by the names of settings. Of a variable's name the case does not matter."""
        values = {name.upper(): value for name, value in environment.items()}
        return {name: values[self._variable(name)] for name in self.settings if self._variable(name) in values}

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            return tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            raise ConfigError(f"{path} does not exist; `{self.init}` writes one") from None
        except PermissionError:
            raise ConfigError(f"the configuration cannot be read: {denied(path)}") from None
        except OSError as error:
            raise ConfigError(f"the configuration cannot be read: {complaint.sentence(error).text}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8") from None
        except tomllib.TOMLDecodeError as error:
            again = "something is set twice; remove one of them: " if "overwrite" in str(error) else ""
            raise ConfigError(f"{path} is not TOML: {again}{error}") from None
        except RecursionError:
            raise ConfigError(f"{path} is nested too deeply to be settings") from None

    def _refuse_unknown(self, values: Mapping[str, Any], where: str) -> None:
        for name, value in values.items():
            if name not in self.settings:
                if isinstance(value, dict):
                    raise ConfigError(f"{where}: settings stand in no section; remove the line [{name}]")
                near = _like(name, self.settings, 0.5)
                hint = f"did you mean {near}?" if near else f"the settings are {', '.join(self.settings)}"
                raise ConfigError(f"{where}: there is no setting {name!r}; {hint}")

    def _refuse_misspelt(self, environment: Mapping[str, str]) -> None:
        """Variables of ours that look like a setting but are none. Others may be some other program's."""
        known = {self._variable(name) for name in self.settings}
        for name in environment:
            is_ours = name.upper().startswith(self.prefix) and not name.upper().startswith(self.others)
            if is_ours and name.upper() not in known and (near := _like(name.upper(), known, 0.85)):
                raise ConfigError(f"environment variable {name} sets nothing; did you mean {near}?")

    def _complaint(self, refusal: Refusal, where: str, options: Mapping[str, Any]) -> str:
        name, place = str(refusal.place[0]), ".".join(map(str, refusal.place))
        variable = self._variable(name)
        source = f"environment variable {variable}" if variable in os.environ else f"{where}: {place}"
        if name in options:
            source = f"the command line: {place}"
        value = "" if name in self.secret else f" = {refusal.found!r}"
        return f"{source}{value}: {refusal.reason[0].lower()}{refusal.reason[1:]}"


def _directory(path: Path) -> Path:
    """What names in the file `path` are relative to."""
    try:
        return path.resolve().parent
    except (OSError, RuntimeError) as error:  # its directory was deleted, or it is a link to itself
        raise ConfigError(f"{path}: {error}; name the file by its full path") from None


def _like(name: str, known: Iterable[str], likeness: float) -> str | None:
    """The name that was meant, if one is as much like it (from 0 to 1)."""
    import difflib  # nothing that a start without mistakes needs

    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=likeness)), None)
