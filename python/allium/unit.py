"""The options of the reference's storage server, as settings of ours: what an operator's unit file names.

On the command line, or one a line as `option=value` in the file of `--config-file`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from allium.config import ConfigError

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
#: What the reference calls levels of ours. It also has levels of parts, which we have not.
_LOG_LEVELS = {"trace": "debug", "warn": "warning", "err": "error", "critical": "error"}
_TRUE, _FALSE = ("true", "on", "yes", "1"), ("false", "off", "no", "0")


def settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of options by name; those that are `None`, empty or false are as if they were not given."""
    return {SETTINGS[name]: _setting(name, value) for name, value in options.items() if value}


def read(path: Path) -> dict[str, Any]:
    """The settings of a file; `ConfigError` names what cannot be used."""
    options: dict[str, Any] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text[0] in "#;[":
            continue
        name, _, value = (part.strip() for part in text.partition("="))
        if name not in SETTINGS:
            raise ConfigError(f"{path}, line {number}: there is no option {name!r} here; remove it")
        if name in ("testnet", "skip-bootstrap-nodes"):
            options[name] = _flag(_bare(value), f"{path}, line {number}")
        elif name == "stats-access-key":
            options[name] = [*options.get(name, []), *map(_bare, value.strip("[]").split(","))]
        else:
            options[name] = _bare(value)
    return settings(options)


def _setting(name: str, value: Any) -> Any:
    match name:
        case "data-dir":
            return Path(value).expanduser().absolute()
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
