"""What can be wrong with any server: its settings, its process, its key, its directory. Looks, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from allium.base import pidfile
from allium.operate import admin, machine
from allium.operate.admin import NoNodeError
from allium.operate.result import Result, failed, ok, warning
from allium.settings import keys
from allium.settings.declared import ConfigError
from allium.settings.server import ServerConfig

Config = TypeVar("Config", bound=ServerConfig)


def examine(
    config_file: Path, load: Callable[[Path], Config], init: str, own: Callable[[Config], list[Result]]
) -> list[Result]:
    """Every check that can be made of the server with these settings; `own` are those of its kind."""
    try:
        config = load(config_file)
    except ConfigError as error:
        return [failed("config", str(error), f"set what it names; `{init}` writes a file with every setting")]
    return [
        ok("config", str(config_file)),
        _process(config),
        _key(config, init),
        machine.directory(config.data_dir),
        machine.disk(config.data_dir),
        *own(config),
        machine.open_files(pidfile.serving(config.data_dir)),
    ]


def _process(config: ServerConfig) -> Result:
    pid = pidfile.serving(config.data_dir)
    if pid is None:
        return ok("server", "does not run")
    try:
        told = admin.status(config.data_dir)
    except NoNodeError as error:
        return failed("server", str(error), "see its log, and start it again")
    if told["well"]:
        return ok("server", f"runs as process {pid}, and all is well with it")
    return warning("server", f"runs as process {pid}: {told['problems'][0]['what']}", "`allium status` says what to do")


def _key(config: ServerConfig, init: str) -> Result:
    try:
        keys.load_ed25519(config.data_dir, init)
    except keys.KeyFileError as error:
        found, _, remedy = str(error).partition("; ")
        return failed("keys", found, remedy or "restore your backup")
    return ok("keys", "the server's key is whole and its own")
