"""The build backend in the tree (PEP 517, PEP 660): compiles the Cython modules, then hands everything to maturin."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import maturin  # type: ignore[import-untyped]

PYTHON_SOURCE = Path("python")
#: The pages: their sources, and what Node.js makes of them.
PAGE_SOURCE = PYTHON_SOURCE / "web"
PAGES = [PYTHON_SOURCE / "allium" / name / "page" for name in ("messenger", "portal")]
#: The oldest Python that the wheel is for. Like the engine, Cython modules use what all later ones have too.
LIMITED_API = "0x030B0000"
#: Config settings as the front end passes them (`pip install -C key=value`).
Settings = Mapping[str, Any] | None


def _cython_sources() -> list[Path]:
    return sorted(PYTHON_SOURCE.rglob("*.pyx"))


def _cython_requirements() -> list[str]:
    return ["cython>=3.1,<4", "setuptools>=75"] if _cython_sources() else []


def _compile_cython() -> None:
    """Compiles every `.pyx` beside its source, where maturin picks the extension module up."""
    sources = _cython_sources()
    if not sources:
        return
    from Cython.Build import cythonize  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from setuptools import Distribution, Extension  # type: ignore[import-untyped, unused-ignore]

    extensions = [
        Extension(
            ".".join(path.relative_to(PYTHON_SOURCE).with_suffix("").parts),
            [str(path)],
            define_macros=[("Py_LIMITED_API", LIMITED_API)],
            py_limited_api=True,
        )
        for path in sources
    ]
    modules = cythonize(extensions, build_dir="build/cython")  # type: ignore[no-untyped-call, unused-ignore]
    distribution = Distribution({"name": "allium", "ext_modules": modules})
    distribution.package_dir = {"": str(PYTHON_SOURCE)}
    command = distribution.get_command_obj("build_ext")
    command.inplace = True
    command.ensure_finalized()
    command.run()


def _build_pages() -> None:
    """Builds the pages if they are not there; without Node.js the package has none, and their services say so."""
    if all((page / "index.html").exists() for page in PAGES) or not PAGE_SOURCE.is_dir():
        return
    npm = shutil.which("npm")
    if npm is None:
        print("The pages are left out: install Node.js >= 20, and build again, to have them.", file=sys.stderr)
        return
    try:
        subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=PAGE_SOURCE, check=True)
        subprocess.run([npm, "run", "--silent", "build"], cwd=PAGE_SOURCE, check=True)
    except subprocess.CalledProcessError:
        hint = "they need Node.js >= 20 and npm's registry; without npm on the PATH they are left out"
        raise SystemExit(f"The pages could not be built: {hint}.") from None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """What has to be installed before `build_wheel`."""
    return [*maturin.get_requires_for_build_wheel(config_settings), *_cython_requirements()]


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    """What has to be installed before `build_editable`."""
    return [*maturin.get_requires_for_build_editable(config_settings), *_cython_requirements()]


def get_requires_for_build_sdist(config_settings: Settings = None) -> list[str]:
    """What has to be installed before `build_sdist`: nothing is compiled for it."""
    return list(maturin.get_requires_for_build_sdist(config_settings))


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings = None) -> str:
    """The name of the `.dist-info` directory written."""
    return str(maturin.prepare_metadata_for_build_wheel(metadata_directory, config_settings))


prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """The file name of the wheel written."""
    _compile_cython()
    _build_pages()
    return str(maturin.build_wheel(wheel_directory, config_settings, metadata_directory))


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """The file name of the editable wheel written."""
    _compile_cython()
    return str(maturin.build_editable(wheel_directory, config_settings, metadata_directory))


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """The file name of the source archive written."""
    _build_pages()
    return str(maturin.build_sdist(sdist_directory, config_settings))
