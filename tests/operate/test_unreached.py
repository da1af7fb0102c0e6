"""What is not to be had, a provider, a directory or a key: in words, and without what is secret."""

from __future__ import annotations

from pathlib import Path

from allium.devnet import ports
from tests.support.command import NOBODY, allium, root_only


def test_a_provider_that_is_not_there_is_told_of_without_its_key(tmp_path: Path) -> None:
    place = "0x" + 40 * "2"
    (tmp_path / "addresses.json").write_text(
        f'''{{"chain_id": 1, "block": 0, "token": "{place}", "pool": "{place}", "rewards": "{place}",
        "factory": "{place}"}}'''
    )
    with ports.reserve(1) as [nobody]:
        url = f"http://user:SECRET@127.0.0.1:{nobody}/SECRET?key=SECRET"
    done = allium("rewards", "show", place, "--rpc", url, "--contracts", str(tmp_path / "addresses.json"))
    assert done.returncode == 1 and "nothing listens at that port" in done.stderr
    assert "SECRET" not in done.stdout + done.stderr and "Error" not in done.stderr


@root_only
def test_whose_a_directory_is_every_command_says(tmp_path: Path) -> None:
    """Also to an option that only names it; and nobody is told to take more than that directory."""
    theirs = tmp_path / "node"
    theirs.mkdir(mode=0o700)
    tmp_path.chmod(0o755)
    for parent in (tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    for command in (["store", "stats"], ["doctor"]):
        done = allium(*command, "--data-dir", str(theirs), uid=NOBODY, cwd="/")
        said = done.stdout + done.stderr
        assert done.returncode not in (0, 2) and "belongs to root" in said, done


def test_keys_that_are_not_there_are_not_called_sealed(tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("p")
    passphrase.chmod(0o600)
    done = allium("node", "seal", "--data-dir", str(tmp_path), "--passphrase-file", str(passphrase))
    assert done.returncode == 1 and "has no key files" in done.stderr
    done = allium("node", "seal", "--data-dir", str(tmp_path), "--passphrase-file", "/dev/null")
    assert done.returncode == 1 and "/dev/null has no passphrase" in done.stderr
