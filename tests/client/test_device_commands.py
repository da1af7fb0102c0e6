"""`allium devices`: an account's first device, one that is linked to it, and one that is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from allium.client import Account
from tests.client.test_session_commands import asked
from tests.support.command import allium
from tests.support.devnet import Devnet


def test_a_device_is_linked_and_removed(shared_devnet: Devnet, tmp_path: Path) -> None:
    phrase = Account.new().phrase
    first, second = (
        {"ALLIUM_SEED": shared_devnet.network["seed_url"], "ALLIUM_ACCOUNT": str(tmp_path / name)}
        for name in ("first", "second")
    )
    for name in ("first", "second"):
        (tmp_path / name).write_text(phrase)
        (tmp_path / name).chmod(0o600)
    made = asked("devices", "create", "--name", "first [red]\nline", env=first)
    assert (made["state"], [(each["description"], each["this"]) for each in made["devices"]]) == (
        "member", [("first [red] line", True)],
    )  # fmt: skip
    linking = [sys.executable, "-m", "allium", "devices", "link", "--json", "--name", "second"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(linking, env={**os.environ, **second}, text=True, **pipes) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        shown = json.loads(process.stdout.readline())
        [request] = asked("devices", "list", env=first)["requests"]
        assert request["emoji"] == shown["emoji"] and len(shown["emoji"]) == 21
        assert request["description"] == "second" and request["id"] == shown["id"]
        # Who does not say yes has done nothing.
        refused = allium("devices", "accept", shown["id"][:8], env=first, input="\n")
        assert refused.returncode == 1 and shown["emoji"][0]["text"] in refused.stdout, refused
        accepted = allium("devices", "accept", shown["id"][:8], env=first, input="yes\n")
        assert accepted.returncode == 0, accepted
        process.stdin.write("yes\n")
        process.stdin.close()
        joined = json.loads(process.stdout.readline())
        assert process.wait(60) == 0 and not process.stderr.read()
    assert joined["state"] == "member" and len(joined["devices"]) == 2
    left = asked("devices", "remove", shown["id"], env=first)
    assert [each["this"] for each in left["devices"]] == [True]
    assert asked("devices", env=second)["state"] == "removed"
