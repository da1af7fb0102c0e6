"""The contracts, compiled from the sources in `contracts/` when they are first wanted, and kept until those change."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from allium.base import cache as caches
from allium.base import files
from allium.staking import StakingError

SOURCES = Path(__file__).with_name("contracts")
_COMPILER = "vyper"
_EVM = "cancun"


class CompilerMissingError(StakingError):
    """The compiler is not installed; the text says how to install it."""


@dataclass(frozen=True)
class Artifact:
    """One compiled contract."""

    #: What the compiler says of its functions and events. Vyper knows no errors: `staking.abi` has them.
    abi: list[dict[str, Any]]
    #: Creation code; the constructor's arguments follow it.
    bytecode: bytes
    #: Deployed code, without immutables.
    runtime: bytes
    #: Creation code of a contract that holds `bytecode` for a factory to copy (ERC-5202).
    blueprint: bytes


@cache
def load(contract: str) -> Artifact:
    """The contract named `contract`, from the cache or compiled (a few seconds).

    Raises `CompilerMissingError` when it would have to be compiled and cannot.
    """
    kept = caches.directory("contracts") / f"{contract}-{_fingerprint()}.json"
    try:
        return _decode(json.loads(kept.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        compiled = _compile(contract)
    files.replace(kept, json.dumps(compiled).encode())
    return _decode(compiled)


def compile_source(source: Path) -> Artifact:
    """Compiles a contract from elsewhere, which may import the modules in `contracts/` by their names."""
    return _decode(_compile_file(source))


@cache
def _fingerprint() -> str:
    """Changes whenever the compiler or anything that it reads does."""
    digest = hashlib.sha256(_EVM.encode())
    try:
        digest.update(f"{_COMPILER} {version(_COMPILER)}\n".encode())
    except PackageNotFoundError as error:
        raise CompilerMissingError(f"{error.name} is not installed; run: pip install 'allium[chain]'") from None
    for path in sorted(SOURCES.glob("*.vy")):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:32]


def _compile(contract: str) -> dict[str, Any]:
    return _compile_file(SOURCES / f"{contract}.vy")


def _compile_file(source: Path) -> dict[str, Any]:
    from vyper.compiler import compile_from_file_input
    from vyper.compiler.input_bundle import FilesystemInputBundle
    from vyper.compiler.settings import OptimizationLevel, Settings

    bundle = FilesystemInputBundle([SOURCES])
    made = compile_from_file_input(
        bundle.load_file(source.resolve()),
        input_bundle=bundle,
        settings=Settings(optimize=OptimizationLevel.CODESIZE, evm_version=_EVM),
        output_formats=["abi", "bytecode", "bytecode_runtime", "blueprint_bytecode"],
    )
    return dict(made)


def _decode(compiled: dict[str, Any]) -> Artifact:
    def code(name: str) -> bytes:
        return bytes.fromhex(compiled[name].removeprefix("0x"))

    return Artifact(compiled["abi"], code("bytecode"), code("bytecode_runtime"), code("blueprint_bytecode"))
