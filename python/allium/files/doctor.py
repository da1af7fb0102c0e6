"""What is wrong with the machine of a file server and with what it stands on. Looks, and changes nothing that stays."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from allium.base import pidfile
from allium.errors import Complaint
from allium.files import setup
from allium.files.settings import FilesConfig
from allium.operate import admin, machine
from allium.operate.admin import NoNodeError
from allium.operate.result import Result, failed, ok, warning
from allium.settings import keys
from allium.settings.declared import ConfigError


def examine(config_file: Path) -> list[Result]:
    """Every check that can be made of the server with this `files.toml`."""
    try:
        config = FilesConfig.load(config_file)
    except ConfigError as error:
        remedy = "set what it names; `allium files init` writes a file with every setting"
        return [failed("config", str(error), remedy)]
    return [ok("config", str(config_file)), *asyncio.run(_collected(config))]


async def _collected(config: FilesConfig) -> list[Result]:
    return [result async for result in _examine(config)]


async def _examine(config: FilesConfig) -> AsyncIterator[Result]:
    yield _process(config)
    yield _key(config)
    yield machine.directory(config.data_dir)
    yield machine.disk(config.data_dir)
    yield await _place(config)
    result, held = await _index(config)
    yield result
    yield _room(config, held)
    yield machine.open_files(pidfile.serving(config.data_dir))


def _process(config: FilesConfig) -> Result:
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


def _key(config: FilesConfig) -> Result:
    try:
        keys.load_ed25519(config.data_dir, "allium files init")
    except keys.KeyFileError as error:
        found, _, remedy = str(error).partition("; ")
        return failed("keys", found, remedy or "restore your backup")
    return ok("keys", "the server's key is whole and its own")


async def _place(config: FilesConfig) -> Result:
    where = config.storage or "the data directory"
    try:
        await setup.open_blobs(config).probe()
    except Complaint as error:
        return failed("storage", str(error), "set storage, and its keys in the environment of the service")
    return ok("storage", f"{where} can be written and read")


async def _index(config: FilesConfig) -> tuple[Result, int]:
    """The check, and the bytes that files take."""
    try:
        index = await setup.open_index(config)
        try:
            totals = await index.totals()
        finally:
            await index.close()
    except Complaint as error:
        return failed("index", str(error), "see what the text names"), 0
    return ok("index", f"{totals.files:,} files of {totals.bytes:,} bytes"), totals.bytes


def _room(config: FilesConfig, held: int) -> Result:
    """Whether the disk has what the files may yet take."""
    if config.storage is not None:
        return ok("space", "the files are at a provider")
    free, wanted = shutil.disk_usage(config.data_dir).free, int(config.max_bytes) - held
    if free < wanted:
        return warning("space", f"{free:,} bytes free, and the files may take {wanted:,} more", "lower max_bytes")
    return ok("space", f"{free:,} bytes free, and the files may take {wanted:,} more")
