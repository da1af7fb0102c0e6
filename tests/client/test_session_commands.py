"""The commands of an account with a database, as a person and as a program run them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from allium.client import Account
from allium.client.session import Session
from tests.support.command import allium
from tests.support.devnet import Devnet


def asked(*arguments: str, env: Mapping[str, str]) -> Any:
    """What a command tells a program."""
    done = allium(*arguments, "--json", env=env)
    assert done.returncode == 0 and not done.stderr, done
    return json.loads(done.stdout)


def lines(*arguments: str, env: Mapping[str, str]) -> list[Any]:
    done = allium(*arguments, "--json", env=env)
    assert done.returncode == 0 and not done.stderr, done
    return [json.loads(line) for line in done.stdout.splitlines()]


def states_of(group: Any) -> dict[str, tuple[bool, str]]:
    return {member["id"]: (member["admin"], member["state"]) for member in group["members"]}


def test_two_people_and_a_second_device(shared_devnet: Devnet, tmp_path: Path) -> None:
    seed: str = shared_devnet.network["seed_url"]
    phrases = {name: Account.new().phrase for name in ("alice", "bob")}
    people = {
        name: {"ALLIUM_SEED": seed, "ALLIUM_ACCOUNT": str(tmp_path / name)}
        for name in ("alice", "bob", "elsewhere")
    }  # fmt: skip
    alice, bob, elsewhere = people.values()
    phrases["elsewhere"] = phrases["bob"]
    for name, env in people.items():
        restored = allium("account", "restore", env=env, input=f"  {phrases[name]}\n")
        assert restored.returncode == 0 and "Account ID" in restored.stdout, restored
    alice_id, bob_id = (Account.from_phrase(phrases[name]).account_id for name in ("alice", "bob"))

    assert asked("profile", "set", "--name", "Bob [red]", env=bob) == {"id": bob_id, "name": "Bob [red]"}
    # All that a restored account has is there at once.
    assert asked("profile", env=elsewhere) == {"id": bob_id, "name": "Bob [red]"}
    sent = allium("send", bob_id, "hello from the shell", "--name", "Alice", env=alice)
    assert sent.returncode == 0, sent
    [told] = lines("inbox", env=bob)
    assert {**told, "id": "", "timestamp": 0} == {
        "id": "", "type": "message", "sender": alice_id, "conversation": alice_id, "text": "hello from the shell",
        "timestamp": 0,
    }  # fmt: skip
    assert told["id"] in sent.stdout and told["timestamp"] > 1_600_000_000_000
    # What could not be shown is new the next time too, here on the other device.
    with Path("/dev/full").open("wb") as full:
        assert allium("inbox", "--json", env=elsewhere, stdout=full).returncode == 1
    assert lines("inbox", env=elsewhere) == [told]

    [contact] = asked("contacts", env=bob)
    assert contact == {
        "id": alice_id, "name": "Alice", "nickname": "", "approved": False, "approved_me": True, "blocked": False
    }  # fmt: skip
    [conversation] = asked("conversations", env=bob)
    assert (conversation["id"], conversation["unread"]) == (alice_id, 1)
    assert asked("search", "shell hel", env=bob) == [told]
    assert asked("contacts", "set", alice_id, "--nickname", "Al", env=bob)[0]["nickname"] == "Al"
    assert "Al" in allium("contacts", env=elsewhere).stdout

    # All of it in one file, from which another machine goes on.
    backup, machine = str(tmp_path / "backup"), {**bob, "ALLIUM_ACCOUNT": str(tmp_path / "restored")}
    assert asked("account", "backup", backup, env=bob)["messages"] == 1
    restored = allium("account", "restore-backup", backup, env=machine, input=phrases["bob"])
    assert restored.returncode == 0 and bob_id in restored.stdout, restored
    assert asked("search", "shell hel", env=machine) == [told]

    # Who follows is told at once, and may be stopped at any time.
    following = [sys.executable, "-m", "allium", "inbox", "--follow", "--json"]
    everything: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(following, env={**os.environ, **bob}, **everything) as process:
        assert allium("send", bob_id, "are you there?", env=alice).returncode == 0
        assert process.stdout is not None and process.stderr is not None
        assert json.loads(process.stdout.readline())["text"] == "are you there?"
        process.terminate()
        assert process.wait(30) == 143 and not process.stderr.read()


def test_what_is_wrong_is_said(shared_devnet: Devnet, tmp_path: Path) -> None:
    seed = shared_devnet.network["seed_url"]
    env = {"ALLIUM_SEED": seed, "ALLIUM_ACCOUNT": str(tmp_path / "account")}
    assert allium("account", "restore", env=env, input="no such words").returncode == 1
    assert allium("account", "new", env=env).returncode == 0
    wrong: list[tuple[str, ...]] = [("profile", "set", "--name", ""), ("profile", "--json", "set", "--name", "x")]
    for arguments in wrong:
        done = allium(*arguments, env=env)
        assert done.returncode == 1 and done.stderr.startswith("error: "), done
    assert allium("profile", env={**env, "ALLIUM_SEED": None}).returncode == 2
    # Another person's account where this one's was.
    (tmp_path / "account").write_text(Account.new().phrase)
    done = allium("profile", env=env)
    assert done.returncode == 78 and "account.db" in done.stderr, done


def test_a_group_from_the_shell(shared_devnet: Devnet, tmp_path: Path) -> None:
    people = {
        name: {"ALLIUM_SEED": shared_devnet.network["seed_url"], "ALLIUM_ACCOUNT": str(tmp_path / name)}
        for name in ("alice", "bob", "carol")
    }
    alice, bob, carol = people.values()
    accounts = {name: Account.new() for name in people}
    for name, account in accounts.items():
        (tmp_path / name).write_text(account.phrase)
    bob_id = accounts["bob"].account_id
    [made] = asked("groups", "create", "Gardeners", bob_id, env=alice)
    assert (made["name"], made["admin"]) == ("Gardeners", True)
    assert states_of(made) == {accounts["alice"].account_id: (True, "admin"), bob_id: (False, "invitation sent")}
    [seen] = asked("groups", "accept", made["id"], env=bob)
    assert (seen["id"], seen["admin"]) == (made["id"], False)
    assert allium("send", made["id"], "water the roses", env=alice).returncode == 0
    told = [line for line in lines("inbox", env=bob) if line["type"] == "message"]
    assert [(line["text"], line["conversation"]) for line in told] == [("water the roses", made["id"])]
    assert allium("send", made["id"], "done", "--reply", told[0]["id"], env=bob).returncode == 0
    assert asked("groups", "rename", made["id"], "Rose gardeners", env=alice)[0]["name"] == "Rose gardeners"
    [renamed] = asked("groups", env=bob)
    assert renamed["name"] == "Rose gardeners" and len(renamed["members"]) == 2
    # Who is invited with the history reads it; who is no admin invites nobody.
    carol_id = accounts["carol"].account_id
    [invited] = asked("groups", "invite", made["id"], carol_id, "--history", env=alice)
    assert states_of(invited)[carol_id] == (False, "invitation sent")
    asked("groups", "accept", made["id"], env=carol)
    assert "water the roses" in [line["text"] for line in lines("inbox", env=carol)]
    refused = allium("groups", "invite", made["id"], Account.new().account_id, env=carol)
    assert refused.returncode == 1 and refused.stderr.startswith("error: "), refused
    [promoted] = asked("groups", "promote", made["id"], carol_id, env=alice)
    assert states_of(promoted)[carol_id][1] == "promotion sent"
    [seen] = asked("groups", env=carol)
    assert seen["admin"]
    assert asked("groups", "leave", made["id"], env=carol) == []
    [alone] = asked("groups", "remove", made["id"], bob_id, env=alice)
    assert states_of(alone).keys() == {accounts["alice"].account_id}


async def test_a_file_from_the_shell(files_devnet: Devnet, tmp_path: Path) -> None:
    seed, server, account = files_devnet.network["seed_url"], files_devnet.network["files"], Account.new()
    (tmp_path / "account").write_text(account.phrase)
    (tmp_path / "notes.txt").write_text("plant the tulips")
    env = {"ALLIUM_SEED": seed, "ALLIUM_ACCOUNT": str(tmp_path / "account")}
    place = f"{server['url']}#{server['pubkey_ed25519']}"
    command = ("send", account.account_id, "for later", "--attach", str(tmp_path / "notes.txt"), "--file-server")
    sent = await asyncio.to_thread(allium, *command, place, env=env)
    assert sent.returncode == 0, sent
    dead = f"http://127.0.0.1:1#{server['pubkey_ed25519']}"
    for wrong in ("nowhere", "http://127.0.0.1#zz", f"http://127.0.0.1#{'11' * 32}", dead):
        refused = await asyncio.to_thread(allium, *command, wrong, env=env)
        assert refused.returncode == 1 and "--file-server: " in refused.stderr, refused
    # The place is remembered, and may be asked over QUIC from then on; another file sent there does not change that.
    setting = ("account", "file-server", "--json")
    changed = await asyncio.to_thread(allium, *setting, place, "--quic", env=env)
    told = {"url": server["url"], "key": server["pubkey_ed25519"], "quic_port": int(server["url"].rpartition(":")[2])}
    assert json.loads(changed.stdout) == told, changed
    again = ("send", account.account_id, "and this", "--attach", str(tmp_path / "notes.txt"), "--file-server", place)
    assert (await asyncio.to_thread(allium, *again, env=env)).returncode == 0
    assert json.loads((await asyncio.to_thread(allium, *setting, env=env)).stdout) == told
    assert (await asyncio.to_thread(allium, *setting, "--quic", env=env)).returncode == 1
    async with await Session.restore(tmp_path / "elsewhere.db", account.phrase, seeds=[seed]) as other:
        await other.sync()
        message, _ = await other.conversations.messages(account.account_id)
        [attachment] = await other.conversations.attachments(message)
        (tmp_path / "here").mkdir()
        path = await other.files.download(attachment, tmp_path / "here")
        assert (message.body, path.name, path.read_text()) == ("for later", "notes.txt", "plant the tulips")
