"""The package as others install it: a wheel in an environment of its own, without any extra."""

import os
import subprocess
import sys
import venv
import zipfile
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest

from allium.devnet import ports
from tests.support import ROOT

EXAMPLES = ROOT / "python/examples"


def run(*command: str | Path, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    pipes: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 600, **options}
    done = subprocess.run([*map(str, command)], check=False, **pipes)
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done


def pip(*arguments: str | Path) -> None:
    run(
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        *arguments,
        cwd=ROOT,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYO3_PYTHON": sys.executable},
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make wheel` does, but of what the editable package is made of."""
    directory = tmp_path_factory.mktemp("wheel")
    profile = "build-args=--profile fast --compatibility pypi"
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", directory, "-C", profile, ".")
    [wheel] = directory.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment in which there is the wheel and nothing else."""
    directory = tmp_path_factory.mktemp("venv")
    venv.create(directory, with_pip=False, symlinks=True)
    python = directory / "bin/python"
    # Without an index: whatever it needed would be missing.
    pip("--python", python, "install", "--no-index", wheel)
    return python


def test_the_pages_are_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for page in ("messenger", "portal"):
        assert {f"allium/{page}/page/index.html", f"allium/{page}/page/NOTICE"} <= set(names)
    assert not any("node_modules" in name or name.endswith(".tsx") for name in names)


def test_one_wheel_serves_all_versions_of_python(wheel: Path) -> None:
    name, _, python, abi, platform = wheel.stem.split("-")
    assert (name, python, abi) == ("allium", "cp311", "abi3")
    assert platform.startswith("manylinux_2_"), platform
    with zipfile.ZipFile(wheel) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        fields = BytesParser().parsebytes(archive.read(metadata))
        assert {"allium/py.typed", "allium/_native.pyi"} <= set(archive.namelist())
    needed = [need for need in fields.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert needed == []
    assert {"client", "node", "chain"} <= set(fields.get_all("Provides-Extra", []))


@pytest.mark.parametrize("name", ["store", "relay", "membership"])
def test_examples_need_nothing_else(python: Path, name: str, tmp_path: Path) -> None:
    with ports.reserve(2) as (https_port, omq_port):
        arguments = [tmp_path] if name == "store" else [https_port, omq_port]
        done = run(python, "-I", "-W", "error", "-X", "dev", EXAMPLES / f"{name}.py", *map(str, arguments))
    assert done.stderr == ""
    told = {"store": "4 messages", "relay": "hello, Ada", "membership": "[b'hello']"}
    assert told[name] in done.stdout


def test_what_is_missing_is_named(python: Path) -> None:
    assert run(python.parent / "allium", "--version").stdout.startswith("allium ")
    done = run(python.parent / "allium", "status", check=False)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == (
        "error: the allium command needs typer, which is not installed; run: pip install 'allium[node]'\n"
    )
    loaded = "import sys, allium; print(sorted(name for name in sys.modules if name.startswith('allium')))"
    assert run(python, "-I", "-c", loaded).stdout == "['allium']\n"
