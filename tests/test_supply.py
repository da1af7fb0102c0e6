"""What is built from is what was locked, and comes from where it should."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_crate_is_of_the_registry_and_has_a_checksum() -> None:
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    members = {
        tomllib.loads((ROOT / member / "Cargo.toml").read_text())["package"]["name"]
        for member in tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
    }
    ours = {package["name"] for package in lock["package"] if "source" not in package}
    assert ours == members
    for package in lock["package"]:
        if package["name"] not in members:
            assert package["source"] == "registry+https://github.com/rust-lang/crates.io-index", package
            assert re.fullmatch("[0-9a-f]{64}", package["checksum"]), package


def test_every_python_package_has_one_version_and_its_hashes() -> None:
    lines = (ROOT / "requirements.lock").read_text().replace("\\\n", " ").splitlines()
    assert len(lines) > 50
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[^ ;]+( ; [^@]*?)?(\s+--hash=sha256:[0-9a-f]{64})+", line), line
