"""What an operator may set for a portal: `portal.toml`, overridden by `ALLIUM_PORTAL_*` environment variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from allium.base import fields
from allium.settings.declared import Schema, file_path, listed, required, setting
from allium.settings.server import ServerConfig, web_url

#: In the data directory; who finds it there knows that a portal's data are.
FILE_NAME = "portal.toml"


#: WalletConnect's own.
RELAY = "wss://relay.walletconnect.org"

_DATABASES = ("postgresql://", "postgres://")
_PROJECT = re.compile("[0-9A-Za-z_-]{1,64}")
#: What would end a source in a policy.
_UNFIT = re.compile(r"[\s;,'\"]")


def _database(value: Any) -> str:
    url = fields.text()(value)
    if not url.startswith(_DATABASES):
        raise ValueError("begin it with postgresql://, or leave it out for SQLite in the data directory")
    return url


def _relay(value: Any) -> str:
    url = fields.text()(value)
    if not url.startswith(("wss://", "ws://")) or not urlsplit(url).hostname or _UNFIT.search(url):
        raise ValueError("no URL of a relay: it has to be wss://HOST…")
    return url.rstrip("/")


def _project(value: Any) -> str:
    name = fields.text()(value)
    if not _PROJECT.fullmatch(name):
        raise ValueError("no id of a project: letters and digits are expected")
    return name


@dataclass(frozen=True, kw_only=True)
class PortalConfig(ServerConfig):
    """The settings of one portal."""

    http_port: int = setting(fields.whole(1, 65535), "TCP port for plain HTTP.", 8002)
    metrics_port: int | None = setting(
        fields.optional(fields.whole(1, 65535)), 'TCP port at which Prometheus is answered. "": nowhere.', 22026
    )
    chain_file: Path | None = setting(
        fields.optional(file_path),
        "JSON file that says which chain to follow. Relative to this file. None: the network is the daemon's of oxend.",
    )
    oxend: str | None = setting(
        fields.optional(web_url),
        "URL of the RPC of the live network's daemon, such as http://127.0.0.1:22023, in place of chain_file.",
    )
    contracts: Path = required(
        file_path, "JSON file with the addresses of the network's contracts. Relative to this file."
    )
    network_file: Path | None = setting(
        fields.optional(file_path),
        "JSON file with the nodes that are asked for signatures. Relative to this file. With oxend, the daemon asks.",
    )
    database_url: str | None = setting(
        fields.optional(_database),
        "Where all is kept: postgresql://user@host/database. None: SQLite in the data directory.",
    )
    vesting_file: Path | None = setting(
        fields.optional(file_path),
        'JSON list of contracts that hold tokens, {"address": "0x…"} each. Relative to this file.',
    )
    price_url: str | None = setting(
        fields.optional(web_url),
        "URL whose answer has the token's price, as CoinGecko's simple/price has it. None: nobody is asked.",
    )
    l2_rpc: list[str] = setting(
        listed(web_url),
        "URLs of providers of the EVM chain; more than half of them have to say the same.",
        factory=list,
    )
    node_dir: Path | None = setting(
        fields.optional(file_path),
        "Data directory of a node on this machine, where a committee orders the chain. Relative to this file.",
    )
    refresh_seconds: float = setting(fields.number(3600, above=0), "How often the EVM chain is looked at.", 30.0)
    chain_name: str | None = setting(fields.optional(fields.text()), "How the page calls the EVM chain.")
    wallet_rpc: list[str] = setting(
        listed(web_url), "URLs of providers that a wallet is told when it does not know the chain.", factory=list
    )
    explorer_url: str | None = setting(
        fields.optional(web_url), "Where the page's links to transactions and addresses lead."
    )
    bridge_url: str | None = setting(
        fields.optional(web_url), "Where /bridge/arbitrum leads. None: to Arbitrum's own, on Arbitrum's chains."
    )
    wallet_connect_id: str | None = setting(
        fields.optional(_project),
        "Id of a project at WalletConnect, by which wallets on other devices are found. None: the page has none of it.",
    )
    wallet_connect_relay: str = setting(_relay, "URL of the relay by which the page and such a wallet speak.", RELAY)
    faucet_key_file: Path | None = setting(
        fields.optional(file_path),
        "Key that pays whoever asks, on a test network: 64 hex digits, mode 600. Relative to this file. None: nobody.",
    )
    faucet_tokens: int = setting(fields.whole(1, 10**9), "Whole SESH that it gives.", 7000)
    faucet_ether: float = setting(fields.number(10, above=0), "Ether that it gives, for gas.", 0.01)
    faucet_hours: int = setting(fields.whole(1, 24 * 365), "After how long an address may ask again.", 24)
    faucet_source: int = setting(fields.whole(1), "How many addresses one source may name in that time.", 3)
    faucet_all: int = setting(fields.whole(1), "How often it gives in that time.", 200)
    faucet_codes: Path | None = setting(
        fields.optional(file_path),
        "File with a code in each line, and how often it may be used if more than once; nobody is paid without one. "
        "Relative to this file. None: no code is needed.",
    )
    max_registrations: int = setting(fields.whole(1), "How many registrations are kept; the oldest go.", 100_000)
    source_requests: int = setting(
        fields.whole(1), "How many requests one address (IPv6: one /64) may make in 10 s.", 300
    )
    source_registrations: int = setting(fields.whole(1), "How many registrations it may post in an hour.", 100)
    source_prices: int = setting(fields.whole(1), "How many prices it may ask for in ten minutes.", 10)
    source_signatures: int = setting(fields.whole(1), "How many signatures it may ask for in a minute.", 10)
    source_day_bytes: int = setting(fields.size(1 << 16), "How much it may send in a day.", 16 << 20)

    @classmethod
    def load(cls, path: Path | None, options: Mapping[str, Any] | None = None) -> PortalConfig:
        """The settings in force with the TOML file `path` (`None`: from the environment alone) and the command line's.

        The command line wins over the environment, and that over the file. Raises `ConfigError` for a file that cannot
        be read, a name that does not exist, a value that is refused.
        """
        given, where = SCHEMA.load(path, options)
        config = cls(**SCHEMA.checked(given, where, options))
        config.refuse_shared_ports(where)
        return config


#: How they are read and written.
SCHEMA = Schema(
    PortalConfig,
    title="Settings of an Allium portal.",
    prefix="ALLIUM_PORTAL_",
    init="allium portal init",
    paths=(
        "data_dir",
        "chain_file",
        "contracts",
        "network_file",
        "node_dir",
        "vesting_file",
        "faucet_key_file",
        "faucet_codes",
    ),
)
commented_toml = SCHEMA.commented_toml
