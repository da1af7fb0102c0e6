"""The options of the reference's storage server, as settings of ours: what an operator's unit file names.

On the command line, or in the file of `--config-file`, which is read as the reference's own reader (CLI11) does: an
option a line as `option=value`, `option` alone for a flag, lists with commas, by spaces or in brackets over several
lines, comments at the start and at the end of lines. Sections other than `[default]` are other programs'.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from allium.base.complaint import denied, expanded
from allium.settings.config import ConfigError

#: The setting that an option has its value in.
SETTINGS = {
    "ip": "bind_ip",
    "bind-ip": "bind_ip",
    "port": "https_port",
    "https-port": "https_port",
    "omq-port": "omq_port",
    "lmq-port": "omq_port",
    "oxend-rpc": "oxend_rpc",
    "data-dir": "data_dir",
    "log-level": "log_level",
    "stats-access-key": "stats_access_keys",
    "testnet": "testnet",
    "skip-bootstrap-nodes": "bootstrap_seeds",
}
_FLAGS = ("testnet", "skip-bootstrap-nodes")
_LISTS = ("stats-access-key",)
#: Options that the reference once had, or has for its own tests. Nothing is lost without them.
_OBSOLETE_FLAGS = ("force-start",)
OBSOLETE = (
    *_OBSOLETE_FLAGS,
    "https-backend",
    *(f"{daemon}-{what}" for daemon in ("lokid", "oxend") for what in ("rpc-ip", "rpc-port")),
    *(f"{daemon}-{what}" for daemon in ("lokid", "oxend") for what in ("key", "x25519-key", "ed25519-key")),
)
#: What the reference calls levels of ours. It also has levels of parts, which we have not.
_LOG_LEVELS = {"trace": "debug", "warn": "warning", "err": "error", "critical": "error"}
_TRUE = ("true", "on", "yes", "enable", "1", "t", "y", "+")
_FALSE = ("false", "off", "no", "disable", "0", "f", "n", "-")
#: Up to a comment that is not between quotation marks; a semicolon only begins one behind a space.
_TEXT = re.compile(r"""(?:"[^"]*"|'[^']*'|\s+(?!;)|[^\s#])*""")
_ITEM = re.compile(r""""[^"]*"|'[^']*'|[^\s,"']+""")


def settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of options by name; those that are `None`, empty or false are as if they were not given."""
    return {SETTINGS[name]: _setting(name, value) for name, value in options.items() if value}


def without_obsolete(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command line without the options that mean nothing any more, and their names."""
    kept: list[str] = []
    obsolete: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, given, _ = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name not in OBSOLETE:
            kept.append(argument)
            continue
        obsolete.append(name)
        if not given and name not in _OBSOLETE_FLAGS:
            next(rest, None)
    return kept, obsolete


def read(path: Path, warn: Callable[[str], object] | None = None) -> dict[str, Any]:
    """The settings of a file; `ConfigError` names what cannot be used.

    `warn` gets one sentence about all the options that mean nothing any more, if there are some.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except PermissionError:
        raise ConfigError(f"the options cannot be read: {denied(path)}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    options: dict[str, Any] = {}
    obsolete: list[str] = []
    for number, name, value in _options(text):
        where = f"{path}, line {number}"
        if name in OBSOLETE:
            obsolete.append(name)
        elif name not in SETTINGS:
            raise ConfigError(f"{where}: there is no option {name!r} here; remove it")
        elif name in _FLAGS:
            options[name] = _flag("true" if value is None else _bare(value), where)
        elif value is None:
            raise ConfigError(f"{where}: {name} needs a value, as {name}=…")
        elif name in _LISTS:
            options[name] = [*options.get(name, []), *map(_bare, _ITEM.findall(value.strip("[]")))]
        else:
            options[name] = _bare(value)
    if obsolete and warn is not None:
        warn(passed_over(str(path), obsolete))
    return settings(options)


def passed_over(where: str, obsolete: Sequence[str]) -> str:
    """What is said of options that mean nothing any more."""
    return f"{where}: passed over, for they mean nothing any more: {', '.join(sorted(set(obsolete)))}; remove them"


def _options(text: str) -> Iterator[tuple[int, str, str | None]]:
    """Line, name and value of each; `None` for a name alone. An array over several lines is one value."""
    ours = True
    lines = iter(enumerate(map(_without_comment, text.splitlines()), 1))
    for number, line in lines:
        if not line or line.startswith(";"):
            continue
        if line.startswith("["):
            ours = line.strip("[] \t") in ("", "default")
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        while value.startswith("[") and not value.endswith("]"):
            _, more = next(lines, (0, "]"))
            value = f"{value} {more}".rstrip()
        if ours:
            yield number, _bare(name).lstrip("-"), value if equals else None


def _without_comment(line: str) -> str:
    found = _TEXT.match(line)
    return (found[0] if found else "").strip()


def _setting(name: str, value: Any) -> Any:
    match name:
        case "data-dir":
            return expanded(Path(value)).absolute()
        case "log-level":
            return _LOG_LEVELS.get(str(value).lower(), str(value).lower())
        case "stats-access-key":
            return [str(key).lower() for key in value]
        case "skip-bootstrap-nodes":
            return []
    return value


def _bare(value: str) -> str:
    """Without the quotation marks that may be around it."""
    return value.strip().strip("\"'")


def _flag(value: str, where: str) -> bool:
    if value.lower() not in _TRUE + _FALSE:
        raise ConfigError(f"{where}: {value!r} is neither true nor false")
    return value.lower() in _TRUE
