"""What an operator may set for a push server: `push.toml`, overridden by `ALLIUM_PUSH_*` environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allium.base import fields
from allium.base.endpoint import Endpoint
from allium.settings.declared import ConfigError, Schema, file_path, setting
from allium.settings.server import ServerConfig, web_url

#: In the data directory; who finds it there knows that a push server's data are.
FILE_NAME = "push.toml"

_APNS = ("apns_key", "apns_key_id", "apns_team_id", "apns_topic")
#: What one letter and digits are, as Apple names keys and teams.
_APPLE_ID = "^[A-Za-z0-9]{1,64}$"


def _daemon(value: Any) -> str:
    text = fields.text()(value)
    daemon(text)
    return text


def daemon(text: str) -> Endpoint:
    """Where a daemon listens: `ipc://…`, `tcp://…`, or host:port/X25519 key for one on another machine."""
    if not text.startswith(("ipc://", "tcp://")):
        return Endpoint.parse_seed(text)
    Endpoint.check(text)
    return Endpoint(text)


def _contact(value: Any) -> str:
    text = fields.text()(value)
    if not text.startswith(("mailto:", "https://")) or len(text) > 200 or not text.isprintable():
        raise ValueError("it has to be mailto:ADDRESS or an https:// URL")
    return text


@dataclass(frozen=True, kw_only=True)
class PushConfig(ServerConfig):
    """The settings of one push server."""

    http_port: int = setting(fields.whole(1, 65535), "TCP port for plain HTTP and onion requests.", 8001)
    metrics_port: int | None = setting(
        fields.optional(fields.whole(1, 65535)), 'TCP port at which Prometheus is answered. "": nowhere.', 22027
    )
    network_file: Path | None = setting(
        fields.optional(file_path),
        "JSON file with the nodes of the network; read again when it changes. Relative to this file.",
    )
    oxend_rpc: str | None = setting(
        fields.optional(_daemon),
        "Instead of network_file: OMQ address of a daemon of the network, ipc://PATH or tcp://HOST:PORT, or "
        "HOST:PORT/X25519 key (64 hex digits) of one on another machine.",
    )
    swarm_members: int = setting(
        fields.whole(1, 16), "At how many nodes of its swarm each account is subscribed to.", 3
    )
    max_subscriptions: int = setting(fields.whole(1), "How many subscriptions are kept.", 250_000)
    account_subscriptions: int = setting(
        fields.whole(1, 1000), "How many one account may have; another one takes the place of the oldest.", 32
    )
    source_day_bytes: int = setting(
        fields.size(1 << 20),
        "How much one address (IPv6: one /64) may send in a day; a subscription is about 700 bytes. Onion requests "
        "come from the addresses of the network's nodes.",
        256 << 20,
    )
    max_queued: int = setting(
        fields.whole(100), "Notifications that may wait to be delivered, 4 kB each; others are dropped.", 100_000
    )
    keep_seconds: int = setting(
        fields.whole(60, 28 * 86_400),
        "How long one is tried to be delivered, and kept by a push service.",
        86_400,
    )
    deliveries: int = setting(fields.whole(1, 4096), "Notifications under way at once, for each service.", 64)
    webpush_contact: str | None = setting(
        fields.optional(_contact),
        "Whom push services ask when something is wrong: mailto:ADDRESS or a URL. None: no Web Push, no UnifiedPush.",
    )
    webpush_private: bool = setting(
        fields.flag,
        "Post to private addresses, and by plain HTTP, if a subscription says so. Only for networks on one machine.",
        False,
    )
    firebase_account: Path | None = setting(
        fields.optional(file_path),
        "The service account's key from Firebase, a JSON file. None: no Firebase. Relative to this file.",
    )
    firebase_url: str = setting(web_url, "Where Firebase is.", "https://fcm.googleapis.com")
    apns_key: Path | None = setting(
        fields.optional(file_path),
        "The key from Apple, a .p8 file; goes with the next three. None: no APNS. Relative to this file.",
    )
    apns_key_id: str | None = setting(fields.optional(fields.text(_APPLE_ID)), "What Apple calls that key.")
    apns_team_id: str | None = setting(fields.optional(fields.text(_APPLE_ID)), "What Apple calls its owner.")
    apns_topic: str | None = setting(
        fields.optional(fields.text("^[A-Za-z0-9.-]{1,200}$")), "The bundle identifier of the app."
    )
    apns_url: str = setting(web_url, "Where APNS is.", "https://api.push.apple.com")
    apns_sandbox_url: str = setting(web_url, "Where its sandbox is.", "https://api.sandbox.push.apple.com")

    @classmethod
    def load(cls, path: Path | None, options: Mapping[str, Any] | None = None) -> PushConfig:
        """The settings in force with the TOML file `path` (`None`: from the environment alone) and the command line's.

        The command line wins over the environment, and that over the file. Raises `ConfigError` for a file that cannot
        be read, a name that does not exist, a value that is refused.
        """
        given, where = SCHEMA.load(path, options)
        config = cls(**SCHEMA.checked(given, where, options))
        config.refuse_shared_ports(where)
        if (config.network_file is None) == (config.oxend_rpc is None):
            raise ConfigError(f"{where}: set one of network_file and oxend_rpc, which say where the nodes are")
        missing = [name for name in _APNS if getattr(config, name) is None]
        if missing and len(missing) < len(_APNS):
            raise ConfigError(f"{where}: {', '.join(_APNS)} go together; set {', '.join(missing)} as well")
        return config


#: How they are read and written.
SCHEMA = Schema(
    PushConfig,
    title="Settings of an Allium push server.",
    prefix="ALLIUM_PUSH_",
    init="allium push init",
    paths=("data_dir", "network_file", "firebase_account", "apns_key"),
)
commented_toml = SCHEMA.commented_toml
