"""What is built from is what was locked, looked at and allowed, and comes from where it should."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from email.message import Message
from typing import Any

import pytest
from packaging.markers import Marker

from tests.support import ROOT

# What else packages call a licence that has a name of its own.
LICENCES = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    # `apsw-sqlite3mc`: "this license", whose text is zlib's, or any that is approved.
    "OSI Approved": "Zlib",
    "Public Domain": "LicenseRef-Public-Domain",
    "Python Software Foundation License": "PSF-2.0",
}


def toml(name: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / name).read_text())


def locked_python() -> Iterator[tuple[str, str]]:
    """Names and versions of the lock file's packages for this system."""
    lines = (ROOT / "requirements.lock").read_text().replace("\\\n", " ").splitlines()
    assert len(lines) > 50
    for line in lines:
        match = re.fullmatch(r"([a-z0-9-]+)==([^ ;]+)( ; [^@]*?)?(\s+--hash=sha256:[0-9a-f]{64})+", line)
        assert match, line
        name, version, marker, _ = match.groups()
        if marker is None or Marker(marker.strip(" ;")).evaluate():
            yield name, version


def licence_of(package: str) -> str:
    """The SPDX expression of an installed package; where it names several without saying how they go together, all."""
    metadata = importlib.metadata.metadata(package)
    assert isinstance(metadata, Message)
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = [line for line in metadata.get_all("Classifier", []) if line.startswith("License ::")]
    names = [line.rpartition(" :: ")[2] for line in classifiers if line != "License :: OSI Approved"]
    names = names or [metadata.get("License") or "none"]
    return " AND ".join(LICENCES.get(name, name) for name in names)


def allows(allowed: set[str], expression: str) -> bool:
    """Whether an expression is satisfied, in SPDX's words or with the slash that crates had for "or"."""
    expression = re.sub(r" ?/ ?", " OR ", expression)
    if inner := re.search(r"\(([^()]*)\)", expression):
        verdict = min(allowed) if allows(allowed, inner[1]) else "none"
        return allows(allowed, expression[: inner.start()] + verdict + expression[inner.end() :])
    return any(allowed.issuperset(part.split(" AND ")) for part in expression.split(" OR "))


def reviewed(table: str) -> dict[str, tuple[str, str]]:
    """Versions and licences in a table of docs/dependencies.md, by name."""
    text = (ROOT / "docs/dependencies.md").read_text().partition(f"## {table}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert all(len(row) == 6 and all(row) for row in rows)
    named = [(*row[0].split(" "), row[1]) for row in rows[2:]]
    assert named == sorted(named) and len({name for name, _, _ in named}) == len(named)
    return {name: (version, licence) for name, version, licence in named}


def test_every_crate_is_of_the_registry_and_has_a_checksum() -> None:
    lock = toml("Cargo.lock")
    members = {toml(f"{member}/Cargo.toml")["package"]["name"] for member in toml("Cargo.toml")["workspace"]["members"]}
    ours = {package["name"] for package in lock["package"] if "source" not in package}
    assert ours == members
    for package in lock["package"]:
        if package["name"] not in members:
            assert package["source"] == "registry+https://github.com/rust-lang/crates.io-index", package
            assert re.fullmatch("[0-9a-f]{64}", package["checksum"]), package


def test_every_python_package_has_one_version_its_hashes_and_an_allowed_licence() -> None:
    allowed = set(toml("deny.toml")["licenses"]["allow"])
    locked = list(locked_python())
    assert len({name for name, _ in locked}) == len(locked)
    for name, version in locked:
        assert importlib.metadata.version(name) == version, name
        licence = licence_of(name)
        assert allows(allowed, licence), (name, licence)


def test_every_crate_is_allowed_and_what_we_name_was_looked_at() -> None:
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    allowed = set(toml("deny.toml")["licenses"]["allow"])
    refused = [name for name, crate in packages.items() if not allows(allowed, crate["license"])]
    assert refused == []
    members = set(metadata["workspace_members"])
    ours = [node for node in metadata["resolve"]["nodes"] if node["id"] in members]
    direct = [packages[name] for name in {used["pkg"] for node in ours for used in node["deps"]} - members]
    assert reviewed("Crates") == {crate["name"]: (crate["version"], crate["license"]) for crate in direct}


def test_every_python_package_that_we_name_was_looked_at() -> None:
    extras = toml("pyproject.toml")["project"]["optional-dependencies"]
    names = {re.split(r"[^a-z0-9-]", line)[0] for lines in extras.values() for line in lines} - {"allium"}
    locked = dict(locked_python())
    assert reviewed("Python packages") == {name: (locked[name], licence_of(name)) for name in names}


def locked_npm() -> dict[str, dict[str, Any]]:
    """The packages of npm's lock file by their places, without our own."""
    lock: dict[str, dict[str, Any]] = json.loads((ROOT / "python/web/package-lock.json").read_text())["packages"]
    return {place: package for place, package in lock.items() if "node_modules/" in place and not package.get("link")}


def test_every_npm_package_has_a_checksum_an_allowed_licence_and_no_address() -> None:
    allowed = set(toml("deny.toml")["licenses"]["allow"])
    packages = locked_npm()
    assert len(packages) > 50
    for place, package in packages.items():
        assert package["integrity"].startswith("sha512-"), place
        assert "resolved" not in package, place
        # What is under the MPL may build and test, and is not shipped.
        assert allows(allowed if package.get("dev") else allowed - {"MPL-2.0"}, package["license"]), place


def test_every_npm_package_that_we_name_was_looked_at() -> None:
    manifests = [
        json.loads((ROOT / "python/web" / each / "package.json").read_text())
        for each in ("", "messenger", "portal", "ui")
    ]
    names = {name for each in manifests for kind in ("dependencies", "devDependencies") for name in each.get(kind, {})}
    packages = locked_npm()
    found = {
        name: package for name in names for place, package in packages.items() if place.endswith(f"node_modules/{name}")
    }
    assert reviewed("npm packages") == {name: (each["version"], each["license"]) for name, each in found.items()}


@pytest.mark.parametrize(
    ("expression", "is_allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT OR ISC AND GPL-3.0-only", True),
        ("(MIT OR ISC) AND GPL-3.0-only", False),
        ("(MIT/GPL-3.0-only) AND (ISC AND (MIT OR GPL-3.0-only))", True),
    ],
)
def test_an_expression_is_allowed_when_each_of_its_parts_is(expression: str, is_allowed: bool) -> None:
    assert allows({"MIT", "ISC"}, expression) is is_allowed
