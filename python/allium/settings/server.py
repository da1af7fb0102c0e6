"""What an operator may set for any server beside the nodes: where it listens, how much of it one stranger may take."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

from allium.base import fields, urls
from allium.base.log import Format, Level
from allium.settings.declared import Listening, file_path, listed, refuse_shared_ports, required, setting

Network = IPv4Network | IPv6Network


def web_url(value: Any) -> str:
    """A URL of HTTP, without a slash at its end."""
    url = fields.text()(value)
    urls.check(url)
    return url.rstrip("/")


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """The settings that all servers have."""

    data_dir: Path = required(file_path, "Directory of the key, and of what is kept. Relative to this file.")
    bind_ip: IPv4Address | IPv6Address = setting(
        fields.address,
        "Address to listen on; 0.0.0.0 is every IPv4 address, :: every IPv6 and IPv4 address.",
        IPv4Address("0.0.0.0"),
    )
    http_port: int = setting(fields.whole(1, 65535), "TCP port for plain HTTP and onion requests.", 8000)
    public_url: str | None = setting(
        fields.optional(web_url), "Where clients find the server, such as http://server.example. It is only shown."
    )
    source_exempt: list[Network] = setting(
        listed(fields.network),
        'Networks without a limit on what they send, such as ["192.0.2.0/24", "2001:db8::/32"].',
        factory=list,
    )
    trusted_proxies: list[Network] = setting(
        listed(fields.network),
        "Networks of proxies in front, whose X-Forwarded-For says where a request comes from.",
        factory=list,
    )
    connections: int = setting(fields.whole(1, 65_536), "Connections that may be open.", 4096)
    connections_per_source: int = setting(fields.whole(1, 65_536), "Connections that one address may have open.", 512)
    uploads: int = setting(fields.whole(1, 65_536), "Bodies that may be under way at once.", 512)
    idle_seconds: float = setting(
        fields.number(3600, above=0), "How long a client may say nothing in the midst of a request.", 20.0
    )
    grace_seconds: float = setting(
        fields.number(3600, above=0), "What a body, either way, may take however short it is.", 30.0
    )
    least_bytes_per_second: int = setting(
        fields.whole(1), "Slower bodies, either way, are cut off once they had grace_seconds.", 8192
    )
    metrics_ip: IPv4Address | IPv6Address = setting(
        fields.address, "Address at which Prometheus is answered.", IPv4Address("127.0.0.1")
    )
    metrics_port: int | None = setting(
        fields.optional(fields.whole(1, 65535)), 'TCP port at which Prometheus is answered. "": nowhere.', 22028
    )
    log_level: Level = setting(
        fields.choice("debug", "info", "warning", "error"), "debug, info, warning or error.", "info"
    )
    log_format: Format = setting(fields.choice("console", "json"), "console for people, json for machines.", "console")

    def refuse_shared_ports(self, where: str) -> None:
        """Raises `ConfigError`, for what was set `where`, when the metrics would be at the port of the server."""
        refuse_shared_ports(
            where,
            Listening("http_port", self.bind_ip, self.http_port),
            Listening("metrics_port", self.metrics_ip, self.metrics_port),
        )

    def longest(self, size: int) -> float:
        """Seconds that a body of so many bytes may take, either way."""
        return self.grace_seconds + size / self.least_bytes_per_second
