"""What is wrong with the machine of a node and with what is around it. Looks, and changes nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allium.operate import admin, machine, quotas, surroundings
from allium.operate.admin import NoNodeError
from allium.operate.quotas import Quotas
from allium.operate.result import Result, failed, ok, together, warning
from allium.settings.config import ConfigError, NodeConfig

#: What `allium node init` writes.
_CONFIG_FILE = "config.toml"


@dataclass(frozen=True)
class Patient:
    """What is examined."""

    config: NodeConfig
    #: Whether a process has the store open.
    running: bool
    #: What the node says of itself, if it says something.
    told: dict[str, Any] | None

    @property
    def pid(self) -> int | None:
        """Of the node that runs."""
        return None if self.told is None else int(self.told["pid"])


def examine(config_file: Path | None, data_dir: Path | None) -> list[Result]:
    """Every check that can be made with what is named."""
    return list(_examine(config_file, data_dir))


def _examine(config_file: Path | None, data_dir: Path | None) -> Iterator[Result]:
    options = {}
    if config_file is None and data_dir is not None:
        if os.path.lexists(beside := data_dir / _CONFIG_FILE):
            config_file = beside
        else:
            options = {"data_dir": data_dir.absolute()}
    try:
        config = NodeConfig.load(config_file, options)
    except ConfigError as error:
        if options and data_dir is not None:
            found = f"{data_dir} has no {_CONFIG_FILE}" if data_dir.is_dir() else f"there is no {data_dir}"
            yield failed("config", found, "name the node's data directory, or its configuration with --config")
            return
        yield failed("config", str(error), "set what it names; `allium node init` writes a file with every setting")
        return
    yield ok("config", "the environment" if config_file is None else str(config_file))
    running = machine.is_locked(config.data_dir)
    told, result = _ask(config, running)
    yield result
    patient = Patient(config, running, told)
    if not config.data_dir.is_dir():
        yield failed("data", f"there is no {config.data_dir}", "set data_dir, or make the keys with `allium node init`")
        return
    yield from machine.keys(config)
    yield together(machine.directory(config.data_dir), machine.umask(patient.pid))
    yield machine.store(config.data_dir, running)
    yield machine.space(config)
    yield together(machine.disk(config.data_dir), machine.file_system(config.data_dir))
    given, workers = Quotas.of(patient.pid), config.worker_threads
    yield together(machine.open_files(patient.pid), quotas.threads(given, workers, running), machine.socket_buffers())
    yield together(machine.memory(patient.pid), quotas.memory(given))
    yield together(machine.processor(), quotas.processor(given, workers))
    yield from asyncio.run(_around(patient))


def _ask(config: NodeConfig, running: bool) -> tuple[dict[str, Any] | None, Result]:
    try:
        told = admin.status(config.data_dir)
    except NoNodeError as error:
        if running:
            return None, failed("node", str(error), "what is below was checked without its help")
        return None, ok("node", "does not run; what needs it is not checked")
    if told["well"]:
        return told, ok("node", f"runs as process {told['pid']}, and all is well with it")
    worst = told["problems"][0]
    return told, warning("node", f"runs as process {told['pid']}: {worst['what']}", "`allium status` says what to do")


async def _around(patient: Patient) -> list[Result]:
    config, told = patient.config, patient.told
    network, own, read = surroundings.network(config)
    checks = [
        surroundings.clock(network, own),
        surroundings.ports(config, own, patient.running, told),
        surroundings.providers(config),
        surroundings.daemon(config),
        surroundings.cometbft(config),
    ]
    return [*read, *(result for results in await asyncio.gather(*checks) for result in results)]
