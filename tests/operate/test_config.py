"""A node's settings: where they come from, and what a mistake in them is answered with."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from allium.settings.config import SETTINGS, ConfigError, NodeConfig, commented_toml


@pytest.fixture(autouse=True)
def no_settings_in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ALLIUM_"):
            monkeypatch.delenv(name)


def write(directory: Path, text: str) -> Path:
    path = directory / "config.toml"
    path.write_text('data_dir = "data"\nnetwork_file = "/etc/nodes.json"\n' + text)
    return path


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = NodeConfig.load(write(tmp_path, ""))
    assert config.data_dir == tmp_path / "data"
    assert config.network_file == Path("/etc/nodes.json")
    assert (config.https_port, config.omq_port, str(config.bind_ip)) == (22021, 22020, "0.0.0.0")


def test_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLIUM_HTTPS_PORT", "7000")
    monkeypatch.setenv("ALLIUM_LOG_FORMAT", "json")
    config = NodeConfig.load(write(tmp_path, "https_port = 6000\nomq_port = 6001\n"))
    assert (config.https_port, config.omq_port, config.log_format) == (7000, 6001, "json")


def test_environment_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLIUM_DATA_DIR", "/srv/node")
    monkeypatch.setenv("ALLIUM_NETWORK_FILE", "/srv/nodes.json")
    assert NodeConfig.load(None).data_dir == Path("/srv/node")


def test_sizes_may_have_units(tmp_path: Path) -> None:
    assert NodeConfig.load(write(tmp_path, 'max_store_bytes = "3.5GiB"')).max_store_bytes == 3_758_096_384


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("htps_port = 1", "there is no setting 'htps_port'; did you mean https_port?"),
        ("zzz = 1", "there is no setting 'zzz'; the settings are data_dir, "),
        ("https_port = 70000", "https_port = 70000: input should be less than or equal to 65535"),
        ('bind_ip = "here"', "bind_ip = 'here': value is not a valid IPv4 or IPv6 address"),
        (
            'rate_limit_exempt = ["1.2.3.4/33"]',
            "rate_limit_exempt.0 = '1.2.3.4/33': value is not a valid IPv4 or IPv6 network",
        ),
        ('stats_access_keys = ["x"]', "stats_access_keys.0 = 'x': string should match pattern"),
        ('metrics_ip = "localhost"', "such as 192.0.2.1 or 2001:db8::1; a name is none"),
        ('bind_ip = "fe80::1%eth0"', "cannot be listened on; name another"),
        ("[node]\nhttps_port = 1", "settings stand in no section; remove the line [node]"),
        ("https_port = 1\nhttps_port = 2", "something is set twice; remove one of them"),
        ("https_port = 22020", "https_port and omq_port are both 22020; set one of them to another port"),
        ("metrics_port = 22021", "https_port and metrics_port are both 22021"),
        ('bind_ip = "127.0.0.1"\nomq_port = 7000\nmetrics_port = 7000', "omq_port and metrics_port are both 7000"),
        ('log_level = "loud"', "log_level = 'loud': input should be 'debug', 'info', 'warning' or 'error'"),
        ("https_port = ", "is not TOML: "),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as refusal:
        NodeConfig.load(path)
    assert str(path) in str(refusal.value)
    assert complaint in str(refusal.value)


@pytest.mark.parametrize("path", ["", "relative", "/" + 107 * "x"])
def test_a_socket_is_named_by_a_path_that_can_be_one(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match=r"full path|107 bytes at most"):
        NodeConfig.load(write(tmp_path, f'oxend_rpc = "ipc://{path}"'))


@pytest.mark.parametrize("place", ["h", "h:0", "h:65536", "h:1/SECRET", "u:SECRET@h:1", "::1:5", "[::1]"])
def test_a_daemon_that_no_connection_can_be_made_to_is_refused(tmp_path: Path, place: str) -> None:
    for scheme in ("tcp", "http"):
        with pytest.raises(ConfigError, match=r"ipc:///PATH or tcp://HOST:PORT") as refusal:
            NodeConfig.load(write(tmp_path, f'oxend_rpc = "{scheme}://{place}"'))
        assert "SECRET" not in str(refusal.value)


def test_no_secret_of_a_url_is_shown_whatever_it_was_written_for(tmp_path: Path) -> None:
    url = "https://user:SECRET@host.example/SECRET?key=SECRET"
    for text in (f'bind_ip = "{url}"', f'"{url}" = 1', f'l2_rcp = ["{url}"]', f'https_port = "{url}"'):
        with pytest.raises(ConfigError) as refusal:
            NodeConfig.load(write(tmp_path, text))
        assert "SECRET" not in str(refusal.value), text


def test_ports_of_addresses_apart_may_be_the_same(tmp_path: Path) -> None:
    NodeConfig.load(write(tmp_path, 'bind_ip = "127.0.0.2"\nmetrics_port = 22021'))


def test_the_command_line_wins_over_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLIUM_HTTPS_PORT", "7000")
    path = write(tmp_path, "https_port = 6000\n")
    assert NodeConfig.load(path, {"https_port": "5000"}).https_port == 5000
    with pytest.raises(ConfigError, match="the command line: https_port = 'x'"):
        NodeConfig.load(path, {"https_port": "x"})
    assert NodeConfig.load(path).https_port == 7000


def test_there_is_one_source_of_the_network(tmp_path: Path) -> None:
    path = write(tmp_path, 'oxend_rpc = "ipc:///run/oxend.sock"\n')
    with pytest.raises(ConfigError, match="set one of network_file"):
        NodeConfig.load(path)
    path.write_text('data_dir = "data"\n')
    with pytest.raises(ConfigError, match="set one of network_file"):
        NodeConfig.load(path)
    assert NodeConfig.load(path, {"oxend_rpc": "tcp://127.0.0.1:22029"}).network_file is None
    with pytest.raises(ConfigError, match="oxend_rpc = 'http://x'"):
        NodeConfig.load(path, {"oxend_rpc": "http://x"})


def test_a_chain_goes_with_addresses(tmp_path: Path) -> None:
    path = write(tmp_path, 'chain_file = "chain.json"\n')
    assert NodeConfig.load(path).chain_file == tmp_path / "chain.json"
    path.write_text('data_dir = "data"\nchain_file = "chain.json"\noxend_rpc = "ipc:///x"\n')
    with pytest.raises(ConfigError, match="chain_file goes with network_file"):
        NodeConfig.load(path)


def test_providers_of_the_evm_chain_go_with_a_chain(tmp_path: Path) -> None:
    path = write(tmp_path, 'l2_rpc = ["http://127.0.0.1:1", "https://rpc.example/key"]\n')
    with pytest.raises(ConfigError, match="l2_rpc goes with chain_file"):
        NodeConfig.load(path)
    chain = {"chain_file": "chain.json"}
    config = NodeConfig.load(path, chain)
    assert (len(config.l2_rpc), config.l2_quorum, config.l2_depth, config.l2_log_blocks) == (2, None, None, 1000)
    assert NodeConfig.load(path, {**chain, "l2_quorum": 2}).l2_quorum == 2
    with pytest.raises(ConfigError, match="l2_quorum is more than there are"):
        NodeConfig.load(path, {**chain, "l2_quorum": 3})
    with pytest.raises(ConfigError, match="no URL that can be used"):
        NodeConfig.load(path, {**chain, "l2_rpc": ["ftp://x"]})


def test_the_test_network_has_ports_and_seeds_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('data_dir = "data"\noxend_rpc = "ipc:///x"\nomq_port = 5\n')
    main, test = NodeConfig.load(path), NodeConfig.load(path, {"testnet": True})
    assert (main.https_port, main.omq_port, test.https_port, test.omq_port) == (22021, 5, 38155, 5)
    assert len(main.seeds) == 3 and len(test.seeds) == 1 and set(main.seeds).isdisjoint(test.seeds)
    assert all(seed.x25519 and seed.address.startswith("tcp://") for seed in main.seeds + test.seeds)
    assert NodeConfig.load(path, {"bootstrap_seeds": []}).seeds == []
    with pytest.raises(ConfigError, match="'nonsense' is not host:port"):
        NodeConfig.load(path, {"bootstrap_seeds": ["nonsense"]})


def test_misspelt_variable_is_refused_and_strangers_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "")
    monkeypatch.setenv("ALLIUM_SOMETHING_ELSE", "1")
    NodeConfig.load(path)
    monkeypatch.setenv("ALLIUM_DATADIR", "/x")
    with pytest.raises(ConfigError, match="ALLIUM_DATADIR sets nothing; did you mean ALLIUM_DATA_DIR"):
        NodeConfig.load(path)


def test_a_bad_variable_is_blamed_instead_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLIUM_OMQ_PORT", "none")
    with pytest.raises(ConfigError, match="environment variable ALLIUM_OMQ_PORT = 'none'"):
        NodeConfig.load(write(tmp_path, ""))


def test_missing_settings_and_missing_file_say_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    with pytest.raises(ConfigError, match="allium node init"):
        NodeConfig.load(path)
    path.write_text("")
    with pytest.raises(ConfigError, match="data_dir is not set; add it to the file or set ALLIUM_DATA_DIR"):
        NodeConfig.load(path)


def test_template_is_a_configuration_with_the_defaults_shown(tmp_path: Path) -> None:
    text = commented_toml(data_dir='da"ta', network_file="nodes.json")
    assert tomllib.loads(text) == {"data_dir": 'da"ta', "network_file": "nodes.json"}
    shown = tomllib.loads("\n".join(line.removeprefix("#") for line in text.splitlines() if " = " in line))
    path = tmp_path / "config.toml"
    path.write_text(text + '\nlevers_file = ""\n')
    config = NodeConfig.load(path)
    assert config.levers_file is None and set(shown) == set(SETTINGS)
    typed = ("data_dir", "network_file", "bind_ip", "metrics_ip")
    assert {name: shown[name] for name in shown if name not in typed} == {
        name: "" if value is None else value for name, value in vars(config).items() if name not in typed
    }
