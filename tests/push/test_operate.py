"""How an operator runs a push server: `init`, settings, what cannot be used, `doctor`."""

from __future__ import annotations

import json
import os
from contextlib import aclosing
from pathlib import Path

import pytest
from nacl import bindings

from allium.devnet import ports
from allium.push.networks import networks
from allium.push.settings import SCHEMA, PushConfig, commented_toml
from allium.settings import keys
from allium.settings.declared import ConfigError
from tests.support.command import allium
from tests.support.oxend import FakeOxend, stranger
from tests.support.push_services import CONTACT


def test_init_makes_keys_and_settings(tmp_path: Path) -> None:
    directory, nodes = tmp_path / "push", tmp_path / "nodes.json"
    options = ("--data-dir", str(directory), "--network-file", str(nodes), "--webpush-contact", CONTACT)
    done = allium("push", "init", *options)
    assert done.returncode == 0 and keys.load_ed25519(directory)[32:].hex() in done.stdout, done.stderr
    for name in ("key_ed25519", "key_vapid.pem"):
        assert (directory / name).stat().st_mode & 0o777 == 0o600
    config = PushConfig.load(directory / "push.toml")
    assert (config.data_dir, config.network_file, config.webpush_contact) == (directory, nodes, CONTACT)
    assert allium("push", "init", *options).returncode == 1
    done = allium("push", "init", "--data-dir", str(tmp_path / "other"), "--webpush-contact", "me")
    assert done.returncode == 78 and "webpush_contact" in done.stderr and not (tmp_path / "other").exists()


def test_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "push.toml"
    path.write_text(commented_toml(data_dir=".", network_file="nodes.json"))
    config = PushConfig.load(path)
    assert (config.data_dir, config.network_file) == (tmp_path, tmp_path / "nodes.json")
    assert (config.swarm_members, config.http_port, config.metrics_port) == (3, 8001, 22027)
    # Every setting is in the file, with its default.
    uncommented = "\n".join(line.removeprefix("#") for line in path.read_text().splitlines() if "# " not in line[:2])
    path.write_text(uncommented)
    assert PushConfig.load(path) == config
    monkeypatch.setenv("ALLIUM_PUSH_SWARM_MEMBERS", "5")
    assert PushConfig.load(path).swarm_members == 5
    monkeypatch.delenv("ALLIUM_PUSH_SWARM_MEMBERS")
    nodes = "network_file = 'nodes.json'"
    for lines, told in (
        ("", "set one of network_file and oxend_rpc"),
        (f"{nodes}\noxend_rpc = 'ipc:///x'", "set one of network_file and oxend_rpc"),
        ("oxend_rpc = 'somewhere'", "is not host:port"),
        (f"{nodes}\nwebpush_contact = 'http://x'", "webpush_contact"),
        (f"{nodes}\napns_key = 'x.p8'", "set apns_key_id, apns_team_id, apns_topic as well"),
        (f"{nodes}\nfirebase_url = 'x'", "firebase_url"),
        (f"{nodes}\nmax_subscription = 1", "did you mean max_subscriptions"),
    ):
        path.write_text(f"data_dir = '.'\n{lines}\n")
        with pytest.raises(ConfigError, match=told):
            PushConfig.load(path)


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    directory = tmp_path / "push"
    nodes = tmp_path / "nodes.json"
    done = allium("push", "init", "--data-dir", str(directory), "--network-file", str(nodes))
    assert done.returncode == 0
    with ports.reserve(1) as [port]:
        served = {
            "ALLIUM_PUSH_HTTP_PORT": str(port),
            "ALLIUM_PUSH_METRICS_PORT": "",
            "ALLIUM_PUSH_BIND_IP": "127.0.0.1",
        }
        # Without nodes nobody would ever be woken.
        done = allium("push", "serve", "--data-dir", str(directory), env=served)
        assert done.returncode == 78 and str(nodes) in done.stderr, done.stderr
        bad = tmp_path / "bad"
        bad.write_text("{}")
        for name in ("FIREBASE_ACCOUNT", "APNS_KEY"):
            apple = {f"ALLIUM_PUSH_APNS_{part}": "X" for part in ("KEY_ID", "TEAM_ID", "TOPIC")}
            env = {**served, f"ALLIUM_PUSH_{name}": str(bad), **(apple if name == "APNS_KEY" else {})}
            done = allium("push", "serve", "--data-dir", str(directory), env=env)
            assert done.returncode == 78 and str(bad) in done.stderr, done.stderr
    done = allium("doctor", "--data-dir", str(directory), "--json")
    checks = {each["check"]: each["level"] for each in json.loads(done.stdout)}
    assert done.returncode == 1 and (checks["network"], checks["services"], checks["keys"]) == (
        "failed",
        "warning",
        "ok",
    )


async def test_a_daemon_on_another_machine_tells_the_nodes(tmp_path: Path) -> None:
    secret = os.urandom(32)
    key = bindings.crypto_scalarmult_base(secret).hex()
    with ports.reserve(1) as [port], FakeOxend(f"tcp://127.0.0.1:{port}", x25519=secret) as oxend:
        oxend.block(stranger())
        given = {"data_dir": tmp_path, "oxend_rpc": f"127.0.0.1:{port}/{key}"}
        config = PushConfig(**SCHEMA.checked(given, "the test"))
        seen = []
        async with aclosing(networks(config)) as told:
            async for network in told:
                seen.append(len(network["nodes"]))
                if len(seen) == 1:
                    oxend.wait_for_subscriber()
                    oxend.block(stranger(), stranger())
                if seen[-1] == 2:
                    break
    assert seen[0] == 1 and seen[-1] == 2
