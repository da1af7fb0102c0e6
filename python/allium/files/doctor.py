"""What is wrong with the machine of a file server and with what it stands on. Looks, and changes nothing that stays."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from allium.errors import Complaint
from allium.files import setup
from allium.files.settings import FilesConfig
from allium.operate.result import Result, failed, ok, warning
from allium.server import doctor


def examine(config_file: Path) -> list[Result]:
    """Every check that can be made of the server with this `files.toml`."""
    return doctor.examine(config_file, FilesConfig.load, "allium files init", lambda config: asyncio.run(_own(config)))


async def _own(config: FilesConfig) -> list[Result]:
    result, held = await _index(config)
    return [await _place(config), result, _room(config, held)]


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
